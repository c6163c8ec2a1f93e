//! What the disk allows: the figure that every durable write is shown beside.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder on the disk that is built on; `/tmp` may lie in memory, where a flush costs nothing.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written")
}

/// A file that grows by a block and is flushed to the device each time: nothing durable is faster than this, one after the other.
pub(crate) struct Appended {
    file: File,
    block: Vec<u8>,
}

impl Appended {
    /// A new file in `folder`, for blocks of `bytes`.
    pub(crate) fn new(folder: &Path, bytes: usize) -> Self {
        let path: PathBuf = folder.join("limit");
        let file = OpenOptions::new().create(true).append(true).open(path).expect("a file can be made");
        Self { file, block: vec![b'x'; bytes] }
    }

    /// Appends one block and waits for `fdatasync`.
    pub(crate) fn append(&mut self) {
        self.file.write_all(&self.block).expect("the disk takes a block");
        self.file.sync_data().expect("the disk flushes");
    }
}
