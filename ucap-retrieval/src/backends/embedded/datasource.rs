//! One open datasource: its records, and the state that follows them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moka::sync::Cache;
use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use ucap_core::catalog::Datasource;
use ucap_core::{Error, ErrorKind, Result};

use super::cpu_pool::CpuPool;
use super::manifest::Manifest;
use super::open_set::Use;
use super::records::{Applied, Records};
use super::state::{State, VectorSpace, blocking};
use crate::datastore::{Candidates, Deferred, PageRequest, PageRow, QueueBound, Write, Written};
use crate::filter::Predicate;
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

/// This file says that records wait.
pub(super) const QUEUE_MARKER: &str = "queue";

/// A datasource whose files are open.
#[derive(Debug)]
pub(super) struct OpenDatasource {
    datasource: Arc<Datasource>,
    settings: Settings,
    directory: PathBuf,
    pub(super) records: Records,
    pub(super) state: Arc<RwLock<State>>,
    /// Held from a commit until the state has followed it.
    writing: Mutex<()>,
    filters: Cache<[u8; 32], Arc<Candidates>>,
    pub(super) pool: Arc<CpuPool>,
    broken: AtomicBool,
    /// Given back when it is dropped.
    _place: OwnedSemaphorePermit,
}

impl OpenDatasource {
    pub(super) async fn open(
        directory: PathBuf,
        datasource: &Datasource,
        space: Option<VectorSpace>,
        pool: Arc<CpuPool>,
        place: OwnedSemaphorePermit,
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
            _place: place,
        })
    }

    /// Whether it must be opened anew: its state could not follow a commit, or its schema has been extended. To those who
    /// know an older schema the newer one is as good: it has all their fields.
    pub(super) fn is_stale(&self, datasource: &Datasource) -> bool {
        let is_newer = datasource.stamp.version > self.datasource.stamp.version;
        self.broken.load(Ordering::Acquire) || (is_newer && self.datasource.settings != datasource.settings)
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

    /// Applies `writes`; `held` keeps the datasource open while a flush goes on behind the answer.
    pub(super) async fn write(&self, writes: Vec<Write>, held: Use) -> Result<Vec<Written>> {
        let _in_order = self.writing.lock().await;
        let applied = self.records.write(writes).await?;
        let has_unqueued = applied.has_unqueued;
        let written = self.follow(applied, held).await?;
        if has_unqueued && self.records.waiting().await? == 0 {
            let marker = self.directory.join(QUEUE_MARKER);
            blocking(move || remove_marker(&marker)).await?;
        }
        Ok(written)
    }

    /// Lets records wait.
    pub(super) async fn defer(&self, records: Vec<Deferred>, bound: QueueBound, held: Use) -> Result<Vec<Written>> {
        let _in_order = self.writing.lock().await;
        let (home, marker) = (self.directory.clone(), self.directory.join(QUEUE_MARKER));
        // Before the commit: whoever looks for those that wait after a crash looks for the marker.
        blocking(move || make_marker(&home, &marker)).await?;
        let applied = self.records.defer(records, bound).await?;
        self.follow(applied, held).await
    }

    /// Brings the state up to what was committed.
    async fn follow(&self, applied: Applied, held: Use) -> Result<Vec<Written>> {
        let state = Arc::clone(&self.state);
        let (written, waiting) = blocking(move || {
            let mut state = state.write();
            if applied.is_visible() {
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
                drop(held);
            });
        }
        Ok(written)
    }

    /// The rows that satisfy `predicate`, from memory where nothing was written since they were asked for last.
    pub(super) async fn candidates(&self, predicate: &Predicate, withdrawn: Withdrawn) -> Result<Arc<Candidates>> {
        let key = *blake3::hash(format!("{withdrawn:?} {predicate:?}").as_bytes()).as_bytes();
        let change = self.state.read().change;
        if let Some(held) = self.filters.get(&key).filter(|held| held.change() == change) {
            return Ok(held);
        }
        let candidates = Arc::new(self.rows_matching(predicate, withdrawn).await?);
        self.filters.insert(key, Arc::clone(&candidates));
        Ok(candidates)
    }

    /// A page of a filter's records.
    pub(super) async fn page(&self, request: &PageRequest) -> Result<Vec<PageRow>> {
        let candidates = self.candidates(&request.predicate, request.withdrawn).await?;
        let few = Some(candidates.rows()).filter(|rows| rows.len() <= FEW_ROWS);
        if few.is_some_and(roaring::RoaringBitmap::is_empty) {
            return Ok(Vec::new());
        }
        self.records.page(request, few).await
    }

    /// How much there is.
    pub(super) async fn stats(&self) -> Result<DatasourceStats> {
        let (bytes, pending) = (self.records.bytes().await?, self.records.waiting().await?);
        let state = self.state.read();
        Ok(DatasourceStats {
            records: state.live_rows.len(),
            passages: state.live.len() as u64,
            pending,
            bytes,
            embedding_model: self.settings.model().map(str::to_owned),
        })
    }

    /// A damaged file was set aside: opened anew, the index replays what it held.
    pub(super) fn set_damaged(&self) {
        self.broken.store(true, Ordering::Release);
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

/// Writes what the files lack; nothing, where nothing has changed since they were written.
fn flush(state: &RwLock<State>) -> Result<()> {
    let (lexical, vectors) = {
        let mut state = state.write();
        let State { change, live, lexical, vectors, .. } = &mut *state;
        let (now, vectors) = (*change, vectors.as_mut());
        let vectors = vectors.filter(|v| v.is_behind(now)).and_then(|v| v.prepare_flush(now, live));
        let lexical = Some(lexical).filter(|l| l.is_behind(now)).and_then(|l| l.prepare_flush(now, live));
        (lexical, vectors)
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

fn make_marker(directory: &Path, marker: &Path) -> Result<()> {
    let make = || {
        if marker.exists() {
            return Ok(());
        }
        std::fs::File::create(marker)?.sync_all()?;
        std::fs::File::open(directory)?.sync_all()
    };
    make().map_err(|cause: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "a datasource's queue cannot be marked; see the log").with_source(cause)
    })
}

/// One that stays leads to an empty queue, which does no harm.
fn remove_marker(marker: &Path) -> Result<()> {
    if let Err(error) = std::fs::remove_file(marker) {
        tracing::debug!(%error, marker = %marker.display(), "the marker of a queue stays");
    }
    Ok(())
}

fn make_directory(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "a datasource's directory cannot be made; see the log").with_source(cause)
    })
}
