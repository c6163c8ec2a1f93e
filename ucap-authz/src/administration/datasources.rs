//! Datasources. What their settings mean is retrieval's business: it checks them before they come here.

use std::sync::Arc;

use ucap_core::catalog::{Change, Datasource, Object, ObjectKind, Snapshot};
use ucap_core::identity::is_id;
use ucap_core::{Action, Error, RequestContext, Resource, Result};

use super::{Administration, Created, ID_RULE, already_exists, bad_id, check_match, check_title, forget_resources};
use crate::scope::{Scope, describe};

/// A century.
const MAX_RETENTION_DAYS: u32 = 36_500;

/// A datasource to be.
#[derive(Debug, Clone)]
pub struct NewDatasource {
    /// Its id.
    pub id: String,
    /// Its domain.
    pub domain: String,
    /// Its format.
    pub format: String,
    /// For people.
    pub title: String,
    /// Days after which records are deleted.
    pub retention_days: Option<u32>,
    /// Checked settings.
    pub settings: serde_json::Value,
}

/// What changes of a datasource; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DatasourcePatch {
    /// For people.
    pub title: Option<String>,
    /// Another domain, which the caller must administer too.
    pub domain: Option<String>,
    /// Days, or no retention.
    pub retention_days: Option<Option<u32>>,
    /// Checked settings.
    pub settings: Option<serde_json::Value>,
}

impl Administration {
    /// Creates a datasource. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`, `InvalidInput`; `NotFound` without its domain; `AlreadyExists`.
    pub async fn create_datasource(
        &self,
        context: &RequestContext,
        scope: &Scope,
        new: NewDatasource,
    ) -> Result<Created<Datasource>> {
        scope.demand_platform_admin()?;
        if !is_id(&new.id) {
            return Err(bad_id("datasource", &new.id, ID_RULE));
        }
        check_title(&new.title)?;
        check_retention(new.retention_days)?;
        self.change(context, scope.principal(), &format!("datasource:{}", new.id), |planning| {
            let snapshot = planning.snapshot;
            if snapshot.domain(&new.domain).is_none() {
                return Err(Error::not_found(format!("domain `{}`", new.domain)).with_param("domain"));
            }
            let datasource = Datasource {
                id: new.id,
                domain: new.domain,
                format: new.format,
                title: new.title,
                retention_days: new.retention_days,
                settings: new.settings,
                ordinal: planning.ordinal()?,
                stamp: planning.birth,
            };
            if let Some(held) = snapshot.datasource(&datasource.id) {
                let same = Datasource { ordinal: held.ordinal, stamp: held.stamp, ..datasource } == **held;
                let held = Datasource::clone(held);
                return if same {
                    Ok((vec![], Created::Unchanged(held)))
                } else {
                    Err(already_exists("datasource", &held.id))
                };
            }
            Ok((vec![Change::Put(Object::Datasource(datasource.clone()))], Created::New(datasource)))
        })
        .await
    }

    /// Changes a datasource. For its administrators; another domain only for that domain's as well.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidInput`, `PreconditionFailed`.
    pub async fn change_datasource(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        patch: DatasourcePatch,
        if_match: Option<u64>,
    ) -> Result<Datasource> {
        scope.demand(&Resource::datasource(id), Action::Admin)?;
        if let Some(domain) = &patch.domain {
            scope.demand(&Resource::domain(&**domain), Action::Admin).map_err(|error| error.with_param("domain"))?;
        }
        patch.title.as_deref().map_or(Ok(()), check_title)?;
        check_retention(patch.retention_days.flatten())?;
        self.change(context, scope.principal(), &format!("datasource:{id}"), |planning| {
            let held = datasource_of(scope, planning.snapshot, id)?;
            check_match(if_match, held.stamp)?;
            let mut datasource = Datasource::clone(held);
            datasource.title = patch.title.unwrap_or(datasource.title);
            datasource.domain = patch.domain.unwrap_or(datasource.domain);
            datasource.retention_days = patch.retention_days.unwrap_or(datasource.retention_days);
            datasource.settings = patch.settings.unwrap_or(datasource.settings);
            let moved = datasource.domain != held.domain;
            if moved && !scope.still_means(planning.snapshot, &Resource::domain(&*datasource.domain)) {
                return Err(Error::not_found(format!("domain `{}`", datasource.domain)).with_param("domain"));
            }
            if datasource == **held {
                return Ok((vec![], datasource));
            }
            datasource.stamp = planning.next_version(held.stamp);
            Ok((vec![Change::Put(Object::Datasource(datasource.clone()))], datasource))
        })
        .await
    }

    /// Deletes a datasource with its grants; its files are the caller's to remove before it answers. For its
    /// administrators.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `PreconditionFailed`.
    pub async fn delete_datasource(
        &self,
        context: &RequestContext,
        scope: &Scope,
        id: &str,
        if_match: Option<u64>,
    ) -> Result<Arc<Datasource>> {
        scope.demand(&Resource::datasource(id), Action::Admin)?;
        self.change(context, scope.principal(), &format!("datasource:{id}"), |planning| {
            let held = datasource_of(scope, planning.snapshot, id)?;
            check_match(if_match, held.stamp)?;
            let mut changes =
                forget_resources(planning.snapshot, &[Resource::datasource(id)], |stamp| planning.next_version(stamp));
            changes.push(Change::Delete(ObjectKind::Datasource, id.to_owned()));
            Ok((changes, Arc::clone(held)))
        })
        .await
    }
}

fn check_retention(days: Option<u32>) -> Result<()> {
    match days {
        Some(days) if !(1..=MAX_RETENTION_DAYS).contains(&days) => {
            let message =
                format!("`retention_days` is 1 to {MAX_RETENTION_DAYS}, or null for records that are kept for ever");
            Err(Error::invalid("retention_days", message))
        }
        _ => Ok(()),
    }
}

/// The datasource that the scope was asked about.
fn datasource_of<'s>(scope: &Scope, now: &'s Snapshot, id: &str) -> Result<&'s Arc<Datasource>> {
    let resource = Resource::datasource(id);
    let held = now.datasource(id).filter(|_| scope.still_means(now, &resource));
    held.ok_or_else(|| Error::not_found(describe(&resource)))
}
