//! The one thread that writes: it drains what waits, writes once, flushes once if anybody asked, then answers everybody.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::{Durability, Prepared};
use super::checkpoint::CheckpointFile;
use super::io::{SegmentFile, SegmentIo};
use super::recovery::Tail;
use super::segment;
use crate::clock::Clock;
use crate::data_directory::sync_directory;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};

/// The most bytes that one write gathers.
const BATCH_BYTES: usize = 4 << 20;
/// The most requests that one flush answers.
const BATCH_REQUESTS: usize = 1024;

/// What callers ask of the writer.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        entries: Vec<Prepared>,
        durability: Durability,
        reply: oneshot::Sender<Result<u64>>,
        /// Keeps the bytes in flight bounded; given back once they are written.
        permit: OwnedSemaphorePermit,
    },
    Erase {
        segment: u32,
        sequences: Arc<BTreeSet<u64>>,
        reply: oneshot::Sender<Result<u64>>,
    },
    Sync {
        reply: oneshot::Sender<Result<()>>,
    },
    Close {
        reply: oneshot::Sender<Result<()>>,
    },
}

/// An append that is in the buffer or written, and not answered.
#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Result<u64>>,
    sequence: u64,
    _permit: OwnedSemaphorePermit,
}

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) sync_interval: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) io: Arc<dyn SegmentIo>,
    pub(super) checkpoint: CheckpointFile,
    pub(super) file: Box<dyn SegmentFile>,
    /// The end of what is written.
    pub(super) tail: Tail,
    /// The same, for readers.
    pub(super) published: Arc<Mutex<Tail>>,
    /// Held by whoever replaces a segment.
    pub(super) erasing: Arc<Mutex<()>>,
    /// The end of what is in the buffer.
    pub(super) ahead: Tail,
    pub(super) buffer: Vec<u8>,
    /// Since when something is written and not flushed.
    pub(super) dirty: Option<Instant>,
    /// Why nothing can be written any more; the journal's readers look at it too.
    pub(super) poison: Arc<Mutex<Option<String>>>,
}

impl Writer {
    /// Serves until told to close or until every caller is gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let first = match self.dirty {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => commands.recv_timeout(self.sync_interval.saturating_sub(since.elapsed())),
            };
            match first {
                Ok(Command::Close { reply }) => {
                    // Failing to answer means that nobody waits; here and below there is nobody to tell.
                    let _ = reply.send(self.finish());
                    return;
                }
                Ok(command) => {
                    if let Some(reply) = self.serve(command, commands) {
                        let _ = reply.send(self.finish());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.flush_in_background(),
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(e) = self.finish() {
                        tracing::error!(error = %e, "the journal could not be flushed at its end");
                    }
                    return;
                }
            }
            if self.dirty.is_some_and(|since| since.elapsed() >= self.sync_interval) {
                self.flush_in_background(); // a steady stream of appends must not put it off
            }
        }
    }

    /// Serves `command` and what waits behind it; hands back a `Close` that it met.
    fn serve(&mut self, command: Command, commands: &Receiver<Command>) -> Option<oneshot::Sender<Result<()>>> {
        let mut waiting = Vec::new();
        let mut flush = false;
        let mut next = Some(command);
        while let Some(command) = next {
            match command {
                Command::Append { entries, durability, reply, permit } => {
                    match self.gather(entries) {
                        Ok(sequence) => waiting.push(Waiting { reply, sequence, _permit: permit }),
                        Err(e) => drop(reply.send(Err(e))),
                    }
                    flush |= durability == Durability::Disk;
                    if self.ahead.end >= self.segment_bytes {
                        self.commit(&mut waiting, true);
                        self.rotate();
                        flush = false;
                    }
                }
                Command::Erase { segment, sequences, reply } => {
                    self.commit(&mut waiting, true);
                    flush = false;
                    let _ = reply.send(self.erase(segment, &sequences));
                }
                Command::Sync { reply } => {
                    self.commit(&mut waiting, true);
                    flush = false;
                    let _ = reply.send(self.check());
                }
                Command::Close { reply } => {
                    self.commit(&mut waiting, true);
                    return Some(reply);
                }
            }
            let full = waiting.len() >= BATCH_REQUESTS || self.buffer.len() >= BATCH_BYTES;
            next = if full { None } else { commands.try_recv().ok() };
        }
        self.commit(&mut waiting, flush);
        None
    }

    fn check(&self) -> Result<()> {
        unpoisoned(&self.poison)
    }

    /// Puts an append into the buffer: all of it or nothing.
    fn gather(&mut self, entries: Vec<Prepared>) -> Result<u64> {
        self.check()?;
        let (before, length) = (self.ahead, self.buffer.len());
        let stamped = self.stamp(entries);
        if stamped.is_err() {
            self.ahead = before;
            self.buffer.truncate(length);
        }
        stamped
    }

    fn stamp(&mut self, entries: Vec<Prepared>) -> Result<u64> {
        let now = self.clock.now();
        let mut more = entries.len() as u32;
        for entry in entries {
            more -= 1;
            let record = self.ahead.chain.stamp(entry, more, now, &*self.entropy)?;
            let bytes = record.write_line(&mut self.buffer)?;
            self.ahead.start = self.ahead.end;
            self.ahead.end += bytes as u64;
        }
        Ok(self.ahead.chain.sequence)
    }

    /// Writes the buffer, flushes if asked to, and answers all who wait.
    fn commit(&mut self, waiting: &mut Vec<Waiting>, flush: bool) {
        let outcome = self.write().and_then(|()| if flush { self.flush() } else { Ok(()) });
        for Waiting { reply, sequence, .. } in waiting.drain(..) {
            let answer = match &outcome {
                Ok(()) => Ok(sequence),
                Err(_) => Err(poisoned(self.poison.lock().as_deref().unwrap_or("a write failed"))),
            };
            let _ = reply.send(answer);
        }
    }

    fn write(&mut self) -> Result<()> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(BATCH_BYTES);
        if let Err(e) = written {
            // What was written of it must not be followed by anything; the next start would cut it, too.
            let cut = self.file.truncate(self.tail.end);
            self.ahead = self.tail;
            return Err(self.fail(if cut.is_ok() { "a write failed" } else { "a write failed half way" }, e));
        }
        self.tail = self.ahead;
        *self.published.lock() = self.tail;
        self.dirty.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.check()?;
        if self.dirty.is_none() {
            return Ok(());
        }
        // After a failed flush the kernel may have dropped what it could not write: trying again would lie.
        self.file.sync_data().map_err(|e| self.fail("a flush failed", e))?;
        self.dirty = None;
        self.write_checkpoint(false)
    }

    /// Records the end of what is flushed. At the start of a segment there is no line to point at, and the last
    /// checkpoint, at the end of the segment before, still holds.
    fn write_checkpoint(&mut self, flush: bool) -> Result<()> {
        if self.tail.end == 0 {
            return Ok(());
        }
        self.checkpoint.write(self.tail.checkpoint(), flush).map_err(|e| self.fail("HEAD cannot be written", e))
    }

    fn flush_in_background(&mut self) {
        if self.flush().is_err() {
            self.dirty = None; // poisoned: there is nothing to try again
        }
    }

    fn fail(&mut self, what: &str, e: io::Error) -> Error {
        let reason = format!("{what} in {}: {e}", self.directory.display());
        tracing::error!(reason, "the journal takes no more entries until it is opened again");
        let error = poisoned(&reason).with_source(e);
        self.poison.lock().get_or_insert(reason);
        error
    }

    /// Ends the segment, whose content is flushed, and begins the next.
    fn rotate(&mut self) {
        if self.check().is_err() {
            return;
        }
        if let Err(e) = self.begin_segment() {
            self.fail("the next segment cannot be begun", e);
        }
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.checkpoint.write(self.tail.checkpoint(), true)?;
        let next = self.tail.segment.checked_add(1).ok_or_else(|| io::Error::other("no segment number is left"))?;
        self.file = self.io.open(&segment::path_of(&self.directory, next))?;
        sync_directory(&self.directory)?;
        // The checkpoint stays at the last entry, which stands in the segment that ended.
        self.tail = Tail { segment: next, start: 0, end: 0, chain: self.tail.chain };
        self.ahead = self.tail;
        *self.published.lock() = self.tail;
        Ok(())
    }

    fn erase(&mut self, number: u32, sequences: &BTreeSet<u64>) -> Result<u64> {
        self.check()?;
        let erasing = Arc::clone(&self.erasing);
        let _one_at_a_time = erasing.lock();
        let erased = segment::erase(&self.directory, number, sequences).map_err(|e| erase_failed(number, e))?;
        if number == self.tail.segment {
            // The file was replaced: appending to the old one would write into nothing.
            let path = segment::path_of(&self.directory, number);
            self.file = self.io.open(&path).map_err(|e| self.fail("the segment cannot be opened again", e))?;
        }
        Ok(erased)
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.write_checkpoint(true)
    }
}

pub(super) fn erase_failed(number: u32, e: io::Error) -> Error {
    let message = format!("payloads in journal segment {number:06}.log cannot be erased: {e}; try again");
    Error::new(ErrorKind::Unavailable, message).with_source(e)
}

/// Whether entries can still be written.
pub(super) fn unpoisoned(poison: &Mutex<Option<String>>) -> Result<()> {
    match &*poison.lock() {
        None => Ok(()),
        Some(reason) => Err(poisoned(reason)),
    }
}

fn poisoned(reason: &str) -> Error {
    let message =
        format!("nothing can be recorded in the journal, so nothing may be done: {reason}; mend it and restart");
    Error::new(ErrorKind::Unavailable, message)
}
