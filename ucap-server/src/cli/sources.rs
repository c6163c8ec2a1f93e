//! What `ucap ingest` is told to read: files and folders, and why some of them cannot be read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::complaint::{Complaint, Outcome};

/// The path that stands for the standard input.
pub(super) const STDIN: &str = "-";
const MAX_DEPTH: usize = 64;
const KNOWN: &str = "*.json, *.jsonl, *.ndjson (also .zst, .gz), *.md, *.txt, *.html";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One record, or an array.
    Json,
    /// A record a line.
    Lines,
    /// A document of this content type.
    Document(&'static str),
}

/// Something to read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Where it is; [`STDIN`] for the standard input.
    pub(super) path: PathBuf,
    /// What it holds.
    pub(super) kind: Kind,
    /// How it is compressed: a content coding.
    pub(super) coding: Option<&'static str>,
    /// A document's id: relative to the folder that was named.
    pub(super) id: String,
    /// How long it is; 0 where that is not known.
    pub(super) bytes: u64,
}

impl Source {
    fn stdin() -> Self {
        Self { path: STDIN.into(), kind: Kind::Lines, coding: None, id: String::new(), bytes: 0 }
    }

    /// Whether it is the standard input.
    pub(super) fn is_stdin(&self) -> bool {
        self.path == Path::new(STDIN)
    }

    /// Its path, for people.
    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// A file or folder that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its path.
    pub(super) file: String,
    /// Why.
    pub(super) error: String,
    /// Whether the command has failed for that; a file of a folder that is of another type is only told of.
    pub(super) is_failure: bool,
}

/// What paths name.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What can be read, in order.
    pub(super) sources: Vec<Source>,
    /// What cannot.
    pub(super) refusals: Vec<Refusal>,
    /// Which file has which document id.
    ids: HashMap<String, PathBuf>,
    /// How many files and folders were looked at and not walked.
    seen: u64,
}

/// All files that `paths` name, in order.
pub(super) fn find(paths: &[PathBuf]) -> Outcome<Found> {
    let mut found = Found::default();
    for path in paths {
        if path == Path::new(STDIN) {
            if found.sources.iter().any(Source::is_stdin) {
                return Err(Complaint::usage("the standard input (-) can be read once; name it once"));
            }
            found.sources.push(Source::stdin());
            continue;
        }
        match fs::metadata(path) {
            Err(error) => found.fail(path, unreadable(&error)),
            Ok(data) if data.is_dir() => {
                let before = found.seen;
                found.walk(path, path, 0);
                if found.seen == before {
                    found.fail(path, "the folder holds no file that can be ingested".to_owned());
                }
            }
            Ok(data) => match source(path, name_of(path), data.len()) {
                Some(source) => found.add(source),
                None => found.fail(path, format!("the file is of no known type; name it {KNOWN}")),
            },
        }
    }
    Ok(found)
}

/// Why something cannot be read.
pub(super) fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

impl Found {
    fn fail(&mut self, path: &Path, error: String) {
        self.seen += 1;
        self.refusals.push(Refusal { file: path.display().to_string(), error, is_failure: true });
    }

    fn pass_over(&mut self, path: &Path, error: impl Into<String>) {
        self.seen += 1;
        self.refusals.push(Refusal { file: path.display().to_string(), error: error.into(), is_failure: false });
    }

    /// Takes a source, unless another document of this ingest has its id: the later would replace the earlier.
    fn add(&mut self, source: Source) {
        self.seen += 1;
        if matches!(source.kind, Kind::Document(_)) {
            match self.ids.entry(source.id.clone()) {
                Entry::Vacant(place) => drop(place.insert(source.path.clone())),
                Entry::Occupied(holder) if is_same_file(holder.get(), &source.path) => return,
                Entry::Occupied(holder) => {
                    let error = format!(
                        "its id `{}` is that of {} already; name the folder above both, or ingest them into two datasources",
                        source.id,
                        holder.get().display()
                    );
                    return self.fail(&source.path, error);
                }
            }
        }
        self.sources.push(source);
    }

    /// Hidden files are left out; links to folders are not followed, so that the walk ends.
    fn walk(&mut self, root: &Path, folder: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return self.fail(folder, format!("the folder lies more than {MAX_DEPTH} folders deep"));
        }
        let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, unreadable(&error)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries.into_iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
            let path = entry.path();
            match entry.file_type().and_then(|kind| Ok((kind.is_dir(), fs::metadata(&path)?))) {
                Err(error) => self.fail(&path, unreadable(&error)),
                Ok((true, _)) => self.walk(root, &path, depth + 1),
                Ok((false, data)) if data.is_dir() => {
                    self.pass_over(&path, "a link to a folder is not followed; name the folder itself");
                }
                Ok((false, data)) if !data.is_file() => self.pass_over(&path, "not a regular file"),
                Ok((false, data)) => {
                    let id = slashed(path.strip_prefix(root).unwrap_or(&path));
                    match source(&path, id, data.len()) {
                        Some(source) => self.add(source),
                        None => self.pass_over(&path, unsupported(&path)),
                    }
                }
            }
        }
    }
}

fn unsupported(path: &Path) -> String {
    match path.extension() {
        Some(extension) => format!("unsupported file type .{}", extension.to_string_lossy()),
        None => "unsupported file type: the name has no extension".to_owned(),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// A file that was named itself has its path, if that is a relative one that stays below, else its name.
fn name_of(path: &Path) -> String {
    let below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let name = if below { Some(path) } else { path.file_name().map(Path::new) };
    slashed(name.unwrap_or(path))
}

fn slashed(path: &Path) -> String {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn source(path: &Path, id: String, bytes: u64) -> Option<Source> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let (name, coding) = match (name.strip_suffix(".zst"), name.strip_suffix(".gz")) {
        (Some(inner), _) => (inner, Some("zstd")),
        (_, Some(inner)) => (inner, Some("gzip")),
        _ => (&*name, None),
    };
    let kind = match (name.rsplit_once('.')?.1, coding) {
        ("json", _) => Kind::Json,
        ("jsonl" | "ndjson", _) => Kind::Lines,
        ("md" | "markdown", None) => Kind::Document("text/markdown"),
        ("txt", None) => Kind::Document("text/plain"),
        ("html" | "htm", None) => Kind::Document("text/html"),
        _ => return None,
    };
    Some(Source { path: path.to_owned(), kind, coding, id, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<(Kind, Option<&'static str>)> {
        source(Path::new(name), String::new(), 0).map(|source| (source.kind, source.coding))
    }

    #[test]
    fn names_tell_kinds() {
        assert_eq!(kind("a/x.JSONL.zst"), Some((Kind::Lines, Some("zstd"))));
        assert_eq!(kind("x.ndjson"), Some((Kind::Lines, None)));
        assert_eq!(kind("x.json.gz"), Some((Kind::Json, Some("gzip"))));
        assert_eq!(kind("README.md"), Some((Kind::Document("text/markdown"), None)));
        assert_eq!(kind("x.md.gz"), None);
        assert_eq!(kind("x.exe"), None);
        assert_eq!(kind("noext"), None);
    }

    #[test]
    fn ids_are_relative_paths() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["b/c/x.md", "a.txt", ".hidden.md", "b/skip.bin"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.sources.iter().map(|source| &*source.id).collect::<Vec<_>>(), ["a.txt", "b/c/x.md"]);
        let [skipped] = &*found.refusals else { panic!("{:?}", found.refusals) };
        assert!(skipped.file.ends_with("b/skip.bin") && !skipped.is_failure, "{skipped:?}");
        assert_eq!(name_of(Path::new("./notes/día.md")), "notes/día.md");
        assert_eq!(name_of(Path::new("/abs/día.md")), "día.md");
        assert_eq!(name_of(Path::new("../up/x.md")), "x.md");
        let missing = find(&[PathBuf::from("/nonexistent.jsonl")]).unwrap().refusals;
        assert!(missing[0].file == "/nonexistent.jsonl" && missing[0].is_failure, "{missing:?}");
    }
}
