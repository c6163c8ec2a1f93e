//! API keys.

use std::sync::Arc;
use std::time::Duration;

use ucap_authz::Scope;
use ucap_authz::administration::{MintedKey, NewKey, Revision};
use ucap_core::catalog::ApiKey;
use ucap_core::{Error, Result};

use super::Session;
use super::page::{Listed, PageRequest};

impl Session {
    /// The caller's keys; a platform administrator sees all.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub async fn keys(&self, page: &PageRequest) -> Result<Listed<Arc<ApiKey>>> {
        let call = self.begin("platform").await?;
        let seen = call.scope.snapshot().keys().filter(|key| sees_key(&call.scope, key));
        Ok(Listed::of(seen, |key| &key.id, page))
    }

    /// A key of the caller; a platform administrator sees all.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn key(&self, id: &str) -> Result<Arc<ApiKey>> {
        let call = self.begin(format!("key:{id}")).await?;
        let found = call.scope.snapshot().key(id).filter(|key| sees_key(&call.scope, key)).cloned();
        let found = found.ok_or_else(|| Error::not_found(format!("key `{id}`")));
        call.end(found).await
    }

    /// Creates a key.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::create_key`].
    pub async fn create_key(&self, new: NewKey) -> Result<MintedKey> {
        let call = self.begin(format!("user:{}", new.user)).await?;
        let made = call.parts.administration.create_key(&call.context, &call.scope, new).await;
        call.end(made).await
    }

    /// Gives a key a new secret; the old one stays good for `overlap`.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::rotate_key`].
    pub async fn rotate_key(&self, id: &str, overlap: Duration) -> Result<MintedKey> {
        let call = self.begin(format!("key:{id}")).await?;
        let made = call.parts.administration.rotate_key(&call.context, &call.scope, id, overlap).await;
        call.end(made).await
    }

    /// Changes a key's name or end.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_key`].
    pub async fn change_key(
        &self,
        id: &str,
        name: Option<String>,
        expires_at: Option<Option<time::OffsetDateTime>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<ApiKey> {
        let call = self.begin(format!("key:{id}")).await?;
        let changed =
            call.parts.administration.change_key(&call.context, &call.scope, id, name, expires_at, if_match).await;
        call.end(changed).await
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_key`].
    pub async fn delete_key(&self, id: &str, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("key:{id}")).await?;
        let done = call.parts.administration.delete_key(&call.context, &call.scope, id, if_match).await;
        call.end(done).await
    }
}

fn sees_key(scope: &Scope, key: &ApiKey) -> bool {
    scope.is_platform_admin() || scope.caller().user() == Some(&*key.user)
}
