//! What the journal tells a caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use ucap_core::journal::{Entry, ReadBack};
use ucap_core::{Error, ErrorKind, Redacted, Result};

use super::Session;

const TAG_BYTES: usize = 16;

/// An entry of the journal, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: OffsetDateTime,
    /// Who.
    pub principal: String,
    /// What happened.
    pub kind: String,
    /// What the caller named.
    pub resource: Option<String>,
    /// How it was decided.
    pub decision: Option<String>,
    /// In which request.
    pub request_id: String,
}

/// A page of the journal, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The cursor of the next page; `None` at the beginning of the journal.
    pub next: Option<String>,
}

/// What a verification of the journal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether the whole chain fits.
    pub valid: bool,
    /// How many entries fit.
    pub entries: u64,
    /// The first that does not.
    pub first_bad: Option<u64>,
}

impl Session {
    /// The journal, newest first: the caller's own entries, or all of them for a platform administrator.
    ///
    /// # Errors
    /// `InvalidCursor`, `Unavailable`, `DeadlineExceeded`.
    pub async fn audit(&self, limit: usize, cursor: Option<&str>) -> Result<AuditPage> {
        let call = self.begin("audit").await?;
        let own = (!call.scope.is_platform_admin()).then(|| call.scope.principal().to_string());
        let seal = CursorSeal { key: &call.parts.cursor_key, whose: own.as_deref().unwrap_or("*") };
        let mut before = cursor.map(|text| seal.open(text)).transpose()?;
        let mut entries = Vec::new();
        // How many pages of the store this takes depends on what others do; so the caller gets its pages full.
        loop {
            call.context.check()?;
            let query = ReadBack { before, limit: limit - entries.len(), principal: own.clone() };
            let page = call.parts.journal.read_back(query).await?;
            entries.extend(page.entries.into_iter().map(AuditEntry::from));
            before = page.next;
            if entries.len() >= limit || before.is_none() {
                return Ok(AuditPage { entries, next: before.map(|sequence| seal.close(sequence)) });
            }
        }
    }

    /// Reads the whole journal and checks its chain. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unavailable`.
    pub async fn verify_audit(&self) -> Result<Verified> {
        let call = self.begin("audit").await?;
        let verified = match call.scope.demand_platform_admin() {
            Ok(()) => call.parts.journal.verify().await,
            Err(error) => Err(error),
        };
        let verified = call.end(verified).await?;
        Ok(Verified { valid: verified.valid, entries: verified.entries, first_bad: verified.first_bad })
    }
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let Entry { at, principal, kind, resource, decision, request_id, .. } = entry;
        Self { at, principal, kind, resource, decision, request_id }
    }
}

/// Cursors hold the place in the whole journal, which tells how much others do: so they are encrypted. The tag is a keyed
/// hash of place and reader, and the key stream a keyed hash of the tag (a synthetic initialisation vector, as in RFC 5297).
struct CursorSeal<'a> {
    key: &'a Redacted<[u8; 32]>,
    whose: &'a str,
}

impl CursorSeal<'_> {
    fn tag(&self, sequence: [u8; 8]) -> [u8; TAG_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(self.key.expose());
        hasher.update(b"audit cursor tag").update(&sequence).update(self.whose.as_bytes());
        first(&hasher)
    }

    fn stream(&self, tag: &[u8]) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new_keyed(self.key.expose());
        hasher.update(b"audit cursor key stream").update(tag);
        first(&hasher)
    }

    fn close(&self, sequence: u64) -> String {
        let sequence = sequence.to_le_bytes();
        let tag = self.tag(sequence);
        let mut cursor = tag.to_vec();
        cursor.extend(sequence.iter().zip(self.stream(&tag)).map(|(a, b)| a ^ b));
        URL_SAFE_NO_PAD.encode(cursor)
    }

    fn open(&self, cursor: &str) -> Result<u64> {
        let forged = || {
            Error::new(ErrorKind::InvalidCursor, "the cursor is not one of yours; start without cursor")
                .with_param("cursor")
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| forged())?;
        let (tag, hidden) = bytes.split_at_checked(TAG_BYTES).ok_or_else(forged)?;
        let hidden: [u8; 8] = hidden.try_into().map_err(|_| forged())?;
        let stream = self.stream(tag);
        let sequence: [u8; 8] = std::array::from_fn(|i| hidden[i] ^ stream[i]);
        if bool::from(subtle::ConstantTimeEq::ct_eq(&self.tag(sequence)[..], tag)) {
            Ok(u64::from_le_bytes(sequence))
        } else {
            Err(forged())
        }
    }
}

fn first<const N: usize>(hasher: &blake3::Hasher) -> [u8; N] {
    let mut bytes = [0; N];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_reader_only() {
        let key = Redacted::new([7; 32]);
        let ana = CursorSeal { key: &key, whose: "user:ana" };
        let bea = CursorSeal { key: &key, whose: "user:bea" };
        for sequence in [0, 1, 77, u64::MAX] {
            let cursor = ana.close(sequence);
            assert_eq!(ana.open(&cursor).unwrap(), sequence);
            assert_eq!(bea.open(&cursor).unwrap_err().kind(), ErrorKind::InvalidCursor);
            for end in 0..cursor.len() {
                assert!(ana.open(&cursor[..end]).is_err());
            }
        }
    }

    #[test]
    fn cursors_hide_their_order() {
        let key = Redacted::new([7; 32]);
        let seal = CursorSeal { key: &key, whose: "user:ana" };
        let cursors: Vec<String> = (0..64).map(|sequence| seal.close(sequence)).collect();
        assert!(!cursors.is_sorted());
        assert!(cursors.iter().all(|cursor| cursor.len() == cursors[0].len()));
    }
}
