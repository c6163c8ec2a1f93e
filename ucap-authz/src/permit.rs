//! One (datasource, action) taken out of a [`Scope`].

use std::sync::Arc;

use ucap_core::Action;
use ucap_core::catalog::Datasource;

use crate::gate::Caller;
use crate::scope::Scope;

/// The right to do one action to one datasource. A datastore is read and written with a Permit, never with a bare id.
///
/// ```compile_fail,E0451
/// fn forge(permit: &ucap_authz::Permit) -> ucap_authz::Permit {
///     ucap_authz::Permit { ..permit.clone() } // private fields: a Permit comes out of a Scope
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Permit {
    caller: Caller,
    datasource: Arc<Datasource>,
    action: Option<Action>,
    digest: [u8; 32],
}

impl Permit {
    pub(crate) fn new(scope: &Scope, datasource: &Arc<Datasource>, action: Action) -> Self {
        Self {
            caller: scope.caller().clone(),
            datasource: Arc::clone(datasource),
            action: Some(action),
            digest: *scope.digest(),
        }
    }

    pub(crate) fn system(caller: Caller, datasource: &Arc<Datasource>) -> Self {
        Self { caller, datasource: Arc::clone(datasource), action: None, digest: [0; 32] }
    }

    /// To what.
    pub fn datasource(&self) -> &Arc<Datasource> {
        &self.datasource
    }

    /// Whether it lets `action` be done. The system's permits let everything be done to their datasource.
    pub fn allows(&self, action: Action) -> bool {
        self.action.is_none_or(|held| held == action)
    }

    pub(crate) fn action(&self) -> Option<Action> {
        self.action
    }

    /// Whose it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The digest of the rights it was taken from.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
