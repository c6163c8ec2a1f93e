//! A small platform on memory stores, for the tests of this crate.

use std::collections::BTreeSet;
use std::sync::Arc;

use time::OffsetDateTime;
use ucap_core::catalog::backends::memory::MemoryCatalogStore;
use ucap_core::catalog::{Catalog, Effect, Grant};
use ucap_core::journal::{JournalStore, MemoryJournal, ReadBack};
use ucap_core::{ErrorKind, ManualClock, RequestContext, Resource, ResourceKind, Result, SeededEntropy, Subject};

use crate::administration::{Administration, Created, NewDatasource, NewGrant, NewKey, an_administrator_remains};
use crate::authorizer::Authorizer;
use crate::backends::grants::GrantAuthorizer;
use crate::gate::Gate;
use crate::identity::api_key::Peppers;
use crate::scope::Scope;

pub(crate) struct Platform {
    pub(crate) gate: Arc<Gate>,
    pub(crate) administration: Administration,
    pub(crate) clock: ManualClock,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) context: RequestContext,
    pub(crate) admin_key: String,
}

impl Platform {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(GrantAuthorizer)).await
    }

    pub(crate) async fn with(authorizer: Arc<dyn Authorizer>) -> Self {
        let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000));
        let entropy = Arc::new(SeededEntropy::new(11));
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), entropy.clone()));
        let store = Arc::new(MemoryCatalogStore::default());
        let guard = Box::new(an_administrator_remains);
        let catalog = Catalog::open(store, journal.clone(), Arc::new(clock.clone()), guard).await.unwrap();
        let peppers = Peppers::generate(&*entropy);
        let gate = Gate::new(Arc::new(catalog), authorizer, journal.clone(), Arc::new(clock.clone()), peppers);
        let gate = Arc::new(gate);
        let known = |resource: &Resource| match resource.kind() {
            ResourceKind::Model => resource.name() == Some("m"),
            ResourceKind::Mcp => resource.name() == Some("files"),
            _ => false,
        };
        let administration = Administration::new(gate.clone(), entropy, Box::new(known));
        let context = RequestContext::new("r-1");
        let key = administration.bootstrap(&context, None).await.unwrap().unwrap();
        Self { gate, administration, clock, journal, context, admin_key: key.expose().to_owned() }
    }

    /// Domains `d`, `e` with the datasources `ds` and `es`, users `ana` (group `team`) and `bob`.
    pub(crate) async fn furnished() -> Self {
        let platform = Self::new().await;
        for (domain, datasource) in [("d", "ds"), ("e", "es")] {
            platform.domain(domain, false).await;
            platform.datasource(datasource, domain).await;
        }
        platform.user("ana", &["team"]).await;
        platform.user("bob", &[]).await;
        platform
    }

    pub(crate) async fn scope(&self, user: &str) -> Scope {
        self.gate.scope(&self.context, &self.gate.vouch(user).unwrap()).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Scope {
        self.scope("admin").await
    }

    pub(crate) async fn domain(&self, id: &str, public: bool) {
        self.administration.create_domain(&self.context, &self.admin().await, id, "", public).await.unwrap();
    }

    pub(crate) async fn datasource(&self, id: &str, domain: &str) {
        let new = new_datasource(id, domain);
        self.administration.create_datasource(&self.context, &self.admin().await, new).await.unwrap();
    }

    pub(crate) async fn user(&self, id: &str, groups: &[&str]) {
        self.administration.create_user(&self.context, &self.admin().await, id, set(groups)).await.unwrap();
    }

    pub(crate) async fn try_grant(&self, scope: &Scope, new: NewGrant) -> Result<Created<Grant>> {
        self.administration.create_grant(&self.context, scope, new).await
    }

    pub(crate) async fn grant(&self, subject: &str, resource: &str, actions: &[&str]) -> Grant {
        self.try_grant(&self.admin().await, new_grant(subject, resource, actions)).await.unwrap().into_inner()
    }

    pub(crate) async fn key(&self, user: &str, scopes: Option<&[(&str, &[&str])]>) -> (String, String) {
        let scopes = scopes.map(|scopes| {
            let parsed = scopes.iter().map(|(resource, actions)| new_grant("public", resource, actions));
            parsed.map(|new| ucap_core::catalog::KeyScope { resource: new.resource, actions: new.actions }).collect()
        });
        let new = NewKey { user: user.into(), name: "k".into(), scopes, expires_at: None };
        let made = self.administration.create_key(&self.context, &self.admin().await, new).await.unwrap();
        (made.key.id, made.text.expose().to_owned())
    }

    pub(crate) async fn entries(&self) -> Vec<ucap_core::journal::Entry> {
        self.journal.read_back(ReadBack { limit: 1000, ..ReadBack::default() }).await.unwrap().entries
    }
}

pub(crate) fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub(crate) fn new_datasource(id: &str, domain: &str) -> NewDatasource {
    NewDatasource {
        id: id.into(),
        domain: domain.into(),
        format: "osv".into(),
        title: String::new(),
        retention_days: None,
        settings: serde_json::Value::Null,
    }
}

pub(crate) fn new_grant(subject: &str, resource: &str, actions: &[&str]) -> NewGrant {
    NewGrant {
        subject: Subject::parse(subject).unwrap(),
        resource: Resource::parse(resource).unwrap(),
        actions: actions.iter().map(|action| ucap_core::Action::parse(action).unwrap()).collect(),
        effect: Effect::Allow,
        expires_at: None,
    }
}

/// Kind, message and param: all that a caller sees of an error.
pub(crate) fn shown<T>(result: Result<T>) -> (ErrorKind, String, Option<String>) {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => (error.kind(), error.message().to_owned(), error.param().map(str::to_owned)),
    }
}
