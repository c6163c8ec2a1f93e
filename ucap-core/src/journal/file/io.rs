//! What the writer asks of a disk, as a port: a test or a fault plan can stand in for it.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::data_directory::private;

/// A segment that is open for appending.
pub trait SegmentFile: Debug + Send {
    /// Writes all of `bytes` at the end.
    ///
    /// # Errors
    /// The system's; a part may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Flushes the content to the device (fdatasync).
    ///
    /// # Errors
    /// The system's; what was written before may be lost, whatever a later call says.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

/// Opens segments for the writer.
pub trait SegmentIo: Debug + Send + Sync + 'static {
    /// Opens `path` for appending, and creates it (for its owner alone) when it does not exist.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
}

/// The real disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct DiskIo;

impl SegmentIo for DiskIo {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(private(OpenOptions::new().append(true).create(true)).open(path)?))
    }
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}
