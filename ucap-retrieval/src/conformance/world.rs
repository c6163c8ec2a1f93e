//! A small platform around a backend: a gate, a catalog, an administrator, a retriever; the same in every run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;
use time::OffsetDateTime;
use ucap_authz::administration::{DatasourcePatch, NewDatasource, NewGrant};
use ucap_authz::identity::api_key::Peppers;
use ucap_authz::{Administration, Caller, Gate, GrantAuthorizer, Permit, Scope};
use ucap_core::catalog::backends::memory::MemoryCatalogStore;
use ucap_core::catalog::{Catalog, Datasource, Effect};
use ucap_core::journal::MemoryJournal;
use ucap_core::{
    Action, Entropy, Error, ManualClock, Redacted, RequestContext, Resource, Result, SeededEntropy,
    Subject as GrantSubject,
};

use super::embedder::{WordEmbedder, model};
use super::store::Store;
use super::verdict::Failure;
use super::{Instance, Subject};
use crate::backends::memory::MemoryBackend;
use crate::datastore::DatastoreBackend;
use crate::hit::{DeleteReport, IngestReport, SearchAnswer};
use crate::query::SearchRequest;
use crate::retriever::{Retriever, RetrieverOptions, Selection, Wait};
use crate::settings::{NewSettings, Settings};

/// The user that every world has, with all rights on the platform.
const ADMIN: &str = "admin";
/// The domain that every world has.
const DOMAIN: &str = "d";

/// A platform around one instance of a backend.
pub struct World {
    instance: Box<dyn Instance>,
    backend: Arc<dyn DatastoreBackend>,
    gate: Arc<Gate>,
    administration: Administration,
    retriever: Arc<Retriever>,
    context: RequestContext,
    clock: Arc<ManualClock>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// The memory backend as a subject.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory;

impl Subject for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn fresh(&self) -> Result<Box<dyn Instance>> {
        Ok(Box::new(InMemory(Arc::new(MemoryBackend::new()))))
    }
}

struct InMemory(Arc<MemoryBackend>);

impl Instance for InMemory {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.0.clone()
    }
}

fn retriever(gate: &Arc<Gate>, backend: &Arc<dyn DatastoreBackend>) -> Arc<Retriever> {
    Arc::new(Retriever::new(RetrieverOptions {
        gate: Arc::clone(gate),
        backend: Arc::clone(backend),
        embedder: Arc::new(WordEmbedder),
        cursor_key: Redacted::new([7; 32]),
    }))
}

impl World {
    /// A world with the user `admin` and the domain `d`.
    ///
    /// # Errors
    /// What its parts say.
    pub async fn new(instance: Box<dyn Instance>) -> Result<Self> {
        let clock = Arc::new(ManualClock::new(OffsetDateTime::UNIX_EPOCH));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let journal = Arc::new(MemoryJournal::new(clock.clone(), entropy.clone()));
        let store = Arc::new(MemoryCatalogStore::default());
        let catalog = Arc::new(Catalog::open(store, journal.clone(), clock.clone(), Box::new(|_, _| Ok(()))).await?);
        let gate = Arc::new(Gate::new(
            catalog,
            Arc::new(GrantAuthorizer),
            journal,
            clock.clone(),
            Peppers::generate(&*entropy),
        ));
        let administration = Administration::new(gate.clone(), entropy, Box::new(|_| true));
        let context = RequestContext::new("conformance");
        administration.bootstrap(&context, None).await?;
        let backend = instance.backend();
        let retriever = retriever(&gate, &backend);
        let world = Self { instance, retriever, backend, gate, administration, context, clock };
        world.domain(DOMAIN).await?;
        Ok(world)
    }

    /// A world around the memory backend.
    ///
    /// # Errors
    /// As [`World::new`].
    pub async fn in_memory() -> Result<Self> {
        Self::new(Memory.fresh()?).await
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn DatastoreBackend> {
        &self.backend
    }

    /// The retriever.
    pub fn retriever(&self) -> &Arc<Retriever> {
        &self.retriever
    }

    /// The gate.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The context of its requests.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Adds a domain that nobody but the administrator sees.
    ///
    /// # Errors
    /// What the administration says.
    pub async fn domain(&self, id: &str) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        self.administration.create_domain(&self.context, &admin, id, id, false).await.map(drop)
    }

    /// Adds a user without rights.
    ///
    /// # Errors
    /// What the administration says.
    pub async fn user(&self, id: &str) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        self.administration.create_user(&self.context, &admin, id, BTreeSet::new()).await.map(drop)
    }

    /// Grants actions on a datasource; returns the grant's id.
    ///
    /// # Errors
    /// What the administration says.
    pub async fn allow(&self, user: &str, datasource: &str, actions: &[Action]) -> Result<String> {
        let admin = self.scope(ADMIN).await?;
        let grant = NewGrant {
            subject: GrantSubject::User(user.to_owned()),
            resource: Resource::datasource(datasource),
            actions: actions.iter().copied().collect(),
            effect: Effect::Allow,
            expires_at: None,
        };
        Ok(self.administration.create_grant(&self.context, &admin, grant).await?.into_inner().id)
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// What the administration says.
    pub async fn revoke(&self, grant: &str) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        self.administration.delete_grant(&self.context, &admin, grant, None).await
    }

    /// Who this user is.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn caller(&self, user: &str) -> Result<Caller> {
        self.gate.vouch(user)
    }

    /// What this user may touch now.
    ///
    /// # Errors
    /// What the gate says.
    pub async fn scope(&self, user: &str) -> Result<Scope> {
        self.gate.scope(&self.context, &self.gate.vouch(user)?).await
    }

    /// What the administrator may touch now: everything.
    ///
    /// # Errors
    /// What the gate says.
    pub async fn admin(&self) -> Result<Scope> {
        self.scope(ADMIN).await
    }

    /// Adds a datasource to the domain `d`; `settings` as in a request that creates one.
    ///
    /// # Errors
    /// What settings and administration say.
    pub async fn datasource(&self, id: &str, settings: &Json) -> Result<Arc<Datasource>> {
        self.datasource_in(DOMAIN, id, settings).await
    }

    /// Adds a datasource to a domain.
    ///
    /// # Errors
    /// What settings and administration say.
    pub async fn datasource_in(&self, domain: &str, id: &str, settings: &Json) -> Result<Arc<Datasource>> {
        let text = |key: &str| settings.get(key).and_then(Json::as_str).map(str::to_owned);
        let new = NewSettings {
            format: text("format").unwrap_or_default(),
            schema: settings.get("schema").cloned(),
            language: text("language"),
            vectors: settings.get("vectors").and_then(Json::as_bool),
            embedding_model: text("embedding_model"),
            dimensions: settings.get("dimensions").and_then(Json::as_u64),
        };
        let checked = Settings::check(&new, &model().id)?;
        let new = NewDatasource {
            id: id.to_owned(),
            domain: domain.to_owned(),
            format: new.format,
            title: id.to_owned(),
            retention_days: settings.get("retention_days").and_then(Json::as_u64).and_then(|days| days.try_into().ok()),
            settings: checked.to_json(),
        };
        let admin = self.scope(ADMIN).await?;
        self.administration.create_datasource(&self.context, &admin, new).await.map(|made| Arc::new(made.into_inner()))
    }

    /// Adds fields to the schema of a datasource.
    ///
    /// # Errors
    /// What settings, administration and backend say.
    pub async fn add_fields(&self, id: &str, schema: &Json) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        let held = admin.visible_datasource(id)?;
        let settings = Settings::of(held)?.with_more_fields(schema)?.to_json();
        let patch = DatasourcePatch { settings: Some(settings), ..DatasourcePatch::default() };
        let changed = self.administration.change_datasource(&self.context, &admin, id, patch, None).await?;
        self.retriever.schema_changed(&self.context, &changed).await
    }

    /// Changes how long records are kept.
    ///
    /// # Errors
    /// What the administration says.
    pub async fn retain(&self, id: &str, days: Option<u32>) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        let patch = DatasourcePatch { retention_days: Some(days), ..DatasourcePatch::default() };
        self.administration.change_datasource(&self.context, &admin, id, patch, None).await.map(drop)
    }

    /// Lets time pass.
    pub fn advance(&self, by: time::Duration) {
        self.clock.advance(by);
    }

    /// Deletes a datasource and what it has.
    ///
    /// # Errors
    /// What administration and backend say.
    pub async fn delete_datasource(&self, id: &str) -> Result<()> {
        let admin = self.scope(ADMIN).await?;
        let gone = self.administration.delete_datasource(&self.context, &admin, id, None).await?;
        self.retriever.forget(&self.context, &gone).await
    }

    /// The roles of a datasource with permits for them.
    ///
    /// # Errors
    /// What gate and backend say.
    pub async fn store(&self, id: &str) -> Result<Store> {
        let admin = self.scope(ADMIN).await?;
        Store::open(&self.context, &self.backend, &admin, id).await
    }

    /// A permit of the administrator.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn permit(&self, id: &str, action: Action) -> Result<Permit> {
        self.scope(ADMIN).await?.permit(id, action)
    }

    /// Ingests records, a line each.
    ///
    /// # Errors
    /// What the retriever says.
    pub async fn ingest(&self, datasource: &str, records: &[Json]) -> Result<IngestReport> {
        self.ingest_waiting(datasource, records, Wait::Found).await
    }

    /// Ingests records, a line each, and waits for `wait`.
    ///
    /// # Errors
    /// What the retriever says.
    pub async fn ingest_waiting(&self, datasource: &str, records: &[Json], wait: Wait) -> Result<IngestReport> {
        let admin = self.scope(ADMIN).await?;
        let mut ingest = self.retriever.ingest(&self.context, &admin, datasource).await?.with_wait(wait);
        for (number, record) in (1..).zip(records) {
            ingest.line(number, record.to_string().as_bytes()).await?;
        }
        ingest.finish().await
    }

    /// Deletes records.
    ///
    /// # Errors
    /// What the retriever says.
    pub async fn delete(&self, datasource: &str, selection: Selection) -> Result<DeleteReport> {
        let admin = self.scope(ADMIN).await?;
        self.retriever.delete_records(&self.context, &admin, datasource, selection).await
    }

    /// Searches as this user.
    ///
    /// # Errors
    /// What the retriever says.
    pub async fn search(&self, user: &str, request: &SearchRequest) -> Result<SearchAnswer> {
        let scope = self.scope(user).await?;
        self.retriever.search(&self.context, &scope, request).await
    }

    /// Searches as the administrator; the answer's bytes, or the error's.
    pub async fn answer(&self, request: &SearchRequest) -> String {
        shown(self.search(ADMIN, request).await)
    }

    /// Searches as this user; the answer's bytes, or the error's.
    pub async fn answer_to(&self, user: &str, request: &SearchRequest) -> String {
        shown(self.search(user, request).await)
    }

    /// Closes the backend and goes on with a new one over what it left.
    ///
    /// # Errors
    /// What the backend says.
    pub async fn reopen(&mut self) -> Result<()> {
        self.retriever.close().await?;
        self.backend = self.instance.reopen()?;
        self.retriever = retriever(&self.gate, &self.backend);
        self.retriever.resume_queues().await
    }

    /// Closes the backend.
    ///
    /// # Errors
    /// What the backend says.
    pub async fn close(&self) -> Result<(), Failure> {
        Ok(self.retriever.close().await?)
    }
}

/// An answer as bytes: its JSON, or what the caller is told.
pub(super) fn shown<T: serde::Serialize>(answer: Result<T>) -> String {
    match answer {
        Ok(answer) => serde_json::to_string(&answer).unwrap_or_else(|cause| format!("not JSON: {cause}")),
        Err(error) => shown_error(&error),
    }
}

fn shown_error(error: &Error) -> String {
    format!("{:?} {:?}: {}", error.kind(), error.param(), error.message())
}
