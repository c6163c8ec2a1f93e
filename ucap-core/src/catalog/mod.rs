//! What exists: an immutable snapshot in memory, a store below it, and one way to change both.

pub mod backends;
mod change;
mod entities;
mod snapshot;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::Mutex;

pub use change::{Change, Object, ObjectKind};
pub use entities::{ApiKey, Datasource, Domain, Effect, Grant, Group, KeyScope, KeySecret, Stamp, User};
pub use snapshot::Snapshot;
pub use store::{CatalogImage, CatalogStore};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::journal::{Durability, JournalStore, MAX_APPEND_BYTES, NewEntry};
use crate::request_context::RequestContext;

/// The journal's kind of a catalog change.
pub const CATALOG_CHANGE: &str = "catalog.change";
const CATALOG_CHANGE_VERSION: u16 = 1;
/// A journal entry of a change takes steps up to about so many bytes; a larger change takes several entries.
const ENTRY_BYTES: usize = 256 << 10;
/// An object takes at most so many bytes, so that what it was and what it becomes fit one journal entry.
const MAX_OBJECT_BYTES: usize = 480 << 10;

/// A law that every snapshot must obey before it replaces the one before.
pub type Guard = dyn Fn(&Snapshot, &Snapshot) -> Result<()> + Send + Sync;

/// The catalog: read by [`Catalog::snapshot`], changed by [`Catalog::change`].
pub struct Catalog {
    current: Arc<ArcSwap<Snapshot>>,
    store: Arc<dyn CatalogStore>,
    journal: Arc<dyn JournalStore>,
    clock: Arc<dyn Clock>,
    guard: Box<Guard>,
    changing: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog")
            .field("epoch", &self.snapshot().epoch())
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What a change is told when it is planned.
#[derive(Debug)]
pub struct Planning<'a> {
    /// What exists now.
    pub snapshot: &'a Snapshot,
    /// The stamp of an object created by this change.
    pub birth: Stamp,
}

impl Planning<'_> {
    /// The ordinal of the domain or datasource created by this change, which creates at most one of each. It is the
    /// epoch: never given twice, not even to a catalog that was closed and opened in between.
    ///
    /// # Errors
    /// `Unsupported` after more than four thousand million changes.
    pub fn ordinal(&self) -> Result<u32> {
        u32::try_from(self.birth.generation).map_err(|_| {
            Error::new(ErrorKind::Unsupported, "the catalog has changed too often to take more; start a new one")
        })
    }

    /// The stamp of an object that this change replaces.
    pub fn next_version(&self, held: Stamp) -> Stamp {
        Stamp { version: held.version + 1, ..held }
    }
}

/// Who changes what, for the journal.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// What the caller named.
    pub resource: &'a str,
}

impl Catalog {
    /// Loads what `store` holds. `guard` sees the snapshot before and after each change and may refuse it.
    ///
    /// # Errors
    /// What the store says; `Internal` when two of its objects exclude each other.
    pub async fn open(
        store: Arc<dyn CatalogStore>,
        journal: Arc<dyn JournalStore>,
        clock: Arc<dyn Clock>,
        guard: Box<Guard>,
    ) -> Result<Self> {
        let image = store.load().await?;
        let puts: Vec<Change> = image.objects.into_iter().map(Change::Put).collect();
        let snapshot = Snapshot::default().after(image.epoch, &puts);
        check_ordinals(&snapshot)?;
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        Ok(Self { current, store, journal, clock, guard, changing: Arc::default() })
    }

    /// What exists now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Plans and makes a change. `plan` returns its steps and an answer; without steps nothing happens.
    ///
    /// The journal is written first, to the disk: a change that cannot be journaled is not made. Each entry carries its
    /// epoch, and a change too large for one entry says which part of how many it is; should the process end between the
    /// journal and the store, a later entry of the same epoch says that the earlier ones did not take effect.
    ///
    /// Once planned, a change is carried through even if the caller stops waiting: a client that hangs up must not leave
    /// the store ahead of the snapshot.
    ///
    /// # Errors
    /// What `plan` and the guard say; `TooLarge` for an object beyond its bound; `Unavailable` when journal or store
    /// cannot be written. Nothing was changed then.
    pub async fn change<T>(
        &self,
        context: &RequestContext,
        cause: Cause<'_>,
        plan: impl FnOnce(&Planning<'_>) -> Result<(Vec<Change>, T)>,
    ) -> Result<T> {
        let one_at_a_time = Arc::clone(&self.changing).lock_owned().await;
        let before = self.snapshot();
        let epoch = before.epoch() + 1;
        let birth = Stamp { generation: epoch, version: 1, created_at: self.clock.now() };
        let (changes, answer) = plan(&Planning { snapshot: &before, birth })?;
        if changes.is_empty() {
            return Ok(answer);
        }
        let after = before.after(epoch, &changes);
        check_ordinals(&after)?;
        (self.guard)(&before, &after)?;
        let entry = |payload| NewEntry {
            kind: CATALOG_CHANGE.into(),
            version: CATALOG_CHANGE_VERSION,
            principal: cause.principal.to_string(),
            resource: Some(cause.resource.to_owned()),
            decision: Some("allow".into()),
            request_id: context.request_id().to_owned(),
            payload,
        };
        let entries: Vec<NewEntry> = payloads(&before, epoch, &changes)?.into_iter().map(entry).collect();
        let (journal, store, current) = (Arc::clone(&self.journal), Arc::clone(&self.store), Arc::clone(&self.current));
        let committing = tokio::spawn(async move {
            let _one_at_a_time = one_at_a_time;
            let most = MAX_APPEND_BYTES / (ENTRY_BYTES + 2 * MAX_OBJECT_BYTES);
            for some in entries.chunks(most) {
                journal.append(some.to_vec(), Durability::Disk).await?;
            }
            store.apply(epoch, &changes).await?;
            current.store(Arc::new(after));
            Ok(())
        });
        committing.await.map_err(|cause| Error::internal("a catalog change was broken off").with_source(cause))??;
        Ok(answer)
    }

    /// Ends the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

fn check_ordinals(snapshot: &Snapshot) -> Result<()> {
    if snapshot.has_distinct_ordinals() {
        return Ok(());
    }
    Err(Error::internal("two domains or datasources of the catalog share an ordinal; nothing is changed"))
}

/// Before and after of each object, in as many payloads as their bytes take. A key's secrets are hashes, yet even these
/// stay out of the journal.
fn payloads(before: &Snapshot, epoch: u64, changes: &[Change]) -> Result<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    let mut filled = usize::MAX;
    for change in changes {
        let (kind, id, after) = match change {
            Change::Put(object) => (object.kind(), object.id(), Some(object.clone())),
            Change::Delete(kind, id) => (*kind, id.as_str(), None),
        };
        let (before, was) = shown(before.object(kind, id))?;
        let (after, is) = shown(after)?;
        if is > MAX_OBJECT_BYTES {
            let message =
                format!("{} `{id}` would take {is} bytes, at most {MAX_OBJECT_BYTES} are kept", kind.as_str());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let step = serde_json::json!({"kind": kind.as_str(), "id": id, "before": before, "after": after});
        filled = filled.saturating_add(was + is + id.len() + 64);
        match parts.last_mut().filter(|_| filled <= ENTRY_BYTES) {
            Some(part) => part.push(step),
            None => {
                parts.push(vec![step]);
                filled = was + is;
            }
        }
    }
    let count = parts.len();
    let numbered = parts.into_iter().enumerate().map(|(i, steps)| match count {
        1 => serde_json::json!({"epoch": epoch, "changes": steps}),
        _ => serde_json::json!({"epoch": epoch, "part": i + 1, "parts": count, "changes": steps}),
    });
    Ok(numbered.collect())
}

/// What the journal shows of an object, and about how many bytes that takes.
fn shown(object: Option<Object>) -> Result<(Value, usize)> {
    let Some(object) = object else { return Ok((Value::Null, 4)) };
    let body = object.to_body()?;
    let mut value: Value = serde_json::from_str(&body)
        .map_err(|cause| Error::internal("a catalog object cannot be read back").with_source(cause))?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("secrets");
    }
    Ok((value, body.len()))
}
