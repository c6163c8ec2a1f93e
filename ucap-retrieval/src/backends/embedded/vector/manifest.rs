//! Which segment files make up the index, and the last change that they have applied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use ucap_core::data_directory::private;

const FORMAT: u32 = 1;
const FILE: &str = "manifest";

/// The manifest: one line with the checksum, one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    dimensions: usize,
    fingerprint: String,
    pub(super) change: u64,
    /// File numbers, ascending by passage.
    pub(super) segments: Vec<u32>,
}

impl Manifest {
    pub(super) fn new(dimensions: usize, fingerprint: &str) -> Self {
        Self { format: FORMAT, dimensions, fingerprint: fingerprint.to_owned(), change: 0, segments: Vec::new() }
    }

    /// The same segments, having applied `change`.
    pub(super) fn at_change(&self, change: u64) -> Self {
        Self { change, ..self.clone() }
    }

    /// The manifest in `directory`; `None` when it is missing, damaged, or of another format, model or dimension.
    pub(super) fn read(directory: &Path, dimensions: usize, fingerprint: &str) -> io::Result<Option<Self>> {
        let bytes = match fs::read(directory.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_expected = |manifest: &Self| {
            manifest.format == FORMAT && manifest.dimensions == dimensions && manifest.fingerprint == fingerprint
        };
        Ok(Self::parse(&bytes).filter(is_expected))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (checksum, json) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let is_sound = blake3::hash(json.as_bytes()).to_hex().as_str() == checksum;
        is_sound.then(|| serde_json::from_str(json).ok())?
    }

    /// Replaces the manifest in `directory`: this is the commit. Whatever it names must be synced before.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let temporary = directory.join("manifest.tmp");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&temporary)?;
        write!(file, "{}\n{json}", blake3::hash(json.as_bytes()).to_hex())?;
        file.sync_all()?;
        // The segments' names must be on disk before the manifest that names them.
        let directory_file = File::open(directory)?;
        directory_file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))?;
        directory_file.sync_all()
    }

    /// Removes every file in `directory` that it does not name.
    pub(super) fn remove_strays(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let is_named = name == FILE || self.segments.iter().any(|&number| name == *segment_file(number));
            if !is_named {
                fs::remove_file(directory.join(&name))?;
            }
        }
        Ok(())
    }
}

/// The name of the segment file with `number`.
pub(super) fn segment_file(number: u32) -> String {
    format!("{number:06}.seg")
}
