//! What a caller may touch, as a value that only the [`Gate`](crate::Gate) makes.

use std::sync::Arc;

use roaring::RoaringBitmap;
use ucap_core::catalog::{Datasource, Snapshot};
use ucap_core::{Action, ActionSet, Error, ErrorKind, Principal, Resource, ResourceKind, Result};

use crate::gate::Caller;
use crate::permit::Permit;
use crate::rights::Rights;

/// What a caller may touch, at one epoch.
///
/// ```compile_fail,E0451
/// fn forge(scope: &ucap_authz::Scope) -> ucap_authz::Scope {
///     ucap_authz::Scope { ..scope.clone() } // the fields are private: only the Gate mints a Scope
/// }
/// ```
///
/// ```compile_fail,E0624
/// fn forge(caller: ucap_authz::Caller, scope: &ucap_authz::Scope) {
///     ucap_authz::Scope::new(caller, scope.snapshot().clone(), todo!());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Scope {
    caller: Caller,
    snapshot: Arc<Snapshot>,
    rights: Arc<Rights>,
}

impl Scope {
    pub(crate) fn new(caller: Caller, snapshot: Arc<Snapshot>, rights: Arc<Rights>) -> Self {
        Self { caller, snapshot, rights }
    }

    /// Whose it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who that is.
    pub fn principal(&self) -> &Principal {
        self.caller.principal()
    }

    /// What exists, at the scope's epoch.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The digest of the rights it holds.
    pub fn digest(&self) -> &[u8; 32] {
        self.rights.digest()
    }

    /// Whether `action` may be done to `resource`.
    pub fn may(&self, resource: &Resource, action: Action) -> bool {
        self.rights.may(&self.snapshot, resource, action)
    }

    /// The actions that may be done to `resource`; none means that it is invisible, except to platform administrators.
    pub fn actions(&self, resource: &Resource) -> ActionSet {
        self.rights.actions(&self.snapshot, resource)
    }

    /// The ordinals of the datasources to which `action` may be done.
    pub fn datasources(&self, action: Action) -> &RoaringBitmap {
        self.rights.datasources(action)
    }

    /// The ordinals of the domains to which `action` may be done.
    pub fn domains(&self, action: Action) -> &RoaringBitmap {
        self.rights.domains(action)
    }

    /// Whether `resource` is there and visible: any action makes it so, and platform administrators see everything. What is
    /// denied to them as to everybody else they may not touch, but they can take the denial back.
    pub fn sees(&self, resource: &Resource) -> bool {
        let is_there = match (resource.kind(), resource.name()) {
            (ResourceKind::Domain, Some(name)) => self.snapshot.domain(name).is_some(),
            (ResourceKind::Datasource, Some(name)) => self.snapshot.datasource(name).is_some(),
            _ => true,
        };
        is_there && (self.is_platform_admin() || !self.actions(resource).is_empty())
    }

    /// Whether grants on `resource` are this caller's to give and take.
    pub fn administers(&self, resource: &Resource) -> bool {
        self.is_platform_admin() || self.may(resource, Action::Admin)
    }

    /// The ordinals of the datasources that are visible.
    pub fn visible_datasources(&self) -> RoaringBitmap {
        if self.is_platform_admin() {
            return self.snapshot.all_datasources().clone();
        }
        Action::ALL.into_iter().fold(RoaringBitmap::new(), |all, action| all | self.rights.datasources(action))
    }

    /// The ordinals of the domains that are visible.
    pub fn visible_domains(&self) -> RoaringBitmap {
        if self.is_platform_admin() {
            return self.snapshot.all_domains().clone();
        }
        Action::ALL.into_iter().fold(RoaringBitmap::new(), |all, action| all | self.rights.domains(action))
    }

    /// Whether the caller administers the platform.
    pub fn is_platform_admin(&self) -> bool {
        self.may(&Resource::PLATFORM, Action::Admin)
    }

    /// Whether the caller administers anything at all: to everybody else the administrators' routes are closed, and tell
    /// nothing about what exists.
    pub fn administers_something(&self) -> bool {
        self.rights.administer_something(&self.snapshot)
    }

    /// Whether `resource` is in `now` what this scope speaks of, and not another thing that got its name since.
    pub(crate) fn still_means(&self, now: &Snapshot, resource: &Resource) -> bool {
        let generation = |snapshot: &Snapshot| match (resource.kind(), resource.name()) {
            (ResourceKind::Domain, Some(name)) => snapshot.domain(name).map(|held| held.stamp.generation),
            (ResourceKind::Datasource, Some(name)) => snapshot.datasource(name).map(|held| held.stamp.generation),
            _ => Some(0),
        };
        generation(now).is_some_and(|held| generation(&self.snapshot) == Some(held))
    }

    /// The datasource `id`, if `action` may be done to it.
    ///
    /// # Errors
    /// `NotFound` when it is missing or hidden, the same for both; `PermissionDenied` when it is visible but `action`
    /// is not allowed.
    pub fn permit(&self, id: &str, action: Action) -> Result<Permit> {
        let resource = Resource::datasource(id);
        self.demand(&resource, action)?;
        let held = self.snapshot.datasource(id).ok_or_else(|| Error::not_found(describe(&resource)))?;
        Ok(Permit::new(self, held, action))
    }

    /// Every datasource to which `action` may be done, by ordinal.
    pub fn permits(&self, action: Action) -> Vec<Permit> {
        let ordinals = self.rights.datasources(action);
        ordinals
            .iter()
            .filter_map(|o| self.snapshot.datasource_at(o))
            .map(|held| Permit::new(self, held, action))
            .collect()
    }

    /// The datasource `id`, if it is visible.
    ///
    /// # Errors
    /// `NotFound` when it is missing or hidden.
    pub fn visible_datasource(&self, id: &str) -> Result<&Arc<Datasource>> {
        let resource = Resource::datasource(id);
        let held = self.snapshot.datasource(id).filter(|_| self.sees(&resource));
        held.ok_or_else(|| Error::not_found(describe(&resource)))
    }

    /// Demands that `action` may be done to `resource`.
    ///
    /// # Errors
    /// `NotFound` when it is missing or hidden; `PermissionDenied` when it is visible but `action` is not allowed. The
    /// platform and `KIND:*` hide nothing.
    pub fn demand(&self, resource: &Resource, action: Action) -> Result<()> {
        if self.may(resource, action) {
            return Ok(());
        }
        if resource.name().is_some() && !self.sees(resource) {
            return Err(Error::not_found(describe(resource)));
        }
        Err(denied(action, resource))
    }

    /// Demands `admin` on the platform.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub fn demand_platform_admin(&self) -> Result<()> {
        self.demand(&Resource::PLATFORM, Action::Admin)
    }
}

pub(crate) fn denied(action: Action, resource: &Resource) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!("you may not {} {}; ask an administrator for a grant", action.as_str(), describe(resource)),
    )
}

/// "datasource `ghsa`"
pub(crate) fn describe(resource: &Resource) -> String {
    match resource.name() {
        Some(name) => format!("{} `{name}`", resource.kind().as_str()),
        None if resource.kind() == ResourceKind::Platform => "the platform".to_owned(),
        None => format!("every {}", resource.kind().as_str()),
    }
}
