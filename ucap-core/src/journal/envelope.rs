//! An entry as it is stored: one line of JSON that ends in a checksum of itself, for `grep` and `jq` as much as for us.
//!
//! ```text
//! {"format":1,"sequence":7,"at":"2026-01-02T03:04:05.678901Z","kind":"tool.called","version":1,"principal":"user:ana",
//!  "resource":"mcp/echo","decision":"allow","request_id":"req_…","more":0,"commitment":"…","hash":"…","salt":"…",
//!  "payload":{…},"check":"0123456789abcdef"}
//! ```
//! (one line in the file). `check` tells a torn write from a whole one; it is no protection against forgery, the chain
//! is. `more` counts the entries of the same append that follow, so that a crash leaves all of them or none.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::chain::{EntryHash, FORMAT};
use super::{Entry, MAX_PAYLOAD_BYTES};
use crate::error::{Error, Result};

/// No line is longer: the payload's bound, and the other fields' with every byte escaped.
pub(super) const MAX_LINE_BYTES: usize = MAX_PAYLOAD_BYTES + (64 << 10);
const CHECK_DIGITS: usize = 16;
const CHECK_KEY: &[u8] = b",\"check\":\"";
const CHECK_END: &[u8] = b"\"}";

/// A payload's text and the key of its commitment; both go when it is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disclosure {
    pub(super) salt: [u8; 32],
    pub(super) text: String,
}

impl Disclosure {
    /// BLAKE3 of the text under the salt as key. The text is the one that was written, which backends keep as it is:
    /// parsing and printing JSON again may reorder keys and round numbers.
    pub(super) fn commitment(&self) -> EntryHash {
        EntryHash::from_bytes(*blake3::keyed_hash(&self.salt, self.text.as_bytes()).as_bytes())
    }
}

/// An entry with all that the chain needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) at: OffsetDateTime,
    pub(super) kind: String,
    pub(super) version: u16,
    pub(super) principal: String,
    pub(super) resource: Option<String>,
    pub(super) decision: Option<String>,
    pub(super) request_id: String,
    /// How many entries of the same append follow.
    pub(super) more: u32,
    pub(super) commitment: EntryHash,
    pub(super) hash: EntryHash,
    /// `None` once erased.
    pub(super) disclosure: Option<Disclosure>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    format: u16,
    sequence: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    version: u16,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    more: u32,
    commitment: EntryHash,
    hash: EntryHash,
    salt: Option<EntryHash>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "checked on the bytes before they are parsed")]
    check: Option<&'a str>,
}

impl Record {
    /// Whether the payload is the one that was committed to, or erased.
    pub(super) fn keeps_commitment(&self) -> bool {
        self.disclosure.as_ref().is_none_or(|disclosure| disclosure.commitment() == self.commitment)
    }

    /// The entry as readers see it.
    pub(super) fn to_entry(&self) -> Result<Entry> {
        let parse = |disclosure: &Disclosure| {
            serde_json::from_str(&disclosure.text).map_err(|e| {
                Error::internal(format!("payload of journal entry {} is broken", self.sequence)).with_source(e)
            })
        };
        Ok(Entry {
            sequence: self.sequence,
            at: self.at,
            kind: self.kind.clone(),
            version: self.version,
            principal: self.principal.clone(),
            resource: self.resource.clone(),
            decision: self.decision.clone(),
            request_id: self.request_id.clone(),
            payload: self.disclosure.as_ref().map(parse).transpose()?,
            hash: self.hash,
        })
    }

    /// Appends the line, newline included, to `out`; returns its length in bytes.
    ///
    /// # Errors
    /// `Internal` when the time has no RFC 3339 form (a year beyond 9999).
    pub(super) fn write_line(&self, out: &mut Vec<u8>) -> Result<usize> {
        self.write_padded(out, 0)
    }

    /// The line of this record without its payload, as long as it was with it: nothing behind it moves.
    pub(super) fn write_erased(&self, length: usize, out: &mut Vec<u8>) -> Result<()> {
        let erased = Self { disclosure: None, ..self.clone() };
        erased.write_padded(out, length).map(drop)
    }

    fn write_padded(&self, out: &mut Vec<u8>, length: usize) -> Result<usize> {
        let broken = |e: serde_json::Error| {
            Error::internal(format!("journal entry {} cannot be written as JSON", self.sequence)).with_source(e)
        };
        let raw = self.disclosure.as_ref().map(|disclosure| serde_json::from_str::<&RawValue>(&disclosure.text));
        let line = Line {
            format: FORMAT,
            sequence: self.sequence,
            at: self.at,
            kind: Cow::Borrowed(&self.kind),
            version: self.version,
            principal: Cow::Borrowed(&self.principal),
            resource: self.resource.as_deref().map(Cow::Borrowed),
            decision: self.decision.as_deref().map(Cow::Borrowed),
            request_id: Cow::Borrowed(&self.request_id),
            more: self.more,
            commitment: self.commitment,
            hash: self.hash,
            salt: self.disclosure.as_ref().map(|disclosure| EntryHash::from_bytes(disclosure.salt)),
            payload: raw.transpose().map_err(broken)?,
            check: None,
        };
        let start = out.len();
        serde_json::to_writer(&mut *out, &line).map_err(broken)?;
        out.pop(); // the closing brace: the check comes before it
        let rest = CHECK_KEY.len() + CHECK_DIGITS + CHECK_END.len() + 1;
        let padded = (start + length).saturating_sub(rest).max(out.len());
        out.resize(padded, b' ');
        let check = check_of(&out[start..]);
        out.extend_from_slice(CHECK_KEY);
        out.extend_from_slice(&check);
        out.extend_from_slice(CHECK_END);
        out.push(b'\n');
        Ok(out.len() - start)
    }

    /// Reads a line, with or without its newline; `None` when it is torn, altered by accident or of another format.
    pub(super) fn read_line(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let body = line.strip_suffix(CHECK_END)?;
        let (body, check) = body.split_at_checked(body.len().checked_sub(CHECK_DIGITS)?)?;
        let body = body.strip_suffix(CHECK_KEY)?;
        if check_of(body) != check {
            return None;
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        if line.format != FORMAT || !line.at.nanosecond().is_multiple_of(1000) {
            return None;
        }
        let disclosure = match (line.salt, line.payload) {
            (Some(salt), payload) => {
                let text = payload.map_or("null", RawValue::get).to_owned();
                Some(Disclosure { salt: *salt.as_bytes(), text })
            }
            (None, None) => None,
            (None, Some(_)) => return None, // a payload that nothing vouches for
        };
        Some(Self {
            sequence: line.sequence,
            at: line.at.to_offset(time::UtcOffset::UTC),
            kind: line.kind.into_owned(),
            version: line.version,
            principal: line.principal.into_owned(),
            resource: line.resource.map(Cow::into_owned),
            decision: line.decision.map(Cow::into_owned),
            request_id: line.request_id.into_owned(),
            more: line.more,
            commitment: line.commitment,
            hash: line.hash,
            disclosure,
        })
    }
}

/// The check of the bytes before it.
pub(super) fn check_of(bytes: &[u8]) -> [u8; CHECK_DIGITS] {
    let mut digits = [0; CHECK_DIGITS];
    let hex = blake3::hash(bytes).to_hex();
    digits.copy_from_slice(&hex.as_bytes()[..CHECK_DIGITS]);
    digits
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
