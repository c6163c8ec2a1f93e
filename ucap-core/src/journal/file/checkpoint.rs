//! `HEAD`: how far the journal is known to have been flushed, so that a start reads little and a cut tail shows.
//!
//! Two slots of a fixed size are written in turn, so that a torn write leaves the other. A slot is written after the
//! flush that it tells of, and not flushed itself except when a segment ends and at close: it may be old, never ahead.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::chain::{ChainHead, EntryHash};
use super::super::envelope::check_of;
use crate::data_directory::private;

const SLOT_BYTES: usize = 256;
/// The file's name in the journal's directory.
pub(super) const NAME: &str = "HEAD";

/// A place in the journal that is on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Counts the writes: the larger of the two slots is the newer.
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) hash: EntryHash,
    pub(super) segment: u32,
    /// Where the entry's line starts and ends in the segment; both 0 for an empty journal.
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Checkpoint {
    pub(super) fn head(&self) -> ChainHead {
        ChainHead { sequence: self.sequence, hash: self.hash }
    }
}

/// The open `HEAD` file. Whoever holds it holds the journal.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    file: File,
    generation: u64,
}

impl CheckpointFile {
    /// Opens or creates it and takes its lock. `WouldBlock` when another journal holds it.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Option<Checkpoint>)> {
        let path = directory.join(NAME);
        let mut file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)?;
        file.try_lock()?;
        let newest = read_slots(&mut file)?;
        let generation = newest.map_or(0, |checkpoint| checkpoint.generation);
        Ok((Self { file, generation }, newest))
    }

    /// Writes the next slot; `flush` makes it survive power loss at once.
    pub(super) fn write(&mut self, mut checkpoint: Checkpoint, flush: bool) -> io::Result<()> {
        self.generation += 1;
        checkpoint.generation = self.generation;
        let mut slot = serde_json::to_vec(&checkpoint)?;
        let check = check_of(&slot);
        slot.push(b' ');
        slot.extend_from_slice(&check);
        slot.resize(SLOT_BYTES - 1, b' ');
        slot.push(b'\n');
        self.file.seek(SeekFrom::Start((self.generation % 2) * SLOT_BYTES as u64))?;
        self.file.write_all(&slot)?;
        if flush { self.file.sync_data() } else { Ok(()) }
    }
}

/// The newest checkpoint of `directory`, without taking the lock.
pub(super) fn peek(directory: &Path) -> io::Result<Option<Checkpoint>> {
    match File::open(directory.join(NAME)) {
        Ok(mut file) => read_slots(&mut file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_slots(file: &mut File) -> io::Result<Option<Checkpoint>> {
    let mut bytes = Vec::with_capacity(2 * SLOT_BYTES);
    file.take(2 * SLOT_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes.chunks(SLOT_BYTES).filter_map(read_slot).max_by_key(|checkpoint| checkpoint.generation))
}

fn read_slot(slot: &[u8]) -> Option<Checkpoint> {
    let text = slot.trim_ascii_end();
    let (body, check) = text.split_at_checked(text.len().checked_sub(16)?)?;
    let body = body.strip_suffix(b" ")?;
    if check_of(body) != check {
        return None;
    }
    serde_json::from_slice(body).ok()
}
