//! The files of a local model: which they are, pinned by SHA-256, and the cache that holds them.
//!
//! The cache is `CACHE/models/all-minilm-l6-v2-53aa51172d14/{config.json,tokenizer.json,model.safetensors}`: the
//! folder carries the start of the weights' digest, so that another revision never meets the files of this one. A file
//! gets its name by a rename once it is complete and verified, so that processes may fill the cache at the same time.
//! It is verified again whenever it is read: the bytes that were hashed are the bytes that are used.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// One file of a model.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PinnedFile {
    /// Its name, in the cache and at every source.
    pub(super) name: &'static str,
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// Hexadecimal, lower case.
    pub(super) sha256: &'static str,
}

/// `sentence-transformers/all-MiniLM-L6-v2`: shape of the network, word pieces, weights. Apache-2.0.
pub(super) const FILES: [PinnedFile; 3] = [
    PinnedFile {
        name: "config.json",
        bytes: 612,
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    PinnedFile {
        name: "tokenizer.json",
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    PinnedFile {
        name: "model.safetensors",
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
];

/// The files of `FILES`, verified, in memory.
#[derive(Clone)]
pub struct ModelFiles {
    pub(super) config: Vec<u8>,
    pub(super) tokenizer: Vec<u8>,
    pub(super) weights: Vec<u8>,
    pub(super) directory: PathBuf,
}

impl std::fmt::Debug for ModelFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFiles").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl ModelFiles {
    /// Where they lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads and verifies all files of `directory`.
    ///
    /// # Errors
    /// A sentence that names the file: it is missing, cannot be read, or is not the pinned one.
    pub(super) fn read(directory: &Path) -> Result<Self, String> {
        let [config, tokenizer, weights] = &FILES;
        Ok(Self {
            config: config.read(directory)?,
            tokenizer: tokenizer.read(directory)?,
            weights: weights.read(directory)?,
            directory: directory.to_owned(),
        })
    }
}

impl PinnedFile {
    /// Reads the file and verifies it.
    pub(super) fn read(&self, directory: &Path) -> Result<Vec<u8>, String> {
        let path = directory.join(self.name);
        let cannot = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(&path).map_err(cannot)?;
        let mut bytes = Vec::with_capacity(self.bytes as usize);
        file.take(self.bytes + 1).read_to_end(&mut bytes).map_err(cannot)?;
        self.verify(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))?;
        Ok(bytes)
    }

    /// Whether `bytes` are this file.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() as u64 != self.bytes {
            let relation = if (bytes.len() as u64) < self.bytes { "fewer" } else { "more" };
            return Err(format!("not the pinned file: {relation} than its {} bytes", self.bytes));
        }
        let digest = hexadecimal(&Sha256::digest(bytes));
        if digest != self.sha256 {
            return Err(format!("not the pinned file: its SHA-256 is {digest}, not {}", self.sha256));
        }
        Ok(())
    }

    /// Puts verified `bytes` into `directory`: whole or not at all.
    pub(super) fn store(&self, directory: &Path, bytes: &[u8]) -> Result<(), String> {
        let partial = Partial::beside(directory);
        let write = || -> io::Result<()> {
            fs::create_dir_all(directory)?;
            let mut file = File::create_new(&partial.0)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&partial.0, directory.join(self.name))
        };
        write().map_err(|error| format!("cannot write {} into {}: {error}", self.name, directory.display()))
    }
}

/// The cache folder of the model.
pub(super) fn model_directory(cache: &Path) -> PathBuf {
    let [.., weights] = &FILES;
    cache.join("models").join(format!("all-minilm-l6-v2-{}", &weights.sha256[..12]))
}

const PARTIAL: &str = ".partial-";

/// A name for something unfinished; what bears it is removed when this is dropped (a file that was renamed is gone by
/// then).
pub(super) struct Partial(pub(super) PathBuf);

impl Partial {
    /// In `directory`, and different from the names of other threads and processes.
    pub(super) fn beside(directory: &Path) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        Self(directory.join(format!("{PARTIAL}{}-{count}-{since}", std::process::id())))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; `remove_leftovers` tries again another day.
        let _ = if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
    }
}

/// Removes what processes left that were killed while they filled `directory`: unfinished and older than a day.
pub(super) fn remove_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let unfinished = entry.file_name().to_string_lossy().starts_with(PARTIAL);
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        if unfinished && age.is_some_and(|age| age > Duration::from_secs(24 * 3_600)) {
            drop(Partial(entry.path()));
        }
    }
}

/// The cache folder of this user: `UCAP_CACHE`, else `ucap` in the user's cache folder. `variable` looks an
/// environment variable up; an empty one counts as missing.
///
/// `None` when the environment names no home either: then the cache must be given.
pub fn cache_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = path("UCAP_CACHE") {
        return Some(cache);
    }
    let user = if cfg!(target_os = "macos") {
        path("HOME").map(|home| home.join("Library/Caches"))
    } else if cfg!(windows) {
        path("LOCALAPPDATA")
    } else {
        // The XDG specification ignores a relative path.
        let named = path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        named.or_else(|| path("HOME").map(|home| home.join(".cache")))
    };
    user.map(|user| user.join("ucap"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
