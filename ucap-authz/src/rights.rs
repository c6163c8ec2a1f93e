//! What a caller may touch, compiled once for each caller and epoch: one bitmap of datasources for each action.

use std::sync::Arc;

use roaring::RoaringBitmap;
use time::OffsetDateTime;
use ucap_core::catalog::{Effect, Grant, KeyScope, Snapshot};
use ucap_core::{Action, ActionSet, Resource, ResourceKind};

use crate::access::path;

/// All that a caller may touch at one epoch.
#[derive(Debug, Clone)]
pub struct Rights {
    pub(crate) datasources: [RoaringBitmap; 4],
    pub(crate) domains: [RoaringBitmap; 4],
    /// Live grants that name the caller, in order of id: resources that have no ordinals are decided from them.
    pub(crate) grants: Vec<Arc<Grant>>,
    pub(crate) scopes: Option<Arc<[KeyScope]>>,
    /// The first moment at which a grant ends and the rights must be compiled again.
    pub(crate) valid_until: Option<OffsetDateTime>,
    pub(crate) digest: [u8; 32],
}

impl Rights {
    /// The ordinals of the datasources to which `action` may be done.
    pub fn datasources(&self, action: Action) -> &RoaringBitmap {
        &self.datasources[action as usize]
    }

    /// The ordinals of the domains to which `action` may be done.
    pub fn domains(&self, action: Action) -> &RoaringBitmap {
        &self.domains[action as usize]
    }

    /// Changes whenever what the caller may touch changes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether `action` may be done to `resource`.
    pub fn may(&self, snapshot: &Snapshot, resource: &Resource, action: Action) -> bool {
        match (resource.kind(), resource.name()) {
            (ResourceKind::Datasource, Some(name)) => {
                snapshot.datasource(name).is_some_and(|held| self.datasources(action).contains(held.ordinal))
            }
            (ResourceKind::Domain, Some(name)) => {
                snapshot.domain(name).is_some_and(|held| self.domains(action).contains(held.ordinal))
            }
            _ => path(resource, snapshot).is_some_and(|path| self.allowed_on(&path, action)),
        }
    }

    /// The actions that may be done to `resource`.
    pub fn actions(&self, snapshot: &Snapshot, resource: &Resource) -> ActionSet {
        Action::ALL.into_iter().filter(|action| self.may(snapshot, resource, *action)).collect()
    }

    /// Whether `admin` is held on anything at all. What is administered always shows at a place that a grant or a scope
    /// of the key names, or as a domain or datasource.
    pub(crate) fn administer_something(&self, snapshot: &Snapshot) -> bool {
        let granted = self.grants.iter().map(|grant| &grant.resource);
        let kept = self.scopes.iter().flat_map(|scopes| scopes.iter()).map(|scope| &scope.resource);
        !self.datasources(Action::Admin).is_empty()
            || !self.domains(Action::Admin).is_empty()
            || granted.chain(kept).any(|resource| self.may(snapshot, resource, Action::Admin))
    }

    fn allowed_on(&self, path: &[Resource], action: Action) -> bool {
        let mut allowed = false;
        for grant in self.grants.iter().filter(|grant| grant.actions.contains(action) && path.contains(&grant.resource))
        {
            match grant.effect {
                Effect::Deny => return false,
                Effect::Allow => allowed = true,
            }
        }
        allowed && self.kept_by_scopes(path, action)
    }

    pub(crate) fn kept_by_scopes(&self, path: &[Resource], action: Action) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| {
            scopes.iter().any(|scope| scope.actions.contains(action) && path.contains(&scope.resource))
        })
    }
}
