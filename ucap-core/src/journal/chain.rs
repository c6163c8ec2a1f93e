//! The chain: how an entry is stamped and what its hash covers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Prepared;
use super::envelope::{Disclosure, Record};
use crate::entropy::Entropy;
use crate::error::{Error, Result};

/// Version of the envelope and of the bytes that its hash covers.
pub(super) const FORMAT: u16 = 1;
const ENTRY_CONTEXT: &str = "ucap journal entry v1";
const GENESIS_CONTEXT: &str = "ucap journal genesis v1";

/// A BLAKE3 hash in the chain; text form is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryHash([u8; 32]);

impl EntryHash {
    /// The hash of these bytes' value; computes nothing.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the first entry is chained to.
    pub(super) fn genesis() -> Self {
        Self(*blake3::Hasher::new_derive_key(GENESIS_CONTEXT).finalize().as_bytes())
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for EntryHash {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |_| Error::invalid("hash", "a hash of the journal is 64 hexadecimal digits");
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(wrong)
    }
}

impl TryFrom<String> for EntryHash {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<EntryHash> for String {
    fn from(hash: EntryHash) -> Self {
        hash.to_string()
    }
}

/// Names one state of a journal: everything up to and including one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChainHead {
    /// Sequence of the last entry; 0 for an empty journal.
    pub sequence: u64,
    /// Its hash.
    pub hash: EntryHash,
}

/// Where the chain ends: all that the next entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) sequence: u64,
    pub(super) hash: EntryHash,
    pub(super) at: OffsetDateTime,
}

impl Chain {
    /// Before the first entry.
    pub(super) fn genesis() -> Self {
        Self { sequence: 0, hash: EntryHash::genesis(), at: OffsetDateTime::UNIX_EPOCH }
    }

    /// Just after `record`.
    pub(super) fn after(record: &Record) -> Self {
        Self { sequence: record.sequence, hash: record.hash, at: record.at }
    }

    pub(super) fn head(&self) -> ChainHead {
        ChainHead { sequence: self.sequence, hash: self.hash }
    }

    /// Makes `prepared` the next entry; `more` further ones of the same append follow it.
    pub(super) fn stamp(
        &mut self,
        prepared: Prepared,
        more: u32,
        now: OffsetDateTime,
        entropy: &dyn Entropy,
    ) -> Result<Record> {
        let Prepared { entry, text } = prepared;
        let mut salt = [0u8; 32];
        entropy.fill(&mut salt);
        let disclosure = Disclosure { salt, text };
        let mut record = Record {
            sequence: self
                .sequence
                .checked_add(1)
                .ok_or_else(|| Error::internal("the journal has no sequence left"))?,
            at: truncate_to_micros(now).max(self.at),
            kind: entry.kind.into_owned(),
            version: entry.version,
            principal: entry.principal,
            resource: entry.resource,
            decision: entry.decision.map(std::borrow::Cow::into_owned),
            request_id: entry.request_id,
            more,
            commitment: disclosure.commitment(),
            hash: EntryHash([0; 32]),
            disclosure: Some(disclosure),
        };
        record.hash = link(&self.hash, &record);
        *self = Self::after(&record);
        Ok(record)
    }
}

fn truncate_to_micros(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.replace_nanosecond(at.nanosecond() / 1000 * 1000).unwrap_or(at)
}

/// The hash that `record` must have after an entry with hash `previous`.
///
/// The bytes are binary, little-endian, each text preceded by its length and each option by 0 or 1: two different
/// records never give the same bytes, and no JSON writer's habits can change them.
pub(super) fn link(previous: &EntryHash, record: &Record) -> EntryHash {
    let mut hasher = blake3::Hasher::new_derive_key(ENTRY_CONTEXT);
    hasher.update(&FORMAT.to_le_bytes());
    hasher.update(&previous.0);
    hasher.update(&record.sequence.to_le_bytes());
    hasher.update(&(record.at.unix_timestamp_nanos() / 1000).to_le_bytes());
    text(&mut hasher, &record.kind);
    hasher.update(&record.version.to_le_bytes());
    text(&mut hasher, &record.principal);
    option(&mut hasher, record.resource.as_deref());
    option(&mut hasher, record.decision.as_deref());
    text(&mut hasher, &record.request_id);
    hasher.update(&record.more.to_le_bytes());
    hasher.update(&record.commitment.0);
    EntryHash(*hasher.finalize().as_bytes())
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn option(hasher: &mut blake3::Hasher, value: Option<&str>) {
    hasher.update(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        text(hasher, value);
    }
}
