//! What the journal tells a caller.

use time::OffsetDateTime;
use ucap_core::Result;
use ucap_core::journal::{Entry, ReadBack};

use super::page::invalid_cursor;
use super::{Call, Session};
use crate::seal::Sealer;

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
        let cursors = Cursors::of(&call, own.is_none());
        let mut before = cursor.map(|text| cursors.open(text)).transpose()?;
        let mut entries = Vec::new();
        // How many pages of the store this takes depends on what others do; so the caller gets its pages full.
        loop {
            call.context.check()?;
            let query = ReadBack { before, limit: limit - entries.len(), principal: own.clone() };
            let page = call.parts.journal.read_back(query).await?;
            entries.extend(page.entries.into_iter().map(AuditEntry::from));
            before = page.next;
            if entries.len() >= limit || before.is_none() {
                return Ok(AuditPage { entries, next: before.map(|sequence| cursors.close(sequence)) });
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

/// A cursor holds the place in the whole journal, which tells how much others do: so it is sealed. It is bound to its
/// caller, and to how much of the journal that caller saw.
struct Cursors<'a> {
    sealer: &'a Sealer,
    binding: Vec<u8>,
}

impl<'a> Cursors<'a> {
    fn of(call: &'a Call<'_>, all: bool) -> Self {
        let mut binding = call.scope.caller().binding().to_vec();
        binding.push(u8::from(all));
        Self { sealer: &call.parts.sealer, binding }
    }

    fn close(&self, sequence: u64) -> String {
        self.sealer.close("audit cursor", &self.binding, &sequence.to_le_bytes())
    }

    fn open(&self, cursor: &str) -> Result<u64> {
        let content = self.sealer.open("audit cursor", &self.binding, cursor);
        content.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes).ok_or_else(invalid_cursor)
    }
}
