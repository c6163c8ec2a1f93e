//! The journal as files: `000001.log`, `000002.log`, … with a line of JSON for each entry, and `HEAD`.
//!
//! A thread of its own writes; callers wait for it without blocking the executor. What a start finds and does is told
//! in `recovery.rs`, what an operator can do about damage in `repair.rs`, what the lines look like in `envelope.rs`. A group of entries never spans two segments, so segments
//! exceed their size by at most one append.

mod backwards;
mod checkpoint;
mod inspection;
mod io;
mod recovery;
mod repair;
mod segment;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Error as IoError, ErrorKind as IoErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::chain::ChainHead;
use super::memory::closed;
use super::verify::Verification;
use super::{Durability, JournalStore, MAX_PAGE_ENTRIES, NewEntry, Page, Prepared, ReadBack};
use crate::clock::Clock;
use crate::data_directory::{create_private, sync_directory};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use backwards::{BackwardLines, seek_before};
use checkpoint::{Checkpoint, CheckpointFile};
pub use io::{DiskIo, SegmentFile, SegmentIo};
use recovery::{Tail, recover, unreadable};
pub use repair::{Repair, SetAside};
use writer::{Command, Writer, erase_failed, unpoisoned};

/// Bytes that may wait for the writer, in KiB.
const IN_FLIGHT_KIB: usize = 32 << 10;
/// How much one page may read.
const PAGE_READ_BYTES: u64 = 256 << 20;
/// How much of the files the entries of one page may take.
const PAGE_ENTRY_BYTES: u64 = 16 << 20;

/// How a [`FileJournal`] is kept.
#[derive(Debug, Clone)]
pub struct FileJournalOptions {
    /// A segment that has reached this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// What was appended with [`Durability::Process`] is flushed at the latest after this.
    pub sync_interval: Duration,
    /// Every append gets at least this: `journal.durability`.
    pub durability: Durability,
    /// Heads that were kept outside; each must be on the chain, else the journal is refused as damaged.
    pub anchors: Vec<ChainHead>,
    /// The disk; a test can put another here.
    pub io: Arc<dyn SegmentIo>,
}

impl Default for FileJournalOptions {
    /// Segments of 64 MiB, a flush each second, [`Durability::Process`], no anchors.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            sync_interval: Duration::from_secs(1),
            durability: Durability::Process,
            anchors: Vec::new(),
            io: Arc::new(DiskIo),
        }
    }
}

/// Keeps a journal in a directory. Dropping it flushes and waits for its thread; [`JournalStore::close`] also reports.
#[derive(Debug)]
pub struct FileJournal {
    directory: PathBuf,
    least: Durability,
    anchors: Vec<ChainHead>,
    published: Arc<Mutex<Tail>>,
    poison: Arc<Mutex<Option<String>>>,
    in_flight: Arc<Semaphore>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    /// Held by whoever replaces a segment.
    erasing: Arc<Mutex<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileJournal {
    /// Opens the journal in `directory`, which is created if need be. Blocks for a few reads; its time does not grow with
    /// the journal.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be used or another process has it open; `Internal` when entries that had
    /// been flushed, or an anchor, are missing or changed (see [`Self::repair_directory`]).
    pub fn open(
        directory: &Path,
        options: FileJournalOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        create_private(directory).map_err(|e| unreadable(directory, e))?;
        let (mut checkpoint, newest) = take_head(directory)?;
        let tail = recover(directory, newest, &options.anchors)?;
        let mut prepare = || {
            if newest.is_none() {
                // On the device before any segment is: a segment without it would look like damage.
                checkpoint.write(tail.checkpoint(), true)?;
                sync_directory(directory)?;
            }
            let file = options.io.open(&segment::path_of(directory, tail.segment))?;
            sync_directory(directory)?;
            Ok(file)
        };
        let file = prepare().map_err(|e| unreadable(directory, e))?;
        let published = Arc::new(Mutex::new(tail));
        let erasing = Arc::new(Mutex::new(()));
        let poison = Arc::new(Mutex::new(None));
        let writer = Writer {
            directory: directory.to_owned(),
            segment_bytes: options.segment_bytes,
            sync_interval: options.sync_interval,
            clock,
            entropy,
            io: options.io,
            checkpoint,
            file,
            tail,
            published: Arc::clone(&published),
            erasing: Arc::clone(&erasing),
            ahead: tail,
            buffer: Vec::new(),
            dirty: Some(std::time::Instant::now()), // what the last process wrote may not have been flushed
            poison: Arc::clone(&poison),
        };
        let (sender, receiver) = mpsc::channel();
        let journal = Self {
            directory: directory.to_owned(),
            least: options.durability,
            anchors: options.anchors,
            published,
            poison,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB)),
            commands: Mutex::new(Some(sender)),
            erasing,
            thread: Mutex::new(None),
        };
        let thread = std::thread::Builder::new()
            .name("ucap-journal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| unreadable(directory, e))?;
        *journal.thread.lock() = Some(thread);
        Ok(journal)
    }

    /// Verifies the journal in `directory` without opening it for writing, as it stands after a stop or in a backup; a
    /// directory that does not exist is an empty journal. Blocks while it reads everything.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read.
    pub fn verify_directory(directory: &Path, anchors: Vec<ChainHead>) -> Result<Verification> {
        let head = checkpoint::peek(directory).map_err(|e| unreadable(directory, e))?;
        let inspection = inspection::at_rest(directory, head, anchors);
        inspection.map(|inspection| inspection.verification).map_err(|e| unreadable(directory, e))
    }

    /// Makes a broken journal whole again, as far as that goes: everything from the first entry that does not fit is put
    /// aside in `set-aside-<n>` (moved or copied, never deleted), and the chain goes on with an entry of kind
    /// [`REPAIRED`](super::REPAIRED) that says what was broken, what fitted, and the hashes of the files put aside. `None`
    /// when nothing is broken; a torn end is no damage, [`Self::open`] recovers from it. Blocks while it reads everything.
    ///
    /// `missing` is what other evidence than the files and `anchors` tells to be missing.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open or a file cannot be read or written. What was put aside by then
    /// stays, the journal is still refused, and a second attempt goes on from there.
    pub fn repair_directory(
        directory: &Path,
        anchors: Vec<ChainHead>,
        missing: Option<&str>,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Option<Repair>> {
        create_private(directory).map_err(|e| unreadable(directory, e))?;
        let (checkpoint, newest) = take_head(directory)?;
        repair::repair(directory, (checkpoint, newest), anchors, missing, clock, entropy)
    }

    fn send(&self, command: Command) -> Result<()> {
        let commands = self.commands.lock();
        commands.as_ref().and_then(|commands| commands.send(command).ok()).ok_or_else(closed)
    }

    /// Sends the command that `make` builds around a reply, and waits for it.
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply))?;
        answer.await.map_err(|_| closed())?
    }

    /// Runs `work` where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let directory = self.directory.clone();
        let run = move || work(&directory).map_err(|e| unreadable(&directory, e));
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|e| Error::internal("reading the journal ended early").with_source(e))?
    }
}

#[async_trait]
impl JournalStore for FileJournal {
    async fn append(&self, entries: Vec<NewEntry>, durability: Durability) -> Result<u64> {
        let (entries, bytes) = Prepared::all(entries)?;
        let durability = durability.max(self.least);
        let kib = u32::try_from(bytes.div_ceil(1024).min(IN_FLIGHT_KIB)).unwrap_or(1);
        let permit = Arc::clone(&self.in_flight).acquire_many_owned(kib).await.map_err(|_| closed())?;
        self.ask(|reply| Command::Append { entries, durability, reply, permit }).await
    }

    async fn read_back(&self, query: ReadBack) -> Result<Page> {
        let tail = *self.published.lock();
        self.blocking(move |directory| read_page(directory, &tail, &query, PAGE_READ_BYTES)).await
    }

    async fn erase(&self, sequences: BTreeSet<u64>) -> Result<u64> {
        if self.commands.lock().is_none() {
            return Err(closed());
        }
        let tail = *self.published.lock();
        let affected = self.blocking(move |directory| segments_of(directory, &tail, &sequences)).await?;
        let mut erased = 0;
        for (number, sequences) in affected {
            let sequences = Arc::new(sequences);
            erased += if number < tail.segment {
                let erasing = Arc::clone(&self.erasing);
                self.blocking(move |directory| {
                    // Held here and not by the caller, who may stop waiting while this goes on.
                    let _one_at_a_time = erasing.lock();
                    Ok(segment::erase(directory, number, &sequences).map_err(|e| erase_failed(number, e)))
                })
                .await??
            } else {
                self.ask(|reply| Command::Erase { segment: number, sequences, reply }).await?
            };
        }
        Ok(erased)
    }

    async fn head(&self) -> Result<ChainHead> {
        unpoisoned(&self.poison)?;
        Ok(self.published.lock().chain.head())
    }

    async fn verify_against(&self, mut anchors: Vec<ChainHead>) -> Result<Verification> {
        let tail = *self.published.lock();
        anchors.push(tail.chain.head());
        anchors.extend_from_slice(&self.anchors);
        self.blocking(move |directory| inspection::in_use(directory, &tail, anchors)).await
    }

    async fn sync(&self) -> Result<()> {
        self.ask(|reply| Command::Sync { reply }).await
    }

    async fn close(&self) -> Result<()> {
        if self.commands.lock().is_none() {
            return Ok(());
        }
        let outcome = self.ask(|reply| Command::Close { reply }).await;
        *self.commands.lock() = None;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // Once it is gone, so is the lock, and the directory can be opened again.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        outcome
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        *self.commands.lock() = None;
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread had failed");
        }
    }
}

/// Opens `HEAD` and takes its lock.
fn take_head(directory: &Path) -> Result<(CheckpointFile, Option<Checkpoint>)> {
    CheckpointFile::open(directory).map_err(|e| match e.kind() {
        IoErrorKind::WouldBlock => {
            let message =
                format!("the journal in {} is open in another process (its HEAD is locked)", directory.display());
            Error::new(ErrorKind::Unavailable, message)
        }
        _ => unreadable(directory, e),
    })
}

/// The segments up to the tail's, newest first, that may hold entries below `before`.
fn segments_before(directory: &Path, tail: &Tail, before: Option<u64>) -> std::io::Result<Vec<u32>> {
    let mut numbers = segment::list(directory)?;
    numbers.retain(|number| *number <= tail.segment);
    if let Some(before) = before {
        // Bisection over the first entries; given up where a segment does not tell (it is new, or broken).
        let mut outcome = Ok(true);
        let keep = numbers.partition_point(|number| match first_sequence(directory, *number) {
            Ok(Some(first)) => first < before,
            Ok(None) => {
                outcome = Ok(false);
                false
            }
            Err(e) => {
                outcome = Err(e);
                false
            }
        });
        if outcome? {
            numbers.truncate(keep);
        }
    }
    numbers.reverse();
    Ok(numbers)
}

fn first_sequence(directory: &Path, number: u32) -> std::io::Result<Option<u64>> {
    Ok(segment::first_record(&segment::path_of(directory, number))?.map(|record| record.sequence))
}

/// Reads a page; after about `budget` bytes it ends where it is.
fn read_page(directory: &Path, tail: &Tail, query: &ReadBack, budget: u64) -> std::io::Result<Page> {
    let limit = query.limit.clamp(1, MAX_PAGE_ENTRIES);
    let mut page = Page::default();
    let (mut read, mut taken) = (0, 0);
    for number in segments_before(directory, tail, query.before)? {
        let path = segment::path_of(directory, number);
        let end = if number == tail.segment { tail.end } else { fs::metadata(&path)?.len() };
        let end = query.before.map_or(Ok(end), |before| seek_before(&path, end, before))?;
        let mut lines = BackwardLines::open(&path, end)?;
        lines.look_for(query.principal.as_deref())?;
        while let Some(line) = lines.step()? {
            read += line.end - line.start;
            if line.passed_over {
                if read >= budget {
                    lines.look_for(None)?; // enough for one page; the next line tells where the next one starts
                }
                continue;
            }
            let Some(record) = line.record.filter(|record| record.keeps_commitment()) else {
                tracing::error!(segment = %path.display(), offset = line.start, "a journal line is broken; verify the journal");
                continue;
            };
            if query.before.is_some_and(|before| record.sequence >= before) {
                continue; // bisection is not exact; and a page must always get further than the one before
            }
            if query.principal.as_ref().is_none_or(|principal| *principal == record.principal) {
                page.entries.push(record.to_entry().map_err(IoError::other)?);
                taken += line.end - line.start;
            }
            if page.entries.len() == limit || taken >= PAGE_ENTRY_BYTES || read >= budget {
                page.next = (record.sequence > 1).then_some(record.sequence);
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// Which of `sequences` may stand in which segment, by the segments' first entries.
fn segments_of(
    directory: &Path,
    tail: &Tail,
    sequences: &BTreeSet<u64>,
) -> std::io::Result<BTreeMap<u32, BTreeSet<u64>>> {
    let mut affected = BTreeMap::new();
    let mut below = None::<u64>;
    let Some(least) = sequences.first() else { return Ok(affected) };
    for number in segments_before(directory, tail, None)? {
        let Some(first) = first_sequence(directory, number)? else { continue };
        let here: BTreeSet<u64> =
            sequences.range(first..).copied().filter(|sequence| below.is_none_or(|below| *sequence < below)).collect();
        if !here.is_empty() {
            affected.insert(number, here);
        }
        if first <= *least {
            break;
        }
        below = Some(first);
    }
    Ok(affected)
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
