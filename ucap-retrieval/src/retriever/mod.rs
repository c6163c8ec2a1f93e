//! The caller's side of retrieval: the only way by which content leaves.

mod delete;
mod filtered;
mod ingest;
mod queue;
mod ranked;
mod retention;
mod sources;

use std::sync::Arc;

use moka::sync::Cache;
use ucap_authz::{Gate, Permit, Scope};
use ucap_core::catalog::Datasource;
use ucap_core::journal::{Durability, JournalStore, NewEntry};
use ucap_core::{Action, Embedder, Error, ErrorKind, Principal, Redacted, RequestContext, Result};

pub use self::delete::Selection;
pub use self::ingest::{Ingest, PutBody, Wait};

use self::queue::Waiting;
use self::retention::Ages;
use self::sources::Source;
use crate::cursor::{Cursors, refused};
use crate::datastore::{Datastore, DatastoreBackend, QueueBound};
use crate::hit::{DatasourceStats, RecordAnswer, SearchAnswer};
use crate::query::{Mode, SearchRequest};

/// The journal's kind of a search.
pub const SEARCHED: &str = "retrieval.search";
/// The journal's kind of a record that was read.
pub const READ: &str = "retrieval.get";
/// The journal's kind of an ingest.
pub const INGESTED: &str = "retrieval.ingest";
/// The journal's kind of a delete of records.
pub const DELETED: &str = "retrieval.delete";
/// The journal's kind of records that went by their age.
pub const EXPIRED: &str = "retrieval.expire";
/// The journal's kind of records that had waited and are found now.
pub const EMBEDDED: &str = "retrieval.embed";
const PAYLOAD_VERSION: u16 = 1;
/// Times that a search begins again because a datasource was deleted under it.
const RETRIES: usize = 3;
/// Query vectors that are kept: a few megabytes.
const EMBEDDED_QUERIES: u64 = 2048;

/// What a retriever is made of.
#[derive(Debug)]
pub struct RetrieverOptions {
    /// The gate whose scopes it serves.
    pub gate: Arc<Gate>,
    /// Where datasources live.
    pub backend: Arc<dyn DatastoreBackend>,
    /// Embeds queries and records.
    pub embedder: Arc<dyn Embedder>,
    /// Signs cursors.
    pub cursor_key: Redacted<[u8; 32]>,
}

/// Finds, reads and changes records within a [`Scope`].
#[derive(Debug)]
pub struct Retriever {
    gate: Arc<Gate>,
    backend: Arc<dyn DatastoreBackend>,
    embedder: Arc<dyn Embedder>,
    cursors: Cursors,
    /// Vectors of recent queries, by BLAKE3 of the text: pages, modes and callers that ask the same share one.
    embedded: Cache<[u8; 32], Arc<Vec<f32>>>,
    waiting: Waiting,
    queue_bound: QueueBound,
    ages: Ages,
}

impl Retriever {
    /// A retriever.
    pub fn new(options: RetrieverOptions) -> Self {
        let RetrieverOptions { gate, backend, embedder, cursor_key } = options;
        Self {
            gate,
            backend,
            embedder,
            cursors: Cursors::new(cursor_key),
            embedded: Cache::new(EMBEDDED_QUERIES),
            waiting: Waiting::default(),
            queue_bound: QueueBound::default(),
            ages: Ages::default(),
        }
    }

    /// Sets how much may wait for its embedding in one datasource.
    #[must_use]
    pub fn with_queue_bound(mut self, bound: QueueBound) -> Self {
        self.queue_bound = bound;
        self
    }

    /// Searches what `scope` may read.
    ///
    /// # Errors
    /// `InvalidInput` and `InvalidCursor` with a param; `NotFound` for a datasource or domain that is missing or hidden;
    /// `PermissionDenied` for one that is visible but not readable; `ModelUnavailable` when the query cannot be embedded;
    /// `DatasourceRebuilding`, `Overloaded`, `DeadlineExceeded`, `Unavailable`. Never an empty success instead of one.
    pub async fn search(
        &self,
        context: &RequestContext,
        scope: &Scope,
        request: &SearchRequest,
    ) -> Result<SearchAnswer> {
        let mut fresh: Option<Scope> = None;
        for _ in 0..RETRIES {
            let scope = fresh.as_ref().unwrap_or(scope);
            match self.search_once(context, scope, request).await {
                // A datasource that was deleted meanwhile is gone, not broken.
                Err(error) if error.kind() == ErrorKind::Unavailable && self.has_lost_datasources(scope) => {
                    fresh = Some(self.gate.scope(context, scope.caller()).await?);
                }
                answer => return answer,
            }
        }
        self.search_once(context, fresh.as_ref().unwrap_or(scope), request).await
    }

    fn has_lost_datasources(&self, scope: &Scope) -> bool {
        let now = self.gate.catalog().snapshot();
        let readable =
            scope.datasources(Action::Read).iter().filter_map(|ordinal| scope.snapshot().datasource_at(ordinal));
        let is_there = |held: &Datasource| {
            now.datasource(&held.id).is_some_and(|found| found.stamp.generation == held.stamp.generation)
        };
        !readable.into_iter().all(|held| is_there(held))
    }

    async fn search_once(
        &self,
        context: &RequestContext,
        scope: &Scope,
        request: &SearchRequest,
    ) -> Result<SearchAnswer> {
        request.check()?;
        let position = self.cursors.read(scope.caller(), request)?;
        if position.is_some() {
            self.gate.revalidate(context, scope).await?;
        }
        let selected = self.select(scope, request)?;
        let searched =
            if selected.is_empty() { None } else { Some(self.open_sources(context, selected, request).await?) };
        if let (Some(position), Some(sources)) = (&position, &searched) {
            // A datasource of the same name is another one: the cursor of the one before does not fit it.
            let is_other = |source: &Source| {
                source.id() == position.datasource
                    && self.cursors.generation(source.id(), source.generation()) != position.generation
            };
            if sources.all.iter().any(is_other) {
                return Err(refused());
            }
        }
        let answer = match &searched {
            None => SearchAnswer { hits: vec![], total: 0, next: None, unavailable: None, timings: Default::default() },
            Some(sources) if request.mode == Mode::Filter => {
                self.filtered(context, scope, request, sources, position).await?
            }
            Some(sources) => self.ranked(context, scope, request, sources, position).await?,
        };
        let payload = serde_json::json!({
            "mode": request.mode.as_str(),
            "query": request.query,
            "filter": request.filter.as_ref().map(|filter| filter.to_json()),
            "datasources": request.datasources,
            "domains": request.domains,
            "hits": answer.hits.iter().map(|hit| (&hit.datasource, &hit.id)).take(100).collect::<Vec<_>>(),
            "total": answer.total,
        });
        self.record(context, scope, SEARCHED, "search".to_owned(), payload).await?;
        Ok(answer)
    }

    /// The record of an id, withdrawn or not.
    ///
    /// # Errors
    /// `NotFound` when datasource or record are missing or hidden; `PermissionDenied` without read; `Unavailable`.
    pub async fn get(
        &self,
        context: &RequestContext,
        scope: &Scope,
        datasource: &str,
        record: &str,
    ) -> Result<RecordAnswer> {
        let (permit, store) = self.open(context, scope, datasource, Action::Read).await?;
        let found = store.originals.get(context, &permit, record).await?;
        let found = found.ok_or_else(|| Error::not_found(format!("record `{record}` of datasource `{datasource}`")))?;
        let payload = serde_json::json!({"record": record});
        self.record(context, scope, READ, format!("datasource:{datasource}"), payload).await?;
        Ok(RecordAnswer {
            datasource: datasource.to_owned(),
            id: record.to_owned(),
            fields: found.fields,
            original: found.body,
        })
    }

    /// How much a datasource holds.
    ///
    /// # Errors
    /// `NotFound` when it is missing or hidden; `PermissionDenied` without read; `Unavailable`.
    pub async fn stats(&self, context: &RequestContext, scope: &Scope, datasource: &str) -> Result<DatasourceStats> {
        let (permit, store) = self.open(context, scope, datasource, Action::Read).await?;
        store.records.stats(context, &permit).await
    }

    /// Removes what a deleted datasource had. It is gone when this answers.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn forget(&self, context: &RequestContext, datasource: &Datasource) -> Result<()> {
        self.backend.forget(context, datasource).await
    }

    /// Follows a changed schema.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn schema_changed(&self, context: &RequestContext, datasource: &Datasource) -> Result<()> {
        self.backend.open(context, datasource).await.map(drop)
    }

    /// Writes what waits and closes every datasource.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn close(&self) -> Result<()> {
        self.backend.close().await
    }

    async fn open(
        &self,
        context: &RequestContext,
        scope: &Scope,
        datasource: &str,
        action: Action,
    ) -> Result<(Permit, Datastore)> {
        let permit = scope.permit(datasource, action)?;
        let store = self.backend.open(context, permit.datasource()).await?;
        Ok((permit, store))
    }

    async fn record(
        &self,
        context: &RequestContext,
        scope: &Scope,
        kind: &'static str,
        resource: String,
        payload: serde_json::Value,
    ) -> Result<()> {
        self.record_as(context, scope.principal(), kind, resource, payload).await
    }

    async fn record_as(
        &self,
        context: &RequestContext,
        principal: &Principal,
        kind: &'static str,
        resource: String,
        payload: serde_json::Value,
    ) -> Result<()> {
        let entry = NewEntry {
            kind: kind.into(),
            version: PAYLOAD_VERSION,
            principal: principal.to_string(),
            resource: Some(resource),
            decision: Some("allow".into()),
            request_id: context.request_id().to_owned(),
            payload,
        };
        self.journal().append(vec![entry], Durability::Process).await.map(drop)
    }

    fn journal(&self) -> &Arc<dyn JournalStore> {
        self.gate.journal()
    }
}
