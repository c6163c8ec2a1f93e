//! Grants: who administers a resource decides who else may use it.

use time::OffsetDateTime;
use ucap_core::catalog::{Change, Effect, Grant, Object, ObjectKind};
use ucap_core::{
    Action, ActionSet, Error, ErrorKind, RequestContext, Resource, ResourceKind, Result, Subject, mint_id,
};

use super::{Administration, Created, Revision, check_match, in_utc};
use crate::scope::{Scope, denied, describe};

/// A grant to be.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// For whom; need not exist yet.
    pub subject: Subject,
    /// On what; must exist, `*` apart.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Gives or takes.
    pub effect: Effect,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
}

impl Administration {
    /// Makes a grant; an equal one is found again. For the resource's administrators.
    ///
    /// # Errors
    /// `PermissionDenied` for who administers nothing; else `NotFound` when the resource is missing or hidden;
    /// `InvalidInput`; `Conflict` when no administrator remained.
    pub async fn create_grant(&self, context: &RequestContext, scope: &Scope, new: NewGrant) -> Result<Created<Grant>> {
        demand_administration(scope, &new.resource)?;
        if new.actions.is_empty() {
            return Err(Error::invalid(
                "actions",
                "actions is empty; name at least one of read, write, execute, admin",
            ));
        }
        let expires_at = in_utc(new.expires_at)?;
        let id = mint_id(&*self.entropy, "g_");
        self.change(context, scope.principal(), &new.resource.to_string(), |planning| {
            let snapshot = planning.snapshot;
            if !self.exists(&new.resource) || !scope.still_means(snapshot, &new.resource) {
                return Err(Error::not_found(describe(&new.resource)).with_param("resource"));
            }
            let same = snapshot.same_grant(&new.subject, &new.resource, new.actions, new.effect, expires_at);
            if let Some(held) = same {
                return Ok((vec![], Created::Unchanged(Grant::clone(held))));
            }
            let NewGrant { subject, resource, actions, effect, .. } = new;
            let grant = Grant { id, subject, resource, actions, effect, expires_at, stamp: planning.birth };
            Ok((vec![Change::Put(Object::Grant(grant.clone()))], Created::New(grant)))
        })
        .await
    }

    /// Changes when a grant ends. For the resource's administrators.
    ///
    /// # Errors
    /// As [`Administration::delete_grant`]; `InvalidInput`; `AlreadyExists` when it would become equal to another.
    pub async fn change_grant(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        expires_at: Option<Option<OffsetDateTime>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Grant> {
        let held = self.administered_grant(scope, id)?;
        let expires_at = expires_at.map(in_utc).transpose()?;
        self.change(context, scope.principal(), &held.resource.to_string(), |planning| {
            let held = planning.snapshot.grant(id).ok_or_else(|| Error::not_found(format!("grant `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            let Some(expires_at) = expires_at.filter(|end| *end != held.expires_at) else {
                return Ok((vec![], Grant::clone(held)));
            };
            let same =
                planning.snapshot.same_grant(&held.subject, &held.resource, held.actions, held.effect, expires_at);
            if let Some(other) = same {
                let message = format!("grant `{}` says the same already; delete one of them", other.id);
                return Err(Error::new(ErrorKind::AlreadyExists, message).with_param("expires_at"));
            }
            let grant = Grant { expires_at, stamp: planning.next_version(held.stamp), ..Grant::clone(held) };
            Ok((vec![Change::Put(Object::Grant(grant.clone()))], grant))
        })
        .await
    }

    /// Takes a grant away. For the resource's administrators.
    ///
    /// # Errors
    /// `PermissionDenied` for who administers nothing; else `NotFound`; `PreconditionFailed`; `Conflict` when no
    /// administrator remained.
    pub async fn delete_grant(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        if_match: Option<Vec<Revision>>,
    ) -> Result<()> {
        let held = self.administered_grant(scope, id)?;
        self.change(context, scope.principal(), &held.resource.to_string(), |planning| {
            let held = planning.snapshot.grant(id).ok_or_else(|| Error::not_found(format!("grant `{id}`")))?;
            check_match(if_match.as_deref(), held.stamp)?;
            Ok((vec![Change::Delete(ObjectKind::Grant, id.to_owned())], ()))
        })
        .await
    }

    /// The grant `id`, if the caller administers its resource.
    ///
    /// # Errors
    /// `PermissionDenied` for who administers nothing; else `NotFound`.
    pub fn administered_grant(&self, scope: &Scope, id: &str) -> Result<Grant> {
        if !scope.administers_something() {
            return Err(Error::new(ErrorKind::PermissionDenied, "grants are the administrators'"));
        }
        let held = scope.snapshot().grant(id).filter(|grant| scope.administers(&grant.resource));
        held.map(|grant| Grant::clone(grant)).ok_or_else(|| Error::not_found(format!("grant `{id}`")))
    }

    /// Whether it exists as far as the catalog cannot tell.
    fn exists(&self, resource: &Resource) -> bool {
        match (resource.kind(), resource.name()) {
            (_, None) | (ResourceKind::Platform | ResourceKind::Domain | ResourceKind::Datasource, _) => true,
            (ResourceKind::Model | ResourceKind::Mcp | ResourceKind::Tool | ResourceKind::UseCase, _) => {
                (self.known)(resource)
            }
        }
    }
}

/// Platform administrators give and take every grant, also one that is denied to them: else they could not take the denial
/// back. Who administers nothing learns nothing: 403 whatever is named. An administrator of something else gets the same 404
/// for a hidden and for a missing resource.
fn demand_administration(scope: &Scope, resource: &Resource) -> Result<()> {
    if !scope.administers_something() {
        return Err(denied(Action::Admin, resource));
    }
    if scope.is_platform_admin() && scope.sees(resource) {
        return Ok(());
    }
    scope.demand(resource, Action::Admin).map_err(|error| error.with_param("resource"))
}
