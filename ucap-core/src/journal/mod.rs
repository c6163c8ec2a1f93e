//! The journal: an append-only, hash-chained record of everything consequential.
//!
//! This crate knows the envelope ([`Entry`]), the chain and its verification. The crates that write register nothing
//! here but what an entry carries: a `kind` (such as `tool.called`) and the `version` of its payload.
//!
//! # What the chain covers
//! Each entry's BLAKE3 hash covers the hash of the entry before it, every field of the envelope, and a *commitment* to
//! the payload: the payload's text hashed under a random key of its own. Destroying the payload together with that key
//! ([`JournalStore::erase`]) therefore leaves the chain intact, and what is left tells nothing about what was there.
//!
//! # What verification can and cannot show
//! It finds changed bytes, missing, added and reordered entries, and a tail cut off below a known [`ChainHead`]. The file
//! backend keeps one beside the segments; whoever can rewrite the whole directory can rewrite that too. Anchor
//! [`JournalStore::head`] somewhere else now and then, and hand it to [`JournalStore::verify_against`].
//!
//! A broken chain stays broken until [`FileJournal::repair_directory`] puts aside what does not fit. The chain then goes on
//! behind its last good entry with one of kind [`REPAIRED`] that says what was broken and holds the hashes of what was put
//! aside: it verifies again, and [`Verification::breaks`] tells that it once did not.
//!
//! # Time
//! `at` never decreases along the chain: when the clock goes back, entries keep the time of the last one until the clock
//! has caught up. Times have microseconds, so that every backend can keep them.

mod chain;
mod envelope;
/// The backend for one machine: segment files in a directory.
pub mod file;
mod memory;
mod verify;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{Error, ErrorKind, Result};

pub use chain::{ChainHead, EntryHash};
pub use file::{FileJournal, FileJournalOptions, Repair, SetAside};
pub use memory::MemoryJournal;
pub use verify::{Place, REPAIRED, Verification};

/// The most entries that one append takes.
pub const MAX_APPEND_ENTRIES: usize = 1024;
/// The most bytes of payload text that one entry takes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// How deep a payload may be nested: JSON readers refuse more than 128.
pub const MAX_PAYLOAD_DEPTH: usize = 100;
/// The most bytes that one append takes, payloads and envelopes together.
pub const MAX_APPEND_BYTES: usize = 8 << 20;
/// The most entries on one page.
pub const MAX_PAGE_ENTRIES: usize = 1000;

/// What an append waits for before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Written to the kernel: survives the death of the process. Power loss may forget about the last second.
    Process,
    /// Flushed to the device (fdatasync, shared by all who wait): survives power loss.
    Disk,
}

/// What a writer hands in; sequence, time and hash are the journal's.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// What happened, such as `tool.called`: 1 to 64 bytes.
    pub kind: Cow<'static, str>,
    /// Version of the payload of this kind.
    pub version: u16,
    /// Who did it, such as `user:ana` or `system`: at most 512 bytes.
    pub principal: String,
    /// What the caller named, as the caller wrote it: at most 4,096 bytes.
    pub resource: Option<String>,
    /// How it was decided, such as `allow` or `deny`: at most 64 bytes.
    pub decision: Option<Cow<'static, str>>,
    /// The request it belongs to: at most 256 bytes.
    pub request_id: String,
    /// The rest, by kind and version: at most [`MAX_PAYLOAD_BYTES`] of JSON text.
    pub payload: Value,
}

/// An entry as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its place: 1, 2, 3, …
    pub sequence: u64,
    /// When it was written, UTC; never before the entry ahead of it.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    pub kind: String,
    /// Version of the payload of this kind.
    pub version: u16,
    /// Who did it.
    pub principal: String,
    /// What the caller named.
    pub resource: Option<String>,
    /// How it was decided.
    pub decision: Option<String>,
    /// The request it belongs to.
    pub request_id: String,
    /// The payload; `None` once erased.
    pub payload: Option<Value>,
    /// Its hash in the chain.
    pub hash: EntryHash,
}

impl Entry {
    /// The state of the journal just after it.
    pub fn head(&self) -> ChainHead {
        ChainHead { sequence: self.sequence, hash: self.hash }
    }
}

/// Which entries to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Only entries with a smaller sequence; `None` starts at the newest.
    pub before: Option<u64>,
    /// At most this many: clamped to 1 to [`MAX_PAGE_ENTRIES`].
    pub limit: usize,
    /// Only entries of this principal, compared byte by byte.
    pub principal: Option<String>,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The entries. Fewer than the limit, even none, when the search was long: what counts is `next`.
    pub entries: Vec<Entry>,
    /// The `before` of the next page; `None` when the beginning was reached.
    pub next: Option<u64>,
}

/// Keeps a journal.
#[async_trait]
pub trait JournalStore: Debug + Send + Sync + 'static {
    /// Writes all of `entries` or none, in order and without others between them; answers with the sequence of the last
    /// once `durability` holds. Waits while the writer is behind; nothing is dropped. When the caller stops waiting, the
    /// entries may be written all the same.
    ///
    /// # Errors
    /// `InvalidInput` or `TooLarge` for an entry beyond its bounds; `Unavailable` when it cannot be written: then the
    /// caller must deny what it wanted to record. After a failed write every append fails until the journal is reopened.
    async fn append(&self, entries: Vec<NewEntry>, durability: Durability) -> Result<u64>;

    /// Reads entries, newest first. One that is broken is left out and logged; [`Self::verify`] names it.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    async fn read_back(&self, query: ReadBack) -> Result<Page>;

    /// Destroys the payloads of `sequences`, and with each the key of its commitment; envelopes stay and the chain still
    /// verifies. Returns how many payloads were destroyed now. The caller appends an entry that says so, before.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be written. Some payloads may be gone then; call it again.
    async fn erase(&self, sequences: BTreeSet<u64>) -> Result<u64>;

    /// The last entry's sequence and hash, for an anchor outside; sequence 0 when empty.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer, and after a failed write.
    async fn head(&self) -> Result<ChainHead>;

    /// Reads everything and checks the chain, every payload that is left, and that each of `anchors` is on the chain.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be read; a broken chain is no error but an answer.
    async fn verify_against(&self, anchors: Vec<ChainHead>) -> Result<Verification>;

    /// [`Self::verify_against`] the head that the store itself remembers.
    ///
    /// # Errors
    /// Those of [`Self::verify_against`].
    async fn verify(&self) -> Result<Verification> {
        self.verify_against(Vec::new()).await
    }

    /// Makes everything appended so far survive power loss.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be flushed or the journal is closed.
    async fn sync(&self) -> Result<()>;

    /// Syncs, records the head and stops; later appends fail. Closing twice is fine.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be flushed.
    async fn close(&self) -> Result<()>;
}

/// An entry within its bounds, with its payload as text: made by the caller, so that the writer has less to do.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    entry: NewEntry,
    text: String,
}

impl Prepared {
    /// Checks the bounds and renders the payload.
    fn new(entry: NewEntry) -> Result<Self> {
        if entry.kind.is_empty() {
            return Err(Error::invalid("kind", "a journal entry needs a kind, such as `tool.called`"));
        }
        let bounds = [
            ("kind", entry.kind.len(), 64),
            ("principal", entry.principal.len(), 512),
            ("resource", entry.resource.as_ref().map_or(0, String::len), 4096),
            ("decision", entry.decision.as_ref().map_or(0, |decision| decision.len()), 64),
            ("request_id", entry.request_id.len(), 256),
        ];
        for (field, bytes, most) in bounds {
            if bytes > most {
                return Err(too_large(field, bytes, most));
            }
        }
        let text = serde_json::to_string(&entry.payload)
            .map_err(|e| Error::internal("the payload of a journal entry cannot be written as JSON").with_source(e))?;
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(too_large("payload", text.len(), MAX_PAYLOAD_BYTES));
        }
        let depth = depth_of(&text);
        if depth > MAX_PAYLOAD_DEPTH {
            return Err(too_large("payload.depth", depth, MAX_PAYLOAD_DEPTH));
        }
        Ok(Self { entry, text })
    }

    /// Checks a whole append; also tells about how many bytes it will take in memory.
    fn all(entries: Vec<NewEntry>) -> Result<(Vec<Self>, usize)> {
        if entries.is_empty() {
            return Err(Error::invalid("entries", "an append needs at least one entry"));
        }
        if entries.len() > MAX_APPEND_ENTRIES {
            return Err(too_large("entries", entries.len(), MAX_APPEND_ENTRIES));
        }
        let prepared = entries.into_iter().map(Self::new).collect::<Result<Vec<_>>>()?;
        let bytes = prepared.iter().map(Self::weight).sum::<usize>();
        if bytes > MAX_APPEND_BYTES {
            return Err(too_large("entries", bytes, MAX_APPEND_BYTES));
        }
        Ok((prepared, bytes))
    }

    fn weight(&self) -> usize {
        let resource = self.entry.resource.as_ref().map_or(0, String::len);
        512 + self.text.len() + resource + self.entry.principal.len() + self.entry.request_id.len()
    }
}

/// How deep arrays and objects are nested in a JSON text.
fn depth_of(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn too_large(field: &str, found: usize, most: usize) -> Error {
    let message = format!("`{field}` of a journal entry has size {found}, at most {most} is kept; record less");
    Error::new(ErrorKind::TooLarge, message).with_param(field)
}

#[cfg(test)]
mod tests;
