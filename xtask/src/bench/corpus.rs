//! The data to measure with: advisories with ready-made vectors, and knowledge about attacks and weaknesses.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::npy::Rows;
use crate::shell::Result;

/// Where the data lies.
#[derive(Debug)]
pub(super) struct Corpus {
    folder: PathBuf,
}

impl Corpus {
    /// # Errors
    /// A part is missing.
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        for part in ["advisories", "knowledge", "vectors"] {
            if !folder.join(part).is_dir() {
                return Err(format!("{} has no folder {part}", folder.display()));
            }
        }
        Ok(Self { folder })
    }

    /// The databases, in the order of their vectors: by name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn databases(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("advisories");
        let entries = fs::read_dir(&folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".jsonl.zst").map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The records of one database, as they stand in its file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn advisories(&self, database: &str) -> Result<impl Iterator<Item = Result<String>>> {
        lines(&self.folder.join(format!("advisories/{database}.jsonl.zst")))
    }

    /// The vectors of all advisories: `databases` in order, records in the order of their file.
    ///
    /// # Errors
    /// The array cannot be read.
    pub(super) fn vectors(&self) -> Result<Rows> {
        Rows::open(&self.folder.join("vectors/advisories-minilm-f16.npy"))
    }

    /// What the knowledge files hold, as records `{"id", "title", "body"}`, one list a file.
    ///
    /// # Errors
    /// A file cannot be read or is not made of JSON lines.
    pub(super) fn knowledge(&self) -> Result<Vec<(&'static str, Vec<String>)>> {
        // File, and the keys that hold title and body.
        const FILES: [(&str, &str, &str); 6] = [
            ("attack_entities", "name", "description"),
            ("attack_procedures", "source_name", "text"),
            ("attack_techniques", "name", "description"),
            ("capec", "name", "description"),
            ("cwe", "name", "description"),
            ("sigma", "title", "description"),
        ];
        let mut files = Vec::new();
        for (name, title, body) in FILES {
            let mut records = Vec::new();
            for line in lines(&self.folder.join(format!("knowledge/{name}.jsonl.zst")))? {
                let json: Json = serde_json::from_str(&line?).map_err(|error| format!("{name}: {error}"))?;
                records.push(json!({ "id": json["id"], "title": json[title], "body": json[body] }).to_string());
            }
            files.push((name, records));
        }
        Ok(files)
    }
}

/// A record with the vector that it brings.
pub(super) fn with_vector(record: &str, vector: &[f32]) -> String {
    let mut line = record.trim_end().strip_suffix('}').unwrap_or(record).to_owned();
    line.push_str(",\"_vector\":[");
    for (number, value) in vector.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(line, "{comma}{value}");
    }
    line.push_str("]}");
    line
}

/// The lines of a compressed file that are not blank.
fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let text = zstd::Decoder::new(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let lines = BufReader::with_capacity(1 << 20, text).lines();
    Ok(lines
        .map(move |line| line.map_err(|error| format!("{name} cannot be read: {error}")))
        .filter(|line| line.as_ref().map_or(true, |line| !line.trim().is_empty())))
}

/// The size of all files below a folder.
pub(super) fn folder_mib(folder: &Path) -> f64 {
    fn bytes(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
        entries
            .map(|entry| match entry.file_type() {
                Ok(kind) if kind.is_dir() => bytes(&entry.path()),
                Ok(_) => entry.metadata().map_or(0, |data| data.len()),
                Err(_) => 0,
            })
            .sum()
    }
    bytes(folder) as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::with_vector;

    #[test]
    fn a_record_brings_its_vector() {
        assert_eq!(with_vector("{\"id\":\"a\"}", &[1.0, -0.25]), "{\"id\":\"a\",\"_vector\":[1,-0.25]}");
    }
}
