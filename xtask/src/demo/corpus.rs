//! What the demo loads: the files of one folder, dealt out to two domains.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
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

/// How much there is to load.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) files: usize,
    pub(super) records: usize,
}

/// What the files hold, of each at most so many records.
///
/// # Errors
/// A file cannot be read.
pub(super) fn size(halves: &[Half; 2], most: Option<usize>) -> Result<Size> {
    let mut size = Size { files: 0, records: 0 };
    for (_, file) in halves.iter().flat_map(|half| &half.files) {
        size.files += 1;
        size.records += records(file)?.take(most.unwrap_or(usize::MAX)).count();
    }
    Ok(size)
}

/// At most so many records of a file, spread evenly over it, as a file of their own in `folder`.
///
/// # Errors
/// The one cannot be read, or the other not written.
pub(super) fn sample(file: &Path, most: usize, folder: &Path) -> Result<PathBuf> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("records");
    let copy = folder.join(name.strip_suffix(".zst").unwrap_or(name));
    let total = records(file)?.count().max(1);
    let most = most.min(total);
    let mut text = Vec::new();
    for (number, record) in records(file)?.enumerate() {
        // So many of those up to and with this one are due.
        if number * most / total < (number + 1) * most / total {
            text.extend(record?);
            text.push(b'\n');
        }
    }
    fs::write(&copy, text).map_err(|error| format!("{} cannot be written: {error}", copy.display()))?;
    Ok(copy)
}

/// The lines of a file that are not blank, decompressed by its name.
fn records(file: &Path) -> Result<impl Iterator<Item = Result<Vec<u8>>> + use<>> {
    let name = file.display().to_string();
    let unreadable = move |error: std::io::Error| format!("{name} cannot be read: {error}");
    let plain = File::open(file).map_err(&unreadable)?;
    let text: Box<dyn Read> = match file.extension().is_some_and(|ending| ending == "zst") {
        true => Box::new(zstd::Decoder::new(plain).map_err(&unreadable)?),
        false => Box::new(plain),
    };
    let lines = BufReader::with_capacity(1 << 20, text).split(b'\n');
    let is_record = |line: &std::io::Result<Vec<u8>>| line.as_ref().map_or(true, |line| !line.trim_ascii().is_empty());
    Ok(lines.filter(is_record).map(move |line| line.map_err(&unreadable)))
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
    use super::{datasource_id, sample, size, split};

    #[test]
    fn the_sample_has_a_domain_for_each_user() {
        let folder = crate::shell::root().join("examples/data");
        let halves = split(&folder).expect("the sample is there");
        assert_eq!(halves[0].domain, "memory-safety");
        assert_eq!(halves[1].domain, "network-and-crypto");
        assert!(size(&halves, None).expect("it is read").records >= 60);
        assert_eq!(size(&halves, Some(4)).expect("it is read").records, 8);
    }

    #[test]
    fn a_sample_is_spread_over_the_file() {
        let folder = std::env::temp_dir().join(format!("ucap-sample-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let whole = folder.join("a.jsonl.zst");
        let text = zstd::encode_all(&b"{\"id\":1}\n\n{\"id\":2}\r\n{\"id\":3}\n{\"id\":4}"[..], 1);
        std::fs::write(&whole, text.expect("it is compressed")).expect("a file");
        for (most, want) in [(2, &[2, 4][..]), (9, &[1, 2, 3, 4]), (1, &[4]), (0, &[])] {
            let copy = sample(&whole, most, &folder).expect("a sample");
            assert!(copy.ends_with("a.jsonl"));
            let text = std::fs::read_to_string(&copy).expect("a file");
            let ids: Vec<String> = text.lines().map(|line| line.replace(|c: char| !c.is_ascii_digit(), "")).collect();
            assert_eq!(ids, want.iter().map(u32::to_string).collect::<Vec<_>>(), "{most}");
        }
        std::fs::remove_dir_all(&folder).expect("it is removed");
    }

    #[test]
    fn file_names_become_ids() {
        assert_eq!(datasource_id("CISA KEV.jsonl.zst").as_deref(), Some("cisa-kev"));
        assert_eq!(datasource_id("notes.md"), None);
        assert_eq!(datasource_id("_x.jsonl"), None);
    }
}
