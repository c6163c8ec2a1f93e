//! What the demo loads: the files of one folder, dealt out to two domains.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::Result;

/// One domain, and who may read it.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) domain: String,
    pub(super) user: &'static str,
    pub(super) group: &'static str,
    /// Datasource id and file.
    pub(super) files: Vec<(String, PathBuf)>,
}

/// The users: the first may read the first domain, the second the second.
const USERS: [(&str, &str); 2] = [("ana", "analysts"), ("bea", "builders")];

/// Deals the `*.jsonl` and `*.jsonl.zst` files of a folder out in turn. Two files are a domain each, by their name.
///
/// # Errors
/// The folder cannot be read, or holds less than two such files.
pub(super) fn split(folder: &Path) -> Result<[Half; 2]> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((datasource_id(path.file_name()?.to_str()?)?, path.clone())))
        .collect();
    files.sort();
    if files.len() < 2 {
        return Err(format!(
            "{} has to hold at least two files *.jsonl or *.jsonl.zst, one for each domain",
            folder.display()
        ));
    }
    let named = files.len() == 2;
    let mut halves = USERS.map(|(user, group)| Half { domain: format!("for-{group}"), user, group, files: Vec::new() });
    for (number, file) in files.into_iter().enumerate() {
        let half = &mut halves[number % 2];
        if named {
            half.domain.clone_from(&file.0);
        }
        half.files.push(file);
    }
    Ok(halves)
}

/// `Name.jsonl.zst` -> `name`, with the letters that an id may have.
fn datasource_id(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".zst").unwrap_or(name).strip_suffix(".jsonl")?;
    let id: String = stem
        .to_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' })
        .take(64)
        .collect();
    Some(id).filter(|id| id.starts_with(|letter: char| letter.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::{datasource_id, split};

    #[test]
    fn the_sample_has_a_domain_for_each_user() {
        let folder = crate::shell::root().join("examples/data");
        let [first, second] = split(&folder).expect("the sample is there");
        assert_eq!(first.domain, "memory-safety");
        assert_eq!(second.domain, "network-and-crypto");
        let records = |half: &super::Half| std::fs::read_to_string(&half.files[0].1).expect("a file").lines().count();
        assert!(records(&first) + records(&second) >= 60);
    }

    #[test]
    fn file_names_become_ids() {
        assert_eq!(datasource_id("CISA KEV.jsonl.zst").as_deref(), Some("cisa-kev"));
        assert_eq!(datasource_id("notes.md"), None);
        assert_eq!(datasource_id("_x.jsonl"), None);
    }
}
