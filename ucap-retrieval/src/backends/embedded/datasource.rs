//! One open datasource: its records, its state, and the three roles it plays.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use moka::sync::Cache;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use ucap_authz::Permit;
use ucap_core::catalog::Datasource;
use ucap_core::data_directory::create_private;
use ucap_core::{Action, Error, ErrorKind, RequestContext, Result};

use super::cpu_pool::CpuPool;
use super::lexical::PassageScores;
use super::manifest::Manifest;
use super::records::Records;
use super::state::{State, VectorSpace, blocking};
use crate::analysis::TermGroup;
use crate::bm25::Weights;
use crate::content::Demand;
use crate::datastore::{
    Candidates, CollectionStatistics, Found, Original, OriginalStore, PageRequest, PageRow, PassageIndex, RecordStore,
    Scored, Write, Written, demand,
};
use crate::filter::{Affects, Predicate};
use crate::hit::DatasourceStats;
use crate::query::Withdrawn;
use crate::settings::Settings;

/// Passages that wait in memory before they are written to an index.
const FLUSH_AT: usize = 4096;
/// So many, and a write waits for the flush.
const FLUSH_NOW: usize = 4 * FLUSH_AT;
/// Filters whose rows are kept.
const CACHED_FILTERS: u64 = 64;
/// A filter that leaves at most so many rows is paged through them instead of by a scan.
const FEW_ROWS: u64 = 2048;

/// A datasource whose files are open.
#[derive(Debug)]
pub(super) struct OpenDatasource {
    datasource: Arc<Datasource>,
    settings: Settings,
    directory: PathBuf,
    records: Records,
    state: Arc<RwLock<State>>,
    /// Held from a commit until the state has followed it.
    writing: Mutex<()>,
    filters: Cache<[u8; 32], Arc<Candidates>>,
    pool: Arc<CpuPool>,
    broken: AtomicBool,
}

impl OpenDatasource {
    pub(super) async fn open(
        directory: PathBuf,
        datasource: &Datasource,
        space: Option<VectorSpace>,
        pool: Arc<CpuPool>,
    ) -> Result<Self> {
        let settings = Settings::of(datasource)?;
        let manifest = Manifest::current(datasource, space.as_ref().map(|space| space.fingerprint.clone()));
        let home = directory.clone();
        blocking(move || {
            make_directory(&home)?;
            manifest.settle(&home)
        })
        .await?;
        let records = Records::open(&directory.join("records.db"), &settings.schema).await?;
        let state = State::open(&directory, &records, settings.language, space).await?;
        Ok(Self {
            datasource: Arc::new(datasource.clone()),
            settings,
            directory,
            records,
            state: Arc::new(RwLock::new(state)),
            writing: Mutex::new(()),
            filters: Cache::new(CACHED_FILTERS),
            pool,
            broken: AtomicBool::new(false),
        })
    }

    /// Whether it must be opened anew: its state could not follow a commit, or its schema has changed.
    pub(super) fn is_stale(&self, datasource: &Datasource) -> bool {
        self.broken.load(Ordering::Acquire) || self.datasource.settings != datasource.settings
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes what waits in memory and ends all connections.
    pub(super) async fn close(&self) -> Result<()> {
        let _no_more_writes = self.writing.lock().await;
        let flushed = if self.broken.load(Ordering::Acquire) { Ok(()) } else { self.flush().await };
        self.records.close().await;
        flushed
    }

    async fn flush(&self) -> Result<()> {
        let state = Arc::clone(&self.state);
        blocking(move || flush(&state)).await
    }

    fn demand(&self, permit: &Permit, action: Action) -> Result<()> {
        demand(permit, action, &self.datasource)
    }

    async fn write_now(&self, writes: Vec<Write>, demands: Vec<Demand>) -> Result<Vec<Written>> {
        let _in_order = self.writing.lock().await;
        let applied = self.records.write(writes, &demands).await?;
        let state = Arc::clone(&self.state);
        let (written, waiting) = blocking(move || {
            let mut state = state.write();
            if !applied.added.is_empty() || !applied.removed.is_empty() {
                state.apply(&applied)?;
            }
            let vectors = state.vectors.as_ref().map_or(0, super::vector::VectorIndex::tail_len);
            Ok((applied.written, state.lexical.tail_len().max(vectors)))
        })
        .await
        .inspect_err(|_| self.broken.store(true, Ordering::Release))?;
        if waiting >= FLUSH_NOW {
            self.flush().await?;
        } else if waiting >= FLUSH_AT {
            let state = Arc::clone(&self.state);
            tokio::task::spawn_blocking(move || {
                if let Err(error) = flush(&state) {
                    tracing::warn!(error = %error, "an index could not be flushed; it goes on in memory");
                }
            });
        }
        Ok(written)
    }

    async fn rows_matching(&self, predicate: &Predicate, withdrawn: Withdrawn) -> Result<Candidates> {
        if *predicate == Predicate::True {
            let state = self.state.read();
            return Ok(Candidates::new(visible(&state, &state.live_rows, withdrawn), state.change));
        }
        let (rows, change) = self.records.matching(predicate).await?;
        let state = self.state.read();
        Ok(Candidates::new(visible(&state, &rows, withdrawn), change))
    }
}

fn visible(state: &State, rows: &roaring::RoaringBitmap, withdrawn: Withdrawn) -> roaring::RoaringBitmap {
    match withdrawn {
        Withdrawn::Include => rows.clone(),
        Withdrawn::Exclude => rows - &state.withdrawn,
        Withdrawn::Only => rows & &state.withdrawn,
    }
}

fn flush(state: &RwLock<State>) -> Result<()> {
    let (lexical, vectors) = {
        let mut state = state.write();
        let State { change, live, lexical, vectors, .. } = &mut *state;
        let vectors = vectors.as_mut().and_then(|vectors| vectors.prepare_flush(*change, live));
        (lexical.prepare_flush(*change, live), vectors)
    };
    if let Some(job) = lexical {
        let done = job.run()?;
        state.write().lexical.install(done);
    }
    if let Some(job) = vectors {
        let done = job.run()?;
        if let Some(vectors) = &mut state.write().vectors {
            vectors.install(done);
        }
    }
    Ok(())
}

fn make_directory(directory: &Path) -> Result<()> {
    create_private(directory).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "a datasource's directory cannot be made; see the log").with_source(cause)
    })
}

/// The roles of an open datasource; cheap to clone into tasks that outlive their request.
#[derive(Debug, Clone)]
pub(super) struct Roles(pub(super) Arc<OpenDatasource>);

#[async_trait]
impl RecordStore for Roles {
    async fn write(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        writes: Vec<Write>,
        demands: Vec<Demand>,
    ) -> Result<Vec<Written>> {
        self.0.demand(permit, Action::Write)?;
        // A caller that goes away must not stop a commit half way to the indexes.
        let open = Arc::clone(&self.0);
        match tokio::spawn(async move { open.write_now(writes, demands).await }).await {
            Ok(answer) => answer,
            Err(cause) => Err(Error::internal("a write ended early; see the log").with_source(cause)),
        }
    }

    async fn hashes(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<Vec<Option<[u8; 32]>>> {
        self.0.demand(permit, Action::Write)?;
        let held = self.0.records.hashes(ids).await?;
        Ok(ids.iter().map(|id| held.get(id).copied()).collect())
    }

    async fn candidates(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        predicate: &Predicate,
        withdrawn: Withdrawn,
    ) -> Result<Arc<Candidates>> {
        self.0.demand(permit, Action::Read)?;
        let key = *blake3::hash(format!("{withdrawn:?} {predicate:?}").as_bytes()).as_bytes();
        let change = self.0.state.read().change;
        if let Some(held) = self.0.filters.get(&key).filter(|held| held.change() == change) {
            return Ok(held);
        }
        let candidates = Arc::new(self.0.rows_matching(predicate, withdrawn).await?);
        self.0.filters.insert(key, Arc::clone(&candidates));
        Ok(candidates)
    }

    async fn lists_version(&self, _context: &RequestContext, permit: &Permit, affects: &Affects) -> Result<bool> {
        self.0.demand(permit, Action::Read)?;
        self.0.records.lists_version(affects).await
    }

    async fn page(&self, context: &RequestContext, permit: &Permit, request: &PageRequest) -> Result<Vec<PageRow>> {
        let candidates = self.candidates(context, permit, &request.predicate, request.withdrawn).await?;
        let few = Some(candidates.rows()).filter(|rows| rows.len() <= FEW_ROWS);
        if few.is_some_and(roaring::RoaringBitmap::is_empty) {
            return Ok(Vec::new());
        }
        self.0.records.page(request, few).await
    }

    async fn read(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        rows: &[(u32, Option<u32>)],
    ) -> Result<Vec<Option<Found>>> {
        self.0.demand(permit, Action::Read)?;
        self.0.records.read(rows).await
    }

    async fn ids(&self, _context: &RequestContext, permit: &Permit, rows: &[u32]) -> Result<Vec<Option<String>>> {
        self.0.demand(permit, Action::Read)?;
        let mut held = self.0.records.ids(rows).await?;
        Ok(rows.iter().map(|row| held.remove(row)).collect())
    }

    async fn stats(&self, _context: &RequestContext, permit: &Permit) -> Result<DatasourceStats> {
        self.0.demand(permit, Action::Read)?;
        let bytes = self.0.records.bytes().await?;
        let state = self.0.state.read();
        Ok(DatasourceStats {
            records: state.live_rows.len(),
            passages: state.live.len() as u64,
            pending: 0,
            bytes,
            embedding_model: self.0.settings.model().map(str::to_owned),
        })
    }
}

#[async_trait]
impl PassageIndex for Roles {
    async fn statistics(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
    ) -> Result<CollectionStatistics> {
        self.0.demand(permit, Action::Read)?;
        let (open, context, groups) = (Arc::clone(&self.0), context.clone(), groups.to_vec());
        self.0
            .pool
            .run(move || {
                let state = open.state.read();
                let frequencies = state.lexical.statistics(&context, &groups, &state.live)?;
                Ok(CollectionStatistics { passages: state.live.len() as u64, terms: state.terms, frequencies })
            })
            .await
    }

    async fn lexical(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
        weights: &Weights,
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        self.0.demand(permit, Action::Read)?;
        let (open, context, groups) = (Arc::clone(&self.0), context.clone(), groups.to_vec());
        let (weights, candidates) = (weights.clone(), Arc::clone(candidates));
        self.0
            .pool
            .run(move || {
                let state = open.state.read();
                state.with_allowed(&candidates, |allowed| {
                    let mut scores = PassageScores::new();
                    state.lexical.score(&context, &groups, &weights, allowed, &mut scores)?;
                    Ok(state.lexical_rows(scores.iter(), depth))
                })
            })
            .await
    }

    async fn nearest(
        &self,
        context: &RequestContext,
        permit: &Permit,
        query: &[f32],
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        self.0.demand(permit, Action::Read)?;
        let (open, context, query, candidates) =
            (Arc::clone(&self.0), context.clone(), query.to_vec(), Arc::clone(candidates));
        self.0
            .pool
            .run(move || {
                let state = open.state.read();
                let found = state.with_allowed(&candidates, |allowed| state.nearest(&context, &query, allowed, depth));
                found.inspect_err(|error| {
                    // A damaged file was set aside: opened anew, the index replays what it held.
                    if error.kind() == ErrorKind::DatasourceRebuilding {
                        open.broken.store(true, Ordering::Release);
                    }
                })
            })
            .await
    }

    async fn known_vectors(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<HashMap<[u8; 32], Vec<f32>>> {
        self.0.demand(permit, Action::Write)?;
        let held = self.0.records.vectors_of(ids).await?;
        Ok(held.into_iter().map(|(text, vector)| (*blake3::hash(text.as_bytes()).as_bytes(), vector)).collect())
    }
}

#[async_trait]
impl OriginalStore for Roles {
    async fn get(&self, _context: &RequestContext, permit: &Permit, id: &str) -> Result<Option<Original>> {
        self.0.demand(permit, Action::Read)?;
        self.0.records.original(id).await
    }
}
