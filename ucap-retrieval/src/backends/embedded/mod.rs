//! Everything in one directory on one machine: SQLite holds the records, tantivy the words, flat files the vectors.
//!
//! ```text
//! <datasource>~<generation>/  manifest.json  records.db  lexical/  vectors/
//! ```
//!
//! A write is one SQLite transaction; words and vectors are derived from it and follow before it answers. Datasources are
//! opened when they are needed; beyond `max_open` the one that was least recently used is closed.

mod cpu_pool;
mod datasource;
mod flush_guard;
pub mod lexical;
mod manifest;
mod merge_plan;
mod records;
mod state;
pub mod vector;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use ucap_core::catalog::Datasource;
use ucap_core::data_directory::create_private;
use ucap_core::{EmbeddingModel, Error, ErrorKind, RequestContext, Result};

use self::cpu_pool::CpuPool;
use self::datasource::{OpenDatasource, Roles};
use self::state::{VectorSpace, blocking};
use crate::datastore::{Datastore, DatastoreBackend};
use crate::settings::{Settings, Vectors};

/// How the embedded backend is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbeddedOptions {
    /// Datasources that are open at once.
    pub max_open: usize,
    /// The model that embeds datasources which do not bring their own vectors.
    pub model: EmbeddingModel,
    /// Searches that compute at once.
    pub threads: usize,
    /// Searches that wait for a thread.
    pub max_waiting: usize,
}

impl EmbeddedOptions {
    /// 256 open datasources, a thread for each core.
    pub fn new(model: EmbeddingModel) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { max_open: 256, model, threads, max_waiting: 1024 }
    }

    /// Sets how many datasources are open at once.
    #[must_use]
    pub fn with_max_open(mut self, max_open: usize) -> Self {
        self.max_open = max_open.max(1);
        self
    }
}

type Slot = Arc<AsyncMutex<Option<Arc<OpenDatasource>>>>;

/// The embedded datastore backend.
#[derive(Debug)]
pub struct EmbeddedBackend {
    directory: PathBuf,
    options: EmbeddedOptions,
    pool: Arc<CpuPool>,
    open: Mutex<OpenSet>,
}

/// The slots, and when each was used last.
#[derive(Debug, Default)]
struct OpenSet {
    slots: HashMap<String, (u64, Slot)>,
    clock: u64,
}

impl EmbeddedBackend {
    /// The backend over `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be made.
    pub fn open(directory: PathBuf, options: EmbeddedOptions) -> Result<Arc<Self>> {
        create_private(&directory).map_err(|cause| {
            Error::new(ErrorKind::Unavailable, format!("{} cannot be made", directory.display())).with_source(cause)
        })?;
        let pool = Arc::new(CpuPool::new(options.threads, options.max_waiting));
        Ok(Arc::new(Self { directory, options, pool, open: Mutex::default() }))
    }

    /// Removes the files of datasources that are not among `known`: of a deletion that a crash cut short.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be removed.
    pub async fn sweep<'a>(&self, known: impl Iterator<Item = &'a Datasource>) -> Result<()> {
        let known: HashSet<String> = known.map(name_of).collect();
        let directory = self.directory.clone();
        blocking(move || {
            let unavailable =
                |cause| Error::new(ErrorKind::Unavailable, "old datasource files cannot be removed").with_source(cause);
            for entry in std::fs::read_dir(&directory).map_err(unavailable)? {
                let entry = entry.map_err(unavailable)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.contains('~') && !known.contains(&name) {
                    std::fs::remove_dir_all(entry.path()).map_err(unavailable)?;
                    tracing::info!(directory = %name, "removed the files of a deleted datasource");
                }
            }
            Ok(())
        })
        .await
    }

    fn slot(&self, name: &str) -> Slot {
        let mut open = self.open.lock();
        open.clock += 1;
        let now = open.clock;
        let (used, slot) = open.slots.entry(name.to_owned()).or_default();
        *used = now;
        Arc::clone(slot)
    }

    /// Closes what was not used longest, until no more than `max_open` are open. What is in use stays.
    async fn close_unused(&self) {
        let surplus: Vec<(String, Slot)> = {
            let open = self.open.lock();
            let count = open.slots.len().saturating_sub(self.options.max_open);
            let mut by_use: Vec<_> = open.slots.iter().map(|(name, (used, slot))| (*used, name, slot)).collect();
            by_use.sort_unstable_by_key(|(used, ..)| *used);
            by_use.into_iter().take(count).map(|(_, name, slot)| (name.clone(), Arc::clone(slot))).collect()
        };
        for (name, slot) in surplus {
            let Ok(mut held) = slot.try_lock() else { continue };
            if held.as_ref().is_some_and(|open| Arc::strong_count(open) > 1) {
                continue;
            }
            if let Some(open) = held.take() {
                close(&open).await;
            }
            drop(held);
            let mut open = self.open.lock();
            // The map and this function hold the slot; anybody else is about to open it again.
            if Arc::strong_count(&slot) == 2 {
                open.slots.remove(&name);
            }
        }
    }

    fn space(&self, settings: &Settings) -> Option<VectorSpace> {
        match &settings.vectors {
            Vectors::None => None,
            Vectors::Model(_) => Some(VectorSpace {
                dimensions: self.options.model.dimensions,
                fingerprint: format!("{}@{}", self.options.model.id, self.options.model.digest),
            }),
            Vectors::External(model, dimensions) => {
                Some(VectorSpace { dimensions: *dimensions, fingerprint: format!("{model}/{dimensions}") })
            }
        }
    }
}

fn name_of(datasource: &Datasource) -> String {
    format!("{}~{}", datasource.id, datasource.stamp.generation)
}

/// Opens a datasource into its slot, in place of a stale one.
async fn open_into(
    mut held: OwnedMutexGuard<Option<Arc<OpenDatasource>>>,
    directory: PathBuf,
    datasource: &Datasource,
    space: Option<VectorSpace>,
    pool: Arc<CpuPool>,
) -> Result<Arc<OpenDatasource>> {
    if let Some(stale) = held.take() {
        close(&stale).await;
    }
    let open = OpenDatasource::open(directory, datasource, space, pool).await?;
    Ok(Arc::clone(held.insert(Arc::new(open))))
}

async fn close(open: &OpenDatasource) {
    if let Err(error) = open.close().await {
        tracing::warn!(error = %error, directory = %open.directory().display(), "a datasource did not close cleanly; it is replayed at the next start");
    }
}

#[async_trait]
impl DatastoreBackend for EmbeddedBackend {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn open(&self, _context: &RequestContext, datasource: &Datasource) -> Result<Datastore> {
        let name = name_of(datasource);
        let held = self.slot(&name).lock_owned().await;
        let (open, is_new) = match &*held {
            Some(open) if !open.is_stale(datasource) => (Arc::clone(open), false),
            _ => {
                let space = self.space(&Settings::of(datasource)?);
                let (directory, datasource, pool) =
                    (self.directory.join(&name), datasource.clone(), Arc::clone(&self.pool));
                // A caller that goes away must not leave it half open: the next one would begin beside it.
                let opened =
                    tokio::spawn(async move { open_into(held, directory, &datasource, space, pool).await }).await;
                (
                    opened.map_err(|cause| {
                        Error::internal("opening a datasource ended early; see the log").with_source(cause)
                    })??,
                    true,
                )
            }
        };
        if is_new {
            self.close_unused().await;
        }
        let roles = Arc::new(Roles(open));
        Ok(Datastore { records: roles.clone(), passages: roles.clone(), originals: roles })
    }

    async fn forget(&self, _context: &RequestContext, datasource: &Datasource) -> Result<()> {
        let name = name_of(datasource);
        let slot = self.slot(&name);
        let mut held = slot.lock().await;
        if let Some(open) = held.take() {
            close(&open).await;
        }
        let directory = self.directory.join(&name);
        blocking(move || match std::fs::remove_dir_all(&directory) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::Unavailable, "a datasource's files could not be removed; delete it again")
                    .with_source(cause))
            }
            _ => Ok(()),
        })
        .await?;
        self.open.lock().slots.remove(&name);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        let slots: Vec<Slot> = self.open.lock().slots.drain().map(|(_, (_, slot))| slot).collect();
        for slot in slots {
            if let Some(open) = slot.lock().await.take() {
                close(&open).await;
            }
        }
        Ok(())
    }
}
