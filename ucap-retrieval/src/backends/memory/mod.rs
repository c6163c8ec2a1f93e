//! Everything in memory, by the shortest way: the reference that other backends are compared with, and a home for data that
//! need not outlive the process.
//!
//! Each role is written straight from its law in [`crate::datastore`]: filters are [`Predicate::matches`] on every record, a
//! search scores every passage. What it answers is right by inspection; it is as slow as that sounds.
//!
//! [`Predicate::matches`]: crate::filter::Predicate::matches

mod datasource;
mod ranking;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use ucap_core::catalog::Datasource;
use ucap_core::{RequestContext, Result};

use self::datasource::{Held, MemoryDatasource};
use crate::datastore::{Datastore, DatastoreBackend};
use crate::settings::Settings;

/// The memory datastore backend. It holds all that it is given, without a bound.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    /// By id and generation: a datasource of a name that was used before is another one.
    held: Mutex<HashMap<(String, u64), Arc<Held>>>,
}

impl MemoryBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

fn key_of(datasource: &Datasource) -> (String, u64) {
    (datasource.id.clone(), datasource.stamp.generation)
}

#[async_trait]
impl DatastoreBackend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn open(&self, _context: &RequestContext, datasource: &Datasource) -> Result<Datastore> {
        let settings = Settings::of(datasource)?;
        let held = Arc::clone(self.held.lock().entry(key_of(datasource)).or_default());
        let roles = Arc::new(MemoryDatasource::new(datasource.clone(), settings, held));
        Ok(Datastore { records: roles.clone(), passages: roles.clone(), originals: roles.clone(), queue: roles })
    }

    async fn forget(&self, _context: &RequestContext, datasource: &Datasource) -> Result<()> {
        if let Some(held) = self.held.lock().remove(&key_of(datasource)) {
            held.clear();
        }
        Ok(())
    }

    async fn with_queues(&self, mut datasources: Vec<Arc<Datasource>>) -> Result<Vec<Arc<Datasource>>> {
        let held = self.held.lock();
        datasources.retain(|datasource| held.get(&key_of(datasource)).is_some_and(|held| held.has_queue()));
        Ok(datasources)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
