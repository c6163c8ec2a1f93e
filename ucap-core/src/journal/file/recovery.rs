//! What a start finds: where the chain ends, and what to do with what does not belong to it.
//!
//! The start reads the checkpoint, the line it names, and what stands behind: what was written since the last flush. So
//! its time does not grow with the journal.
//! - Bytes behind the checkpoint that do not continue the chain were never flushed (a torn write, power loss): they are
//!   moved to a file `….torn` beside the segment, with a warning, and the journal goes on.
//! - When the checkpoint itself, or a head that was kept outside, cannot be found again, entries that had been flushed are
//!   gone or changed. That is no crash: the start is refused, until an operator restores or repairs it (`repair.rs`).
//! - A broken line before the checkpoint is not looked for at the start, and never cut: verification names it, for ever.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::chain::{Chain, ChainHead, link};
use super::super::envelope::Record;
use super::super::{Entry, ReadBack};
use super::checkpoint::Checkpoint;
use super::segment::{Lines, Step, erasing_path, list, path_of};
use super::{PAGE_READ_BYTES, read_page};
use crate::data_directory::{private, sync_directory};
use crate::error::{Error, ErrorKind, Result};

/// Where the journal ends: the next line goes to `end` of `segment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) segment: u32,
    /// Where the last entry's line starts and ends.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) chain: Chain,
}

impl Tail {
    pub(super) fn genesis() -> Self {
        Self { segment: 1, start: 0, end: 0, chain: Chain::genesis() }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            generation: 0,
            sequence: self.chain.sequence,
            hash: self.chain.hash,
            segment: self.segment,
            start: self.start,
            end: self.end,
        }
    }
}

/// Finds the end of the journal in `directory`, and puts aside what does not belong to it.
pub(super) fn recover(directory: &Path, checkpoint: Option<Checkpoint>, anchors: &[ChainHead]) -> Result<Tail> {
    let failed = |e: io::Error| unreadable(directory, e);
    let segments = list(directory).map_err(failed)?;
    remove_unfinished(directory, &segments).map_err(failed)?;
    let found = follow(directory, checkpoint, &segments).map_err(failed)?;
    let tail = found.and_then(|tail| match missing_anchor(directory, &tail, anchors).map_err(failed) {
        Ok(None) => Ok(Ok(tail)),
        Ok(Some(damage)) => Err(damage),
        Err(e) => Ok(Err(e)),
    });
    let tail = tail.map_err(|damage| refused(directory, &damage))??;
    put_aside(directory, &tail, &segments).map_err(failed)?;
    Ok(tail)
}

fn refused(directory: &Path, damage: &str) -> Error {
    let message = format!(
        "the journal in {} is damaged: {damage}; `ucap audit verify` says more, then restore it from a backup, or go on \
         behind its last good entry with `ucap audit repair`",
        directory.display()
    );
    Error::new(ErrorKind::Internal, message)
}

/// The sentence that says which of `anchors` is not on the chain that ends in `tail`.
fn missing_anchor(directory: &Path, tail: &Tail, anchors: &[ChainHead]) -> io::Result<Option<String>> {
    for ChainHead { sequence, hash } in anchors.iter().copied().filter(|anchor| anchor.sequence > 0) {
        let last = tail.chain.sequence;
        if sequence > last {
            return Ok(Some(format!("it ends with entry {last} although it once reached entry {sequence}")));
        }
        let query = ReadBack { before: Some(sequence + 1), limit: 1, principal: None };
        let page = read_page(directory, tail, &query, PAGE_READ_BYTES)?;
        if page.entries.first().map(Entry::head) != Some(ChainHead { sequence, hash }) {
            return Ok(Some(format!("entry {sequence} is not the one that was anchored")));
        }
    }
    Ok(None)
}

/// Copies that an erasure did not finish still hold payloads.
pub(super) fn remove_unfinished(directory: &Path, segments: &[u32]) -> io::Result<()> {
    for number in segments {
        match fs::remove_file(erasing_path(directory, *number)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The journal cannot be used for a reason of the system's.
pub(super) fn unreadable(directory: &Path, e: io::Error) -> Error {
    let message = format!("the journal in {} cannot be read: {e}", directory.display());
    Error::new(ErrorKind::Unavailable, message).with_source(e)
}

/// From the checkpoint on to the last complete append; or the sentence that says what is damaged.
fn follow(
    directory: &Path,
    checkpoint: Option<Checkpoint>,
    segments: &[u32],
) -> io::Result<std::result::Result<Tail, String>> {
    let mut tail = match checkpoint {
        None if segments.is_empty() => return Ok(Ok(Tail::genesis())),
        None => return Ok(Err("its HEAD file is missing or broken".to_owned())),
        Some(at) if at.sequence == 0 => Tail::genesis(),
        Some(at) => match record_at(directory, &at)? {
            Some(record) => Tail { segment: at.segment, start: at.start, end: at.end, chain: Chain::after(&record) },
            None => {
                let sequence = at.sequence;
                return Ok(Err(format!("entry {sequence}, which had been flushed, is missing or was changed")));
            }
        },
    };
    let first = tail.segment;
    let later: Vec<u32> = segments.iter().copied().filter(|number| *number >= first).collect();
    for (number, expected) in later.iter().copied().zip(first..) {
        if number != expected {
            return Ok(Err(format!("segment {expected:06}.log is missing and others follow it")));
        }
        let from = if number == tail.segment { tail.end } else { 0 };
        let whole = walk(directory, number, from, &mut tail)?;
        if !whole && later.last() != Some(&number) {
            return Ok(Err(format!("{number:06}.log has broken lines and other segments follow it")));
        }
    }
    Ok(Ok(tail))
}

fn record_at(directory: &Path, at: &Checkpoint) -> io::Result<Option<Record>> {
    let mut lines = match Lines::open(&path_of(directory, at.segment), at.start, at.end) {
        Ok(lines) => lines,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(match lines.step()? {
        Step::Entry { record, end, .. } if end == at.end => {
            Some(*record).filter(|record| record.sequence == at.sequence && record.hash == at.hash)
        }
        Step::Entry { .. } | Step::Broken | Step::End => None,
    })
}

/// Moves `tail` over the complete appends of one segment; false when something else follows them.
fn walk(directory: &Path, number: u32, from: u64, tail: &mut Tail) -> io::Result<bool> {
    let mut lines = Lines::open(&path_of(directory, number), from, u64::MAX)?;
    let (mut chain, mut pending) = (tail.chain, 0);
    (tail.segment, tail.end) = (number, from);
    loop {
        match lines.step()? {
            Step::Entry { record, start, end } => {
                let continues = record.sequence == chain.sequence + 1
                    && record.hash == link(&chain.hash, &record)
                    && (pending == 0 || record.more == pending - 1);
                if !continues {
                    return Ok(false);
                }
                chain = Chain::after(&record);
                pending = record.more;
                if pending == 0 {
                    *tail = Tail { segment: number, start, end, chain };
                }
            }
            Step::Broken => return Ok(false),
            Step::End => return Ok(pending == 0),
        }
    }
}

/// Moves everything behind `tail` to `….torn` files.
fn put_aside(directory: &Path, tail: &Tail, segments: &[u32]) -> io::Result<()> {
    for number in segments.iter().copied().filter(|number| *number >= tail.segment) {
        let path = path_of(directory, number);
        let keep = if number == tail.segment { tail.end } else { 0 };
        let length = fs::metadata(&path)?.len();
        if length > keep {
            let torn = free_name(directory, number, keep)?;
            tracing::warn!(
                segment = %path.display(),
                bytes = length - keep,
                kept_in = %torn.display(),
                "the journal's end was not written completely and is put aside"
            );
            let mut source = File::open(&path)?;
            source.seek(SeekFrom::Start(keep))?;
            let mut copy = private(OpenOptions::new().write(true).create_new(true)).open(&torn)?;
            io::copy(&mut source, &mut copy)?;
            copy.sync_all()?;
            sync_directory(directory)?;
        }
        if number == tail.segment {
            let segment = OpenOptions::new().write(true).open(&path)?;
            segment.set_len(keep)?;
            segment.sync_all()?;
        } else {
            fs::remove_file(&path)?;
            sync_directory(directory)?;
        }
    }
    Ok(())
}

fn free_name(directory: &Path, number: u32, offset: u64) -> io::Result<PathBuf> {
    for count in 1..10_000 {
        let path = directory.join(format!("{number:06}.log.{offset}.{count}.torn"));
        if !path.try_exists()? {
            return Ok(path);
        }
    }
    Err(io::Error::other("too many .torn files; move them away"))
}
