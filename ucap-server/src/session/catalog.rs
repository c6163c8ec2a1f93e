//! Domains, datasources, users, groups and grants: what exists. Keys are beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;
use ucap_authz::Scope;
use ucap_authz::administration::{
    Created, DatasourcePatch, DomainPatch, NewDatasource, NewGrant, Revision, administers_something,
};
use ucap_core::catalog::{Datasource, Domain, Grant, Group, User};
use ucap_core::{Action, Error, ErrorKind, RequestContext, Resource, Result};
use ucap_inference::ALL_MINILM_L6_V2;
use ucap_retrieval::settings::{NewSettings, Settings};

use super::page::{Listed, PageRequest};
use super::{Call, Session};

/// A change of settings that meets other changes is tried so often.
const SETTINGS_ATTEMPTS: usize = 8;

/// What changes of a datasource; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DatasourceChange {
    /// For people.
    pub title: Option<String>,
    /// Another domain.
    pub domain: Option<String>,
    /// Days, or no retention.
    pub retention_days: Option<Option<u32>>,
    /// More fields, as `{"fields":{…},"text":[…]}`.
    pub schema: Option<Json>,
}

/// A datasource, as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDatasource {
    /// The datasource.
    pub datasource: Arc<Datasource>,
    /// Its domain, if that is visible too: an action on a datasource does not make it so.
    pub domain: Option<String>,
}

impl SeenDatasource {
    fn new(scope: &Scope, datasource: Arc<Datasource>) -> Self {
        let visible = !scope.actions(&Resource::domain(&*datasource.domain)).is_empty();
        let domain = visible.then(|| datasource.domain.clone());
        Self { datasource, domain }
    }
}

impl Session {
    /// The domains that are visible.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub async fn domains(&self, page: &PageRequest) -> Result<Listed<Arc<Domain>>> {
        let call = self.begin("domain:*").await?;
        let visible = call.scope.visible_domains();
        let seen = call.scope.snapshot().domains().filter(|domain| visible.contains(domain.ordinal));
        Ok(Listed::of(seen, |domain| &domain.id, page))
    }

    /// A visible domain.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn domain(&self, id: &str) -> Result<Arc<Domain>> {
        let call = self.begin(format!("domain:{id}")).await?;
        let seen = !call.scope.actions(&Resource::domain(id)).is_empty();
        let found = call.scope.snapshot().domain(id).filter(|_| seen).cloned();
        let found = found.ok_or_else(|| Error::not_found(format!("domain `{id}`")));
        call.end(found).await
    }

    /// Creates a domain.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::create_domain`].
    pub async fn create_domain(&self, id: &str, title: &str, public: bool) -> Result<Created<Domain>> {
        let call = self.begin(format!("domain:{id}")).await?;
        let made = call.parts.administration.create_domain(&call.context, &call.scope, id, title, public).await;
        call.end(made).await
    }

    /// Changes a domain; `if_match` are the states that it may be in.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_domain`].
    pub async fn change_domain(&self, id: &str, patch: DomainPatch, if_match: Option<Vec<Revision>>) -> Result<Domain> {
        let call = self.begin(format!("domain:{id}")).await?;
        let changed = call.parts.administration.change_domain(&call.context, &call.scope, id, patch, if_match).await;
        call.end(changed).await
    }

    /// Deletes a domain, with `cascade` its datasources too, and their files before it answers.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_domain`]; `Unavailable` when files cannot be removed.
    pub async fn delete_domain(&self, id: &str, cascade: bool, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("domain:{id}")).await?;
        let gone = call.parts.administration.delete_domain(&call.context, &call.scope, id, cascade, if_match).await;
        let done = match gone {
            Ok(datasources) => forget(&call, &datasources).await,
            Err(error) => Err(error),
        };
        call.end(done).await
    }

    /// The datasources that are visible.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub async fn datasources(&self, page: &PageRequest) -> Result<Listed<SeenDatasource>> {
        let call = self.begin("datasource:*").await?;
        let visible = call.scope.visible_datasources();
        let seen = call.scope.snapshot().datasources().filter(|datasource| visible.contains(datasource.ordinal));
        let listed = Listed::of(seen, |datasource| &datasource.id, page);
        Ok(listed.map(|datasource| SeenDatasource::new(&call.scope, datasource)))
    }

    /// A visible datasource.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn datasource(&self, id: &str) -> Result<SeenDatasource> {
        let call = self.begin(format!("datasource:{id}")).await?;
        let found = call.scope.visible_datasource(id).cloned();
        let found = found.map(|datasource| SeenDatasource::new(&call.scope, datasource));
        call.end(found).await
    }

    /// Creates a datasource with checked settings.
    ///
    /// # Errors
    /// As [`Settings::check`] and [`ucap_authz::Administration::create_datasource`].
    pub async fn create_datasource(
        &self,
        id: &str,
        domain: &str,
        title: &str,
        retention_days: Option<u32>,
        settings: &NewSettings,
    ) -> Result<Created<SeenDatasource>> {
        let call = self.begin(format!("datasource:{id}")).await?;
        // Who may not create at all is told nothing about what would be wrong with it.
        let checked = call.scope.demand_platform_admin().and_then(|()| Settings::check(settings, ALL_MINILM_L6_V2));
        let made = match checked {
            Ok(checked) => {
                let new = NewDatasource {
                    id: id.to_owned(),
                    domain: domain.to_owned(),
                    format: settings.format.clone(),
                    title: title.to_owned(),
                    retention_days,
                    settings: checked.to_json(),
                };
                call.parts.administration.create_datasource(&call.context, &call.scope, new).await
            }
            Err(error) => Err(error),
        };
        let made = made.map(|created| {
            // Its maker sees every domain; a scope from before the datasource knows the domain all the same.
            let see = |datasource| SeenDatasource::new(&call.scope, Arc::new(datasource));
            match created {
                Created::New(datasource) => Created::New(see(datasource)),
                Created::Unchanged(datasource) => Created::Unchanged(see(datasource)),
            }
        });
        call.end(made).await
    }

    /// Changes a datasource; `if_match` are the states that it may be in.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_datasource`]; `InvalidInput` when a field would change its type.
    pub async fn change_datasource(
        &self,
        id: &str,
        change: DatasourceChange,
        if_match: Option<Vec<Revision>>,
    ) -> Result<SeenDatasource> {
        let call = self.begin(format!("datasource:{id}")).await?;
        let changed = change_datasource(&call, id, &change, if_match).await;
        let changed = changed.map(|datasource| SeenDatasource::new(&call.scope, Arc::new(datasource)));
        call.end(changed).await
    }

    /// Deletes a datasource, and its files before it answers.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_datasource`]; `Unavailable` when files cannot be removed.
    pub async fn delete_datasource(&self, id: &str, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("datasource:{id}")).await?;
        let gone = call.parts.administration.delete_datasource(&call.context, &call.scope, id, if_match).await;
        let done = match gone {
            Ok(datasource) => forget(&call, &[datasource]).await,
            Err(error) => Err(error),
        };
        call.end(done).await
    }

    /// All users. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub async fn users(&self, page: &PageRequest) -> Result<Listed<Arc<User>>> {
        let call = self.begin("platform").await?;
        let listed =
            administered(&call.scope).map(|()| Listed::of(call.scope.snapshot().users(), |user| &user.id, page));
        call.end(listed).await
    }

    /// A user. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`.
    pub async fn user(&self, id: &str) -> Result<Arc<User>> {
        let call = self.begin(format!("user:{id}")).await?;
        let found = administered(&call.scope).and_then(|()| {
            call.scope.snapshot().user(id).cloned().ok_or_else(|| Error::not_found(format!("user `{id}`")))
        });
        call.end(found).await
    }

    /// Creates a user.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::create_user`].
    pub async fn create_user(&self, id: &str, groups: BTreeSet<String>) -> Result<Created<User>> {
        let call = self.begin(format!("user:{id}")).await?;
        let made = call.parts.administration.create_user(&call.context, &call.scope, id, groups).await;
        call.end(made).await
    }

    /// Changes a user's groups.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_user`].
    pub async fn change_user(
        &self,
        id: &str,
        groups: Option<BTreeSet<String>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<User> {
        let call = self.begin(format!("user:{id}")).await?;
        let changed = call.parts.administration.change_user(&call.context, &call.scope, id, groups, if_match).await;
        call.end(changed).await
    }

    /// Deletes a user with its keys and grants.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_user`].
    pub async fn delete_user(&self, id: &str, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("user:{id}")).await?;
        let done = call.parts.administration.delete_user(&call.context, &call.scope, id, if_match).await;
        call.end(done).await
    }

    /// All groups. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub async fn groups(&self, page: &PageRequest) -> Result<Listed<Arc<Group>>> {
        let call = self.begin("platform").await?;
        let listed =
            administered(&call.scope).map(|()| Listed::of(call.scope.snapshot().groups(), |group| &group.id, page));
        call.end(listed).await
    }

    /// A group. For platform administrators.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotFound`.
    pub async fn group(&self, id: &str) -> Result<Arc<Group>> {
        let call = self.begin(format!("group:{id}")).await?;
        let found = administered(&call.scope).and_then(|()| {
            call.scope.snapshot().group(id).cloned().ok_or_else(|| Error::not_found(format!("group `{id}`")))
        });
        call.end(found).await
    }

    /// Creates a group.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::create_group`].
    pub async fn create_group(&self, id: &str, title: &str) -> Result<Created<Group>> {
        let call = self.begin(format!("group:{id}")).await?;
        let made = call.parts.administration.create_group(&call.context, &call.scope, id, title).await;
        call.end(made).await
    }

    /// Changes a group's title.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_group`].
    pub async fn change_group(
        &self,
        id: &str,
        title: Option<String>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Group> {
        let call = self.begin(format!("group:{id}")).await?;
        let changed = call.parts.administration.change_group(&call.context, &call.scope, id, title, if_match).await;
        call.end(changed).await
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_group`].
    pub async fn delete_group(&self, id: &str, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("group:{id}")).await?;
        let done = call.parts.administration.delete_group(&call.context, &call.scope, id, if_match).await;
        call.end(done).await
    }

    /// The grants on what the caller administers.
    ///
    /// # Errors
    /// `PermissionDenied` for who administers nothing.
    pub async fn grants(&self, page: &PageRequest) -> Result<Listed<Arc<Grant>>> {
        let call = self.begin("platform").await?;
        let listed = if administers_something(&call.scope) {
            let all = call.scope.is_platform_admin();
            let seen = |grant: &&Arc<Grant>| all || call.scope.may(&grant.resource, Action::Admin);
            Ok(Listed::of(call.scope.snapshot().grants().filter(seen), |grant| &grant.id, page))
        } else {
            Err(Error::new(ErrorKind::PermissionDenied, "grants are the administrators'"))
        };
        call.end(listed).await
    }

    /// A grant on something that the caller administers.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::administered_grant`].
    pub async fn grant(&self, id: &str) -> Result<Grant> {
        let call = self.begin(format!("grant:{id}")).await?;
        let found = call.parts.administration.administered_grant(&call.scope, id);
        call.end(found).await
    }

    /// Makes a grant.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::create_grant`].
    pub async fn create_grant(&self, new: NewGrant) -> Result<Created<Grant>> {
        let call = self.begin(new.resource.to_string()).await?;
        let made = call.parts.administration.create_grant(&call.context, &call.scope, new).await;
        call.end(made).await
    }

    /// Changes when a grant ends.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::change_grant`].
    pub async fn change_grant(
        &self,
        id: &str,
        expires_at: Option<Option<time::OffsetDateTime>>,
        if_match: Option<Vec<Revision>>,
    ) -> Result<Grant> {
        let call = self.begin(format!("grant:{id}")).await?;
        let changed =
            call.parts.administration.change_grant(&call.context, &call.scope, id, expires_at, if_match).await;
        call.end(changed).await
    }

    /// Takes a grant away.
    ///
    /// # Errors
    /// As [`ucap_authz::Administration::delete_grant`].
    pub async fn delete_grant(&self, id: &str, if_match: Option<Vec<Revision>>) -> Result<()> {
        let call = self.begin(format!("grant:{id}")).await?;
        let done = call.parts.administration.delete_grant(&call.context, &call.scope, id, if_match).await;
        call.end(done).await
    }
}

fn administered(scope: &Scope) -> Result<()> {
    scope.demand_platform_admin()
}

/// Removes the files of datasources that are gone from the catalog.
async fn forget(call: &Call<'_>, datasources: &[Arc<Datasource>]) -> Result<()> {
    for datasource in datasources {
        call.parts.retriever.forget(&call.context, datasource).await?;
    }
    Ok(())
}

/// New fields are added to the schema that is read here; should somebody else have changed it meanwhile, once more.
async fn change_datasource(
    call: &Call<'_>,
    id: &str,
    change: &DatasourceChange,
    if_match: Option<Vec<Revision>>,
) -> Result<Datasource> {
    let gate = &call.parts.gate;
    let (context, scope): (&RequestContext, &Scope) = (&call.context, &call.scope);
    scope.demand(&Resource::datasource(id), Action::Admin)?;
    let mut attempt = 1;
    loop {
        let held = gate.catalog().snapshot().datasource(id).cloned();
        let held = held.ok_or_else(|| Error::not_found(format!("datasource `{id}`")))?;
        let settings = match &change.schema {
            Some(schema) => Some(Settings::of(&held)?.with_more_fields(schema)?.to_json()),
            None => None,
        };
        let read_here = || settings.is_some().then(|| vec![Revision::of(held.stamp)]);
        let expected = if_match.clone().or_else(read_here);
        let patch = DatasourcePatch {
            title: change.title.clone(),
            domain: change.domain.clone(),
            retention_days: change.retention_days,
            settings,
        };
        match call.parts.administration.change_datasource(context, scope, id, patch, expected).await {
            Err(error)
                if error.kind() == ErrorKind::PreconditionFailed
                    && if_match.is_none()
                    && attempt < SETTINGS_ATTEMPTS =>
            {
                attempt += 1;
            }
            Ok(changed) => {
                if change.schema.is_some() {
                    call.parts.retriever.schema_changed(context, &changed).await?;
                }
                return Ok(changed);
            }
            Err(error) => return Err(error),
        }
    }
}
