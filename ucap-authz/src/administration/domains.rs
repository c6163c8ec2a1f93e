//! Domains.

use std::sync::Arc;

use ucap_core::catalog::{Change, Datasource, Domain, Object, ObjectKind, Snapshot};
use ucap_core::identity::is_id;
use ucap_core::{Action, Error, ErrorKind, RequestContext, Resource, Result};

use super::{
    Administration, Created, ID_RULE, Revision, already_exists, bad_id, check_match, check_title, forget_resources,
};
use crate::scope::{Scope, describe};

/// What changes of a domain; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DomainPatch {
    /// For people.
    pub title: Option<String>,
    /// Whether everyone may read it.
    pub public: Option<bool>,
}

impl Administration {
    /// Creates a domain. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`; `InvalidInput`; `AlreadyExists` when another one has the id.
    pub async fn create_domain(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        title: &str,
        public: bool,
    ) -> Result<Created<Domain>> {
        scope.demand_platform_admin()?;
        if !is_id(id) {
            return Err(bad_id("domain", id, ID_RULE));
        }
        check_title(title)?;
        self.change(context, scope.principal(), &format!("domain:{id}"), |planning| {
            if let Some(held) = planning.snapshot.domain(id) {
                let same = held.title == title && held.public == public;
                return if same {
                    Ok((vec![], Created::Unchanged(Domain::clone(held))))
                } else {
                    Err(already_exists("domain", id))
                };
            }
            let ordinal = planning.ordinal()?;
            let domain = Domain { id: id.to_owned(), title: title.to_owned(), public, ordinal, stamp: planning.birth };
            Ok((vec![Change::Put(Object::Domain(domain.clone()))], Created::New(domain)))
        })
        .await
    }

    /// Changes a domain. For its administrators.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidInput`, `PreconditionFailed`.
    pub async fn change_domain(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        patch: DomainPatch,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Domain> {
        scope.demand(&Resource::domain(id), Action::Admin)?;
        patch.title.as_deref().map_or(Ok(()), check_title)?;
        self.change(context, scope.principal(), &format!("domain:{id}"), |planning| {
            let held = domain_of(scope, planning.snapshot, id)?;
            check_match(if_match.as_deref(), held.stamp)?;
            let mut domain = Domain::clone(held);
            domain.title = patch.title.unwrap_or(domain.title);
            domain.public = patch.public.unwrap_or(domain.public);
            if domain == **held {
                return Ok((vec![], domain));
            }
            domain.stamp = planning.next_version(held.stamp);
            Ok((vec![Change::Put(Object::Domain(domain.clone()))], domain))
        })
        .await
    }

    /// Deletes a domain with its grants, and with `cascade` its datasources, which are returned: their files are the
    /// caller's to remove before it answers. For its administrators.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `PreconditionFailed`; `NotEmpty` without `cascade`.
    pub async fn delete_domain(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        cascade: bool,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Vec<Arc<Datasource>>> {
        scope.demand(&Resource::domain(id), Action::Admin)?;
        self.change(context, scope.principal(), &format!("domain:{id}"), |planning| {
            let snapshot = planning.snapshot;
            let held = domain_of(scope, snapshot, id)?;
            check_match(if_match.as_deref(), held.stamp)?;
            let members: Vec<Arc<Datasource>> = snapshot
                .members(id)
                .into_iter()
                .flat_map(|members| members.iter())
                .filter_map(|ordinal| snapshot.datasource_at(ordinal).cloned())
                .collect();
            if !members.is_empty() && !cascade {
                return Err(Error::new(
                    ErrorKind::NotEmpty,
                    format!("domain `{id}` still has datasources; delete them first, or all with ?cascade=true"),
                ));
            }
            let resources: Vec<Resource> = members
                .iter()
                .map(|datasource| Resource::datasource(&*datasource.id))
                .chain([Resource::domain(id)])
                .collect();
            let mut changes = forget_resources(snapshot, &resources, |stamp| planning.next_version(stamp));
            changes.extend(members.iter().map(|member| Change::Delete(ObjectKind::Datasource, member.id.clone())));
            changes.push(Change::Delete(ObjectKind::Domain, id.to_owned()));
            Ok((changes, members))
        })
        .await
    }
}

/// The domain that the scope was asked about.
fn domain_of<'s>(scope: &Scope, now: &'s Snapshot, id: &str) -> Result<&'s Arc<Domain>> {
    let resource = Resource::domain(id);
    let held = now.domain(id).filter(|_| scope.still_means(now, &resource));
    held.ok_or_else(|| Error::not_found(describe(&resource)))
}
