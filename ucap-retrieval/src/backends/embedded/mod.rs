//! Everything in one directory on one machine: SQLite holds the records, tantivy the words, flat files the vectors.
//!
//! ```text
//! <datasource>~<generation>/  manifest.json  records.db  lexical/  vectors/  queue
//! ```
//!
//! A write is one SQLite transaction; words and vectors are derived from it and follow before it answers. Datasources are
//! opened when they are needed, never more than `max_open` at once: for another one, the least recently used is closed.

mod cpu_pool;
mod datasource;
mod flush_guard;
pub mod lexical;
mod manifest;
mod merge_plan;
mod open_set;
mod records;
mod roles;
mod state;
pub mod vector;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ucap_core::catalog::Datasource;
use ucap_core::{EmbeddingModel, Error, ErrorKind, RequestContext, Result};

use self::datasource::QUEUE_MARKER;
use self::open_set::OpenSet;
use self::roles::Roles;
use self::state::blocking;
use crate::datastore::{Datastore, DatastoreBackend};

/// File descriptors of one open datasource, at most: database, write-ahead log and shared memory of its writer, and the
/// first two of each of its four readers.
pub const DESCRIPTORS: usize = 11;

/// How the embedded backend is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbeddedOptions {
    /// Datasources that are open at once; each takes [`DESCRIPTORS`] file descriptors at most.
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

/// The embedded datastore backend.
#[derive(Debug)]
pub struct EmbeddedBackend {
    set: Arc<OpenSet>,
}

impl EmbeddedBackend {
    /// The backend over `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be made.
    pub fn open(directory: PathBuf, options: EmbeddedOptions) -> Result<Arc<Self>> {
        std::fs::create_dir_all(&directory).map_err(|cause| {
            Error::new(ErrorKind::Unavailable, format!("{} cannot be made", directory.display())).with_source(cause)
        })?;
        Ok(Arc::new(Self { set: Arc::new(OpenSet::new(directory, options)) }))
    }

    /// Removes the files of datasources that are not among `known`: of a deletion that a crash cut short.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be removed.
    pub async fn sweep<'a>(&self, known: impl Iterator<Item = &'a Datasource>) -> Result<()> {
        let known: HashSet<String> = known.map(name_of).collect();
        let directory = self.set.directory.clone();
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
}

fn name_of(datasource: &Datasource) -> String {
    format!("{}~{}", datasource.id, datasource.stamp.generation)
}

#[async_trait]
impl DatastoreBackend for EmbeddedBackend {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn open(&self, context: &RequestContext, datasource: &Datasource) -> Result<Datastore> {
        // Whether it opens is told here; each call of a role takes it anew.
        drop(self.set.acquire(context, datasource).await?);
        let roles = Arc::new(Roles::new(Arc::clone(&self.set), datasource));
        Ok(Datastore { records: roles.clone(), passages: roles.clone(), originals: roles.clone(), queue: roles })
    }

    async fn forget(&self, _context: &RequestContext, datasource: &Datasource) -> Result<()> {
        self.set.forget(datasource).await
    }

    async fn with_queues(&self, mut datasources: Vec<Arc<Datasource>>) -> Result<Vec<Arc<Datasource>>> {
        let directory = self.set.directory.clone();
        blocking(move || {
            datasources.retain(|datasource| directory.join(name_of(datasource)).join(QUEUE_MARKER).exists());
            Ok(datasources)
        })
        .await
    }

    async fn close(&self) -> Result<()> {
        self.set.close().await
    }
}
