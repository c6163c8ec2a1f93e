//! A store that forgets when the process ends: for tests and for embedders that keep nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::catalog::change::{Change, Object, ObjectKind};
use crate::catalog::store::{CatalogImage, CatalogStore};
use crate::error::{Error, ErrorKind, Result};

/// Holds the catalog in memory.
#[derive(Debug, Default)]
pub struct MemoryCatalogStore(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    epoch: u64,
    objects: BTreeMap<(ObjectKind, String), Object>,
}

#[async_trait]
impl CatalogStore for MemoryCatalogStore {
    async fn load(&self) -> Result<CatalogImage> {
        let held = self.0.lock();
        Ok(CatalogImage { epoch: held.epoch, objects: held.objects.values().cloned().collect() })
    }

    async fn apply(&self, epoch: u64, changes: &[Change]) -> Result<()> {
        let mut held = self.0.lock();
        if held.epoch + 1 != epoch {
            return Err(Error::new(ErrorKind::Unavailable, "the catalog was changed by somebody else; try again"));
        }
        for change in changes {
            match change {
                Change::Put(object) => held.objects.insert((object.kind(), object.id().to_owned()), object.clone()),
                Change::Delete(kind, id) => held.objects.remove(&(*kind, id.clone())),
            };
        }
        held.epoch = epoch;
        Ok(())
    }

    async fn close(&self) {}
}
