//! The one admission: a credential becomes a caller, a caller becomes a [`Scope`]. Nothing else makes either a Scope or
//! a Permit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use time::OffsetDateTime;
use ucap_core::catalog::{ApiKey, Catalog, KeyScope, KeySecret, Snapshot};
use ucap_core::journal::{Durability, JournalStore, NewEntry};
use ucap_core::{Clock, Error, ErrorKind, Principal, Redacted, RequestContext, Resource, Result, Subject};

use crate::access::AccessRequest;
use crate::authorizer::Authorizer;
use crate::decision::Decision;
use crate::identity::api_key::{Peppers, id_of};
use crate::permit::Permit;
use crate::rights::Rights;
use crate::scope::Scope;

/// The id of the administrator's first key, whose text may have any form (`UCAP_ADMIN_KEY`).
pub const BOOTSTRAP_KEY: &str = "bootstrap";
/// The journal's kind of a denied request.
pub const DENIED: &str = "access.denied";

/// A credential that is longer is none.
const MAX_BEARER_BYTES: usize = 4096;
/// Rights are kept compiled for so many callers.
const COMPILED_CALLERS: u64 = 10_000;
/// An authorizer that takes longer has failed.
const AUTHORIZER_TIMEOUT: Duration = Duration::from_secs(2);

/// Somebody whose credential was found valid, or whom an embedder vouches for.
#[derive(Debug, Clone)]
pub struct Caller {
    principal: Principal,
    /// The user's; the system and users that do not exist have none.
    generation: Option<u64>,
    groups: BTreeSet<String>,
    key: Option<Arc<str>>,
    /// The sealed form of the secret it came with: a rotation ends it after its overlap.
    secret: Option<Redacted<Arc<str>>>,
    scopes: Option<Arc<[KeyScope]>>,
}

impl Caller {
    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The user's id; the system has none.
    pub fn user(&self) -> Option<&str> {
        match &self.principal {
            Principal::User(id) => Some(id),
            Principal::System => None,
        }
    }

    fn bare(principal: Principal) -> Self {
        Self { principal, generation: None, groups: BTreeSet::new(), key: None, secret: None, scopes: None }
    }

    /// A caller as a check wants it.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn assembled(user: &str, groups: BTreeSet<String>, scopes: Option<Vec<KeyScope>>) -> Self {
        Self { groups, scopes: scopes.map(Arc::from), ..Self::bare(Principal::User(user.to_owned())) }
    }

    /// The groups it belongs to.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// The id of the key it came with.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What the key narrows its rights to.
    pub fn scopes(&self) -> Option<&Arc<[KeyScope]>> {
        self.scopes.as_ref()
    }

    /// A digest of the principal, its generation and the key's scopes: what cursors are bound to. Whoever gets a deleted
    /// user's name has another.
    pub fn binding(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        };
        add(&self.principal.to_string());
        add(&self.generation.map_or_else(String::new, |generation| generation.to_string()));
        for scope in self.scopes.iter().flat_map(|scopes| scopes.iter()) {
            add(&scope.resource.to_string());
            scope.actions.iter().for_each(|action| add(action.as_str()));
        }
        hasher.update(&[u8::from(self.scopes.is_some())]);
        hasher.finalize().into()
    }
}

/// Rights as they were compiled for a caller.
#[derive(Debug, Clone)]
struct Compiled {
    epoch: u64,
    /// The clock may go back: then what had expired has not.
    at: OffsetDateTime,
    rights: Arc<Rights>,
}

/// Turns credentials into callers and callers into scopes.
#[derive(Debug)]
pub struct Gate {
    catalog: Arc<Catalog>,
    authorizer: Arc<dyn Authorizer>,
    journal: Arc<dyn JournalStore>,
    clock: Arc<dyn Clock>,
    peppers: Peppers,
    compiled: Cache<[u8; 32], Compiled>,
}

impl Gate {
    /// A gate over a catalog.
    pub fn new(
        catalog: Arc<Catalog>,
        authorizer: Arc<dyn Authorizer>,
        journal: Arc<dyn JournalStore>,
        clock: Arc<dyn Clock>,
        peppers: Peppers,
    ) -> Self {
        Self { catalog, authorizer, journal, clock, peppers, compiled: Cache::new(COMPILED_CALLERS) }
    }

    /// The catalog it reads.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Where denials are written.
    pub fn journal(&self) -> &Arc<dyn JournalStore> {
        &self.journal
    }

    /// The clock that decides what has expired.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// Who presents this bearer credential.
    ///
    /// # Errors
    /// `Unauthenticated`, with the same sentence whatever is wrong with it.
    pub fn authenticate(&self, bearer: &str) -> Result<Caller> {
        let refused = || {
            Error::new(
                ErrorKind::Unauthenticated,
                "the API key is not valid; send a live one as `Authorization: Bearer <key>`",
            )
        };
        let snapshot = self.catalog.snapshot();
        let now = self.clock.now();
        if bearer.len() > MAX_BEARER_BYTES {
            return Err(refused());
        }
        // UCAP_ADMIN_KEY may look like a key of another installation.
        let ids = id_of(bearer).filter(|id| *id != BOOTSTRAP_KEY).into_iter().chain([BOOTSTRAP_KEY]);
        let mut keys = ids.filter_map(|id| snapshot.key(id));
        let found = keys.find_map(|key| Some((key, self.opening_secret(&snapshot, key, bearer, now)?)));
        let (key, secret) = found.ok_or_else(refused)?;
        Ok(Caller {
            principal: Principal::User(key.user.clone()),
            generation: Some(key.user_generation),
            groups: snapshot.user(&key.user).map(|user| user.groups.clone()).unwrap_or_default(),
            key: Some(Arc::from(&*key.id)),
            secret: Some(Redacted::new(Arc::from(&*secret.hash))),
            scopes: key.scopes.clone().map(Arc::from),
        })
    }

    /// The live secret of `key` that `text` opens, if the key lives and its owner is still the one it was made for.
    pub(crate) fn opening_secret<'k>(
        &self,
        snapshot: &Snapshot,
        key: &'k ApiKey,
        text: &str,
        now: OffsetDateTime,
    ) -> Option<&'k KeySecret> {
        let owned = snapshot.user(&key.user).is_some_and(|user| user.stamp.generation == key.user_generation);
        let lives = owned && is_live(key.expires_at, now);
        key.secrets.iter().find(|secret| lives && is_live(secret.expires_at, now) && self.peppers.opens(secret, text))
    }

    /// A caller that the embedding program vouches for: it has checked who this user is.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub fn vouch(&self, user: &str) -> Result<Caller> {
        let snapshot = self.catalog.snapshot();
        let held = snapshot.user(user).ok_or_else(|| Error::not_found(format!("user `{user}`")))?;
        Ok(Caller {
            generation: Some(held.stamp.generation),
            groups: held.groups.clone(),
            ..Caller::bare(Principal::User(held.id.clone()))
        })
    }

    /// What `caller` may touch now. Group membership is read anew.
    ///
    /// # Errors
    /// `Unauthenticated` when the caller's user or key is gone, `Unavailable` when the authorizer does not answer.
    pub async fn scope(&self, context: &RequestContext, caller: &Caller) -> Result<Scope> {
        let snapshot = self.catalog.snapshot();
        let caller = self.still_there(caller, &snapshot)?;
        let rights = self.rights(context, &caller, &snapshot).await?;
        Ok(Scope::new(caller, snapshot, rights))
    }

    fn still_there(&self, caller: &Caller, snapshot: &Snapshot) -> Result<Caller> {
        let gone = || Error::new(ErrorKind::Unauthenticated, "the user or key of this request was removed");
        let Some(user) = caller.user() else { return Ok(caller.clone()) };
        let held =
            snapshot.user(user).filter(|held| caller.generation == Some(held.stamp.generation)).ok_or_else(gone)?;
        let Some(id) = caller.key() else { return Ok(Caller { groups: held.groups.clone(), ..caller.clone() }) };
        let now = self.clock.now();
        let key = snapshot.key(id).filter(|key| key.user == user && is_live(key.expires_at, now)).ok_or_else(gone)?;
        let came_with =
            |secret: &&KeySecret| caller.secret.as_ref().is_some_and(|hash| **hash.expose() == *secret.hash);
        key.secrets.iter().find(came_with).filter(|secret| is_live(secret.expires_at, now)).ok_or_else(gone)?;
        Ok(Caller { groups: held.groups.clone(), scopes: key.scopes.clone().map(Arc::from), ..caller.clone() })
    }

    async fn rights(&self, context: &RequestContext, caller: &Caller, snapshot: &Arc<Snapshot>) -> Result<Arc<Rights>> {
        let now = self.clock.now();
        let binding = caller.binding();
        if let Some(held) = self.compiled.get(&binding)
            && held.epoch == snapshot.epoch()
            && held.at <= now
            && is_live(held.rights.valid_until, now)
        {
            return Ok(held.rights);
        }
        let answer = self.authorizer.rights(context, caller, snapshot, now);
        let rights = Arc::new(in_time(context, answer).await?);
        let held = Compiled { epoch: snapshot.epoch(), at: now, rights: Arc::clone(&rights) };
        self.compiled.insert(binding, held);
        Ok(rights)
    }

    /// Whether what `scope` was minted from still holds: called again before each page and each tool call.
    ///
    /// # Errors
    /// `ScopeExpired` when the rights have changed since; else as [`Gate::scope`].
    pub async fn revalidate(&self, context: &RequestContext, scope: &Scope) -> Result<()> {
        let now = self.scope(context, scope.caller()).await?;
        if now.digest() == scope.digest() { Ok(()) } else { Err(expired()) }
    }

    /// Whether `permit` would still be given: its datasource is there and its action may still be done. Other rights of
    /// its caller may have changed: a long ingest does not end because somebody made another datasource.
    ///
    /// # Errors
    /// `ScopeExpired` when it would not; else as [`Gate::scope`].
    pub async fn revalidate_permit(&self, context: &RequestContext, permit: &Permit) -> Result<()> {
        let held = permit.datasource();
        let (snapshot, allowed) = match permit.action() {
            None => (self.catalog.snapshot(), true),
            Some(action) => {
                let now = self.scope(context, permit.caller()).await?;
                (Arc::clone(now.snapshot()), now.may(&Resource::datasource(&*held.id), action))
            }
        };
        let same = snapshot.datasource(&held.id).is_some_and(|now| now.stamp.generation == held.stamp.generation);
        if allowed && same { Ok(()) } else { Err(expired()) }
    }

    /// Decisions with reasons, for `permissions/explain`.
    ///
    /// # Errors
    /// `Unavailable` when the authorizer does not answer.
    pub async fn explain(
        &self,
        context: &RequestContext,
        caller: &Caller,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>> {
        let snapshot = self.catalog.snapshot();
        let answer = self.authorizer.decide(context, caller, &snapshot, self.clock.now(), requests);
        let decisions = in_time(context, answer).await?;
        if decisions.len() != requests.len() {
            return Err(Error::new(ErrorKind::Unavailable, "the authorizer left questions unanswered; try again"));
        }
        Ok(decisions)
    }

    /// A caller as the catalog describes them, for asking about somebody else. A user that does not exist holds what is
    /// granted to its name and to everyone. A group is described by somebody who is in that group and in no other, and
    /// `public` by somebody who is in none: neither has a name that a grant could give anything to.
    pub fn describe(&self, subject: &Subject) -> Caller {
        let nameless = Caller::bare(Principal::User(String::new()));
        match subject {
            Subject::Public => nameless,
            Subject::Group(group) => Caller { groups: BTreeSet::from([group.clone()]), ..nameless },
            Subject::User(user) => {
                let snapshot = self.catalog.snapshot();
                let held = snapshot.user(user);
                Caller {
                    generation: held.map(|held| held.stamp.generation),
                    groups: held.map(|held| held.groups.clone()).unwrap_or_default(),
                    ..Caller::bare(Principal::User(user.clone()))
                }
            }
        }
    }

    /// A permit for work that no user asked for: retention, compaction, reindexing.
    ///
    /// # Errors
    /// `NotFound` when the datasource does not exist; `Unavailable` when the journal cannot be written.
    pub async fn system_permit(
        &self,
        context: &RequestContext,
        datasource: &str,
        work: &'static str,
    ) -> Result<Permit> {
        let snapshot = self.catalog.snapshot();
        let held =
            snapshot.datasource(datasource).ok_or_else(|| Error::not_found(format!("datasource `{datasource}`")))?;
        let caller = Caller::bare(Principal::System);
        let entry = NewEntry {
            kind: "system.work".into(),
            version: 1,
            principal: caller.principal.to_string(),
            resource: Some(format!("datasource:{datasource}")),
            decision: Some("allow".into()),
            request_id: context.request_id().to_owned(),
            payload: serde_json::json!({"work": work}),
        };
        self.journal.append(vec![entry], Durability::Process).await?;
        Ok(Permit::system(caller, held))
    }

    /// Writes down that a request was refused. The entry holds what the caller wrote, so that hidden and missing leave
    /// the same trace.
    ///
    /// # Errors
    /// `Unavailable` when the journal cannot be written: the request then fails as such.
    pub async fn record_denial(
        &self,
        context: &RequestContext,
        principal: &str,
        resource: &str,
        kind: ErrorKind,
    ) -> Result<()> {
        let entry = NewEntry {
            kind: DENIED.into(),
            version: 1,
            principal: principal.to_owned(),
            resource: Some(resource.chars().take(256).collect()),
            decision: Some("deny".into()),
            request_id: context.request_id().to_owned(),
            payload: serde_json::json!({"error": format!("{kind:?}")}),
        };
        self.journal.append(vec![entry], Durability::Process).await.map(drop)
    }
}

async fn in_time<T>(context: &RequestContext, answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(context.remaining_or(AUTHORIZER_TIMEOUT).min(AUTHORIZER_TIMEOUT), answer)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the authorizer does not answer; try again")))
}

fn expired() -> Error {
    Error::new(ErrorKind::ScopeExpired, "your rights changed while the request ran; send it again")
}

fn is_live(end: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    end.is_none_or(|end| now < end)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
