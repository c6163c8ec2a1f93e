//! Changing what exists: each operation demands its right from the caller's [`Scope`], then goes through the catalog's one
//! way of changing.

mod datasources;
mod domains;
mod grants;
mod guard;
mod keys;
mod users;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use time::{OffsetDateTime, UtcOffset};
use ucap_core::catalog::{ApiKey, Cause, Change, Object, ObjectKind, Planning, Snapshot, Stamp};
use ucap_core::error::excerpt;
use ucap_core::{Entropy, Error, ErrorKind, Principal, RequestContext, Resource, Result, Subject};

pub use datasources::{DatasourcePatch, NewDatasource};
pub use domains::DomainPatch;
pub use grants::NewGrant;
pub use guard::an_administrator_remains;
pub use keys::{MintedKey, NewKey};

use crate::gate::Gate;
use crate::scope::Scope;

/// Tells whether a resource that the catalog does not hold (a model, a tool server …) exists.
pub type Known = dyn Fn(&Resource) -> bool + Send + Sync;

/// Creates, changes and deletes domains, datasources, users, groups, grants and keys.
pub struct Administration {
    gate: Arc<Gate>,
    entropy: Arc<dyn Entropy>,
    known: Box<Known>,
}

impl std::fmt::Debug for Administration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Administration").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// Whether a POST made the object or found it there, the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// It is new.
    New(T),
    /// The identical object was there already.
    Unchanged(T),
}

/// One state of one object: what a change may demand to begin from. An object that was deleted and made again under the
/// same name has another generation, so nothing that was read before fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// [`Stamp::generation`]; `None` for whoever knows the version only, and takes whichever object has it.
    pub generation: Option<u64>,
    /// [`Stamp::version`].
    pub version: u64,
}

impl Revision {
    /// The state that an object is in.
    pub fn of(stamp: Stamp) -> Self {
        Self { generation: Some(stamp.generation), version: stamp.version }
    }

    fn fits(self, held: Stamp) -> bool {
        self.version == held.version && self.generation.is_none_or(|generation| generation == held.generation)
    }
}

impl<T> Created<T> {
    /// The object.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(object) | Self::Unchanged(object) => object,
        }
    }

    /// Whether it is new.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

impl Administration {
    /// Administration behind `gate`. `known` answers for resources outside the catalog.
    pub fn new(gate: Arc<Gate>, entropy: Arc<dyn Entropy>, known: Box<Known>) -> Self {
        Self { gate, entropy, known }
    }

    /// The gate it stands behind.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    async fn change<T>(
        &self,
        context: &RequestContext,
        principal: &Principal,
        resource: &str,
        plan: impl FnOnce(&Planning<'_>) -> Result<(Vec<Change>, T)>,
    ) -> Result<T> {
        self.gate.catalog().change(context, Cause { principal, resource }, plan).await
    }
}

/// [`Scope::administers_something`], by the name the routes know it under.
pub fn administers_something(scope: &Scope) -> bool {
    scope.administers_something()
}

fn already_exists(kind: &str, id: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("{kind} `{id}` exists already and is different; change it with PATCH"))
        .with_param("id")
}

fn bad_id(kind: &str, id: &str, rule: &str) -> Error {
    Error::invalid("id", format!("{kind} id `{}` is not allowed; {rule}", excerpt(id)))
}

const ID_RULE: &str = "write 1 to 64 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit";
const USER_ID_RULE: &str = "write 1 to 128 of letters, digits and `._@+:-`, beginning with a letter or digit";

fn check_title(title: &str) -> Result<()> {
    if title.len() > 1024 || title.chars().any(char::is_control) {
        return Err(Error::invalid("title", "title is longer than 1024 bytes or holds control characters"));
    }
    Ok(())
}

/// The moment in UTC, where RFC 3339 can write it.
fn in_utc(moment: Option<OffsetDateTime>) -> Result<Option<OffsetDateTime>> {
    let Some(moment) = moment else { return Ok(None) };
    let utc = moment.checked_to_offset(UtcOffset::UTC).filter(|utc| (0..=9999).contains(&utc.year()));
    utc.map(Some).ok_or_else(|| Error::invalid("expires_at", "expires_at lies outside the years 0000 to 9999 (UTC)"))
}

/// `None` demands nothing; an empty list nobody satisfies.
fn check_match(expected: Option<&[Revision]>, held: Stamp) -> Result<()> {
    if expected.is_none_or(|expected| expected.iter().any(|revision| revision.fits(held))) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::PreconditionFailed, "the object has changed, or is another one by now; read it again"))
}

/// Deletes every grant on one of `resources`, and takes them out of the scopes of keys: whoever gets the same name later
/// inherits nothing.
fn forget_resources(snapshot: &Snapshot, resources: &[Resource], stamp: impl Fn(Stamp) -> Stamp) -> Vec<Change> {
    let mut changes: Vec<Change> = resources
        .iter()
        .flat_map(|resource| snapshot.grants_on(resource))
        .map(|grant| Change::Delete(ObjectKind::Grant, grant.id.clone()))
        .collect();
    for key in snapshot.keys() {
        let Some(scopes) = &key.scopes else { continue };
        if scopes.iter().any(|scope| resources.contains(&scope.resource)) {
            let mut narrowed = ApiKey::clone(key);
            narrowed.scopes =
                Some(scopes.iter().filter(|scope| !resources.contains(&scope.resource)).cloned().collect());
            narrowed.stamp = stamp(key.stamp);
            changes.push(Change::Put(Object::ApiKey(narrowed)));
        }
    }
    changes
}

fn forget_subject(snapshot: &Snapshot, subject: &Subject) -> Vec<Change> {
    snapshot.grants_of(subject).map(|grant| Change::Delete(ObjectKind::Grant, grant.id.clone())).collect()
}
