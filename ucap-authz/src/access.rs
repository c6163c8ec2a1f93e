//! A question to an authorizer, and what lies above a resource.

use ucap_core::catalog::Snapshot;
use ucap_core::{Action, Resource, ResourceKind};

/// "May the caller do `action` to `resource`?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// To what.
    pub resource: Resource,
    /// What.
    pub action: Action,
}

/// The resources whose grants speak about `resource`, from the thing itself up to the platform. `None` when a domain or
/// datasource of this name does not exist: nobody may do anything to it.
pub fn path(resource: &Resource, snapshot: &Snapshot) -> Option<Vec<Resource>> {
    let kind = resource.kind();
    let mut path = vec![resource.clone()];
    if let Some(name) = resource.name() {
        path.push(Resource::all(kind));
        match kind {
            ResourceKind::Domain => {
                snapshot.domain(name)?;
            }
            ResourceKind::Datasource => path.push(Resource::domain(&*snapshot.datasource(name)?.domain)),
            ResourceKind::Tool => {
                let server = name.split_once('/').map_or(name, |(server, _)| server);
                path.push(Resource::one(ResourceKind::Mcp, server));
            }
            _ => {}
        }
    }
    match kind {
        ResourceKind::Platform => return Some(path),
        ResourceKind::Datasource => path.push(Resource::all(ResourceKind::Domain)),
        ResourceKind::Tool => path.push(Resource::all(ResourceKind::Mcp)),
        _ => {}
    }
    path.push(Resource::PLATFORM);
    Some(path)
}
