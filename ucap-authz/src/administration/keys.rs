//! API keys: platform administrators' alone, also for one's own.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;
use ucap_core::catalog::{ApiKey, Change, KeyScope, KeySecret, Object, ObjectKind, User};
use ucap_core::{Action, Error, Principal, RequestContext, Resource, Result, Subject, mint_id};

use super::{Administration, Revision, check_match, check_title, in_utc};
use crate::gate::BOOTSTRAP_KEY;
use crate::identity::api_key::KeyText;
use crate::scope::Scope;

/// A key keeps at most so many scopes.
const MAX_SCOPES: usize = 1000;

/// A key to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its owner.
    pub user: String,
    /// For people.
    pub name: String,
    /// What it narrows its owner's rights to.
    pub scopes: Option<Vec<KeyScope>>,
    /// Until when; may be past.
    pub expires_at: Option<OffsetDateTime>,
}

/// A key and its text, to be shown once.
#[derive(Debug, Clone)]
pub struct MintedKey {
    /// The key.
    pub key: ApiKey,
    /// Its text.
    pub text: KeyText,
}

impl Administration {
    /// Creates a key.
    ///
    /// # Errors
    /// `PermissionDenied`; `NotFound` without its user; `InvalidInput`.
    pub async fn create_key(&self, context: &RequestContext, scope: &Scope, new: NewKey) -> Result<MintedKey> {
        scope.demand_platform_admin()?;
        check_title(&new.name).map_err(|error| error.with_param("name"))?;
        if new.scopes.as_ref().is_some_and(|scopes| scopes.len() > MAX_SCOPES) {
            return Err(Error::invalid("scopes", format!("a key keeps at most {MAX_SCOPES} scopes")));
        }
        let expires_at = in_utc(new.expires_at)?;
        let id = mint_id(&*self.entropy, "k");
        let text = KeyText::mint(&*self.entropy, &id);
        let secret = self.seal(text.expose())?;
        let key = self
            .change(context, scope.principal(), &format!("user:{}", new.user), |planning| {
                let owner = planning
                    .snapshot
                    .user(&new.user)
                    .ok_or_else(|| Error::not_found(format!("user `{}`", new.user)).with_param("user"))?;
                let key = ApiKey {
                    id,
                    user: new.user.clone(),
                    user_generation: owner.stamp.generation,
                    name: new.name,
                    scopes: new.scopes,
                    expires_at,
                    secrets: vec![secret],
                    stamp: planning.birth,
                };
                Ok((vec![Change::Put(Object::ApiKey(key.clone()))], key))
            })
            .await?;
        Ok(MintedKey { key, text })
    }

    /// Gives a key a new secret; the one before stays good for `overlap`.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`.
    pub async fn rotate_key(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        overlap: Duration,
    ) -> Result<MintedKey> {
        scope.demand_platform_admin()?;
        let text = KeyText::mint(&*self.entropy, id);
        let fresh = self.seal(text.expose())?;
        let end = self.gate.clock().now().checked_add(overlap.try_into().unwrap_or(time::Duration::MAX));
        let too_large = || Error::invalid("overlap_seconds", "overlap_seconds is too large");
        let end = in_utc(end).ok().flatten().ok_or_else(too_large)?;
        let key = self
            .change(context, scope.principal(), &format!("key:{id}"), |planning| {
                let held = planning.snapshot.key(id).ok_or_else(|| Error::not_found(format!("key `{id}`")))?;
                let mut key = ApiKey::clone(held);
                let previous = key.secrets.into_iter().next();
                let previous = previous.map(|secret| KeySecret { expires_at: Some(end), ..secret });
                key.secrets = std::iter::once(fresh).chain(previous).collect();
                key.stamp = planning.next_version(held.stamp);
                Ok((vec![Change::Put(Object::ApiKey(key.clone()))], key))
            })
            .await?;
        Ok(MintedKey { key, text })
    }

    /// Changes a key's name or end.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `InvalidInput`, `PreconditionFailed`.
    pub async fn change_key(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        name: Option<String>,
        expires_at: Option<Option<OffsetDateTime>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<ApiKey> {
        scope.demand_platform_admin()?;
        name.as_deref().map_or(Ok(()), check_title).map_err(|error| error.with_param("name"))?;
        let expires_at = expires_at.map(in_utc).transpose()?;
        self.change(context, scope.principal(), &format!("key:{id}"), |planning| {
            let held = planning.snapshot.key(id).ok_or_else(|| Error::not_found(format!("key `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let mut key = ApiKey::clone(held);
            key.name = name.unwrap_or(key.name);
            key.expires_at = expires_at.unwrap_or(key.expires_at);
            if key == **held {
                return Ok((vec![], key));
            }
            key.stamp = planning.next_version(held.stamp);
            Ok((vec![Change::Put(Object::ApiKey(key.clone()))], key))
        })
        .await
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`, `PreconditionFailed`.
    pub async fn delete_key(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        if_match: Option<Vec<Revision>>,
    ) -> Result<()> {
        scope.demand_platform_admin()?;
        self.change(context, scope.principal(), &format!("key:{id}"), |planning| {
            let held = planning.snapshot.key(id).ok_or_else(|| Error::not_found(format!("key `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            Ok((vec![Change::Delete(ObjectKind::ApiKey, id.to_owned())], ()))
        })
        .await
    }

    /// The first start: `user:admin` with all four actions on the platform, as ordinary grants. Returns the text of its key
    /// when one was made; `given` is used instead of a random one, and replaces the one before.
    ///
    /// # Errors
    /// `InvalidInput` when `given` is too short to be a key or cannot stand in a header; else what the catalog says.
    pub async fn bootstrap(&self, context: &RequestContext, given: Option<&str>) -> Result<Option<KeyText>> {
        if given.is_some_and(|text| text.len() < 16) {
            return Err(Error::invalid(
                "UCAP_ADMIN_KEY",
                "UCAP_ADMIN_KEY is shorter than 16 characters; choose a long random one",
            ));
        }
        if given.is_some_and(|text| text.len() > 1024 || !text.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::invalid(
                "UCAP_ADMIN_KEY",
                "UCAP_ADMIN_KEY is longer than 1024 characters or holds others than visible ASCII",
            ));
        }
        let minted = KeyText::mint(&*self.entropy, BOOTSTRAP_KEY);
        let secret = self.seal(given.unwrap_or(minted.expose()))?;
        let grant_id = mint_id(&*self.entropy, "g_");
        let made = self
            .change(context, &Principal::System, "platform", |planning| {
                let snapshot = planning.snapshot;
                let first = snapshot.epoch() == 0;
                let held = snapshot.key(BOOTSTRAP_KEY);
                let now = self.gate.clock().now();
                let opens = |text| {
                    let opening = held.and_then(|key| self.gate.opening_secret(snapshot, key, text, now));
                    opening.is_some_and(|secret| secret.expires_at.is_none())
                };
                if !first && given.is_none_or(opens) {
                    return Ok((vec![], false));
                }
                let known = snapshot.user("admin").map(|user| User::clone(user));
                let owner = User { id: "admin".to_owned(), groups: BTreeSet::new(), stamp: planning.birth };
                let (owner, mut changes) = match known {
                    Some(owner) => (owner, vec![]),
                    None => (owner.clone(), vec![Change::Put(Object::User(owner))]),
                };
                let key = ApiKey {
                    id: BOOTSTRAP_KEY.to_owned(),
                    user: owner.id.clone(),
                    user_generation: owner.stamp.generation,
                    name: "administrator's first key".to_owned(),
                    scopes: None,
                    expires_at: None,
                    secrets: vec![secret],
                    stamp: planning.birth,
                };
                changes.push(Change::Put(Object::ApiKey(key)));
                if first {
                    changes.push(Change::Put(Object::Grant(ucap_core::catalog::Grant {
                        id: grant_id,
                        subject: Subject::User("admin".to_owned()),
                        resource: Resource::PLATFORM,
                        actions: Action::ALL.into_iter().collect(),
                        effect: ucap_core::catalog::Effect::Allow,
                        expires_at: None,
                        stamp: planning.birth,
                    })));
                }
                Ok((changes, true))
            })
            .await?;
        Ok((made && given.is_none()).then_some(minted))
    }

    fn seal(&self, text: &str) -> Result<KeySecret> {
        self.gate.peppers().seal(text).ok_or_else(|| Error::internal("the current pepper is missing"))
    }
}
