//! Which datasources are open. There is a place for each of `max_open`: whoever needs another datasource waits until one
//! can be closed, the least recently used first. So a search over thousands holds no more files than one over a few.
//!
//! Nobody keeps a datasource open between two calls: each call of a role is a [`Use`] of its own, and nobody who has one
//! waits for another. That is what keeps those who wait from waiting for each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use ucap_core::catalog::Datasource;
use ucap_core::{Error, ErrorKind, RequestContext, Result};

use super::cpu_pool::CpuPool;
use super::datasource::OpenDatasource;
use super::state::{VectorSpace, blocking};
use super::{EmbeddedOptions, name_of};
use crate::settings::{Settings, Vectors};

/// A call without a deadline waits so long for a place.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever still reads a datasource that is deleted, or of a platform that closes, gets so long to end.
const GRACE: Duration = Duration::from_secs(10);
/// So many deleted datasources are remembered: a request that began before a deletion must not make its files again.
const FORGOTTEN: usize = 4096;

type Slot = Arc<AsyncMutex<Option<Arc<OpenDatasource>>>>;

/// The datasources of one directory, and those of them that are open.
#[derive(Debug)]
pub(super) struct OpenSet {
    pub(super) directory: PathBuf,
    options: EmbeddedOptions,
    pool: Arc<CpuPool>,
    slots: Mutex<Slots>,
    places: Arc<Semaphore>,
    /// Somebody has ended a use.
    released: Arc<Notify>,
}

/// The slots, and when each was used last.
#[derive(Debug, Default)]
struct Slots {
    by_name: HashMap<String, (u64, Slot)>,
    clock: u64,
    forgotten: HashSet<String>,
    /// The same, oldest first.
    in_order: VecDeque<String>,
    is_closed: bool,
}

impl Slots {
    fn check(&self, name: &str) -> Result<()> {
        if self.is_closed {
            return Err(Error::new(ErrorKind::Unavailable, "the datasources are closed; open the platform again"));
        }
        if self.forgotten.contains(name) {
            return Err(Error::new(ErrorKind::Unavailable, "the datasource was deleted meanwhile"));
        }
        Ok(())
    }
}

/// A datasource while somebody works with it: it is not closed before this is dropped.
#[derive(Debug, Clone)]
pub(super) struct Use {
    // Fields are dropped in this order: whoever is woken finds the datasource unused.
    open: Arc<OpenDatasource>,
    _released: Released,
}

impl Deref for Use {
    type Target = OpenDatasource;

    fn deref(&self) -> &OpenDatasource {
        &self.open
    }
}

#[derive(Debug, Clone)]
struct Released(Arc<Notify>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl OpenSet {
    pub(super) fn new(directory: PathBuf, options: EmbeddedOptions) -> Self {
        let pool = Arc::new(CpuPool::new(options.threads, options.max_waiting));
        let places = Arc::new(Semaphore::new(options.max_open.clamp(1, Semaphore::MAX_PERMITS)));
        Self { directory, options, pool, slots: Mutex::default(), places, released: Arc::default() }
    }

    /// The datasource, opened if need be.
    ///
    /// # Errors
    /// `Overloaded` when no place becomes free in time; `Unavailable` when it was deleted or cannot be opened;
    /// `DatasourceRebuilding`.
    pub(super) async fn acquire(&self, context: &RequestContext, datasource: &Datasource) -> Result<Use> {
        let name = name_of(datasource);
        let mut held = self.slot(&name)?.lock_owned().await;
        // It may have been deleted while this waited.
        self.slots.lock().check(&name)?;
        if let Some(open) = &*held {
            if !open.is_stale(datasource) {
                return Ok(self.used(open));
            }
            self.unused(open, patience(context)).await?;
            held = closed(held).await?;
        }
        let place = tokio::time::timeout(patience(context), self.place()).await.map_err(|_| busy())??;
        let space = self.space(&Settings::of(datasource)?);
        let (directory, datasource, pool) = (self.directory.join(&name), datasource.clone(), Arc::clone(&self.pool));
        // A caller that goes away must not leave it half open: the next one would begin beside it.
        let opening = tokio::spawn(async move {
            let open = Arc::new(OpenDatasource::open(directory, &datasource, space, pool, place).await?);
            *held = Some(Arc::clone(&open));
            Ok((open, held))
        });
        let (open, _held) = ended(opening.await)??;
        Ok(self.used(&open))
    }

    /// Removes the datasource's files, for good.
    pub(super) async fn forget(&self, datasource: &Datasource) -> Result<()> {
        let name = name_of(datasource);
        let slot = {
            let mut slots = self.slots.lock();
            if slots.forgotten.insert(name.clone()) {
                slots.in_order.push_back(name.clone());
            }
            if slots.in_order.len() > FORGOTTEN
                && let Some(oldest) = slots.in_order.pop_front()
            {
                slots.forgotten.remove(&oldest);
            }
            slots.by_name.remove(&name).map(|(_, slot)| slot).unwrap_or_default()
        };
        let held = slot.lock_owned().await;
        if let Some(open) = &*held {
            let _ = self.unused(open, GRACE).await;
        }
        let _held = closed(held).await?;
        let directory = self.directory.join(&name);
        blocking(move || match std::fs::remove_dir_all(&directory) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::Unavailable, "a datasource's files could not be removed; delete it again")
                    .with_source(cause))
            }
            _ => Ok(()),
        })
        .await
    }

    /// Closes everything; nothing is opened any more.
    pub(super) async fn close(&self) -> Result<()> {
        let slots: Vec<Slot> = {
            let mut slots = self.slots.lock();
            slots.is_closed = true;
            slots.by_name.drain().map(|(_, (_, slot))| slot).collect()
        };
        for slot in slots {
            let held = slot.lock_owned().await;
            if let Some(open) = &*held {
                let _ = self.unused(open, GRACE).await;
            }
            closed(held).await?;
        }
        Ok(())
    }

    fn used(&self, open: &Arc<OpenDatasource>) -> Use {
        Use { open: Arc::clone(open), _released: Released(Arc::clone(&self.released)) }
    }

    fn slot(&self, name: &str) -> Result<Slot> {
        let mut slots = self.slots.lock();
        slots.check(name)?;
        slots.clock += 1;
        let now = slots.clock;
        if let Some((used, slot)) = slots.by_name.get_mut(name) {
            *used = now;
            return Ok(Arc::clone(slot));
        }
        let slot = Slot::default();
        slots.by_name.insert(name.to_owned(), (now, Arc::clone(&slot)));
        Ok(slot)
    }

    /// A place for one more, for which another datasource may be closed.
    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let gone = |cause| Error::internal("the places of datasources have ended").with_source(cause);
        loop {
            // Before the look: what is released after it wakes this.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok(place);
            }
            if self.close_least_recent().await? {
                continue;
            }
            tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => return place.map_err(gone),
                () = released => {}
            }
        }
    }

    /// Closes the least recently used of those that nobody uses; whether there was one.
    async fn close_least_recent(&self) -> Result<bool> {
        let is_open = |slot: &Slot| slot.try_lock().is_ok_and(|held| held.is_some());
        let mut by_use: Vec<(u64, Slot)> = {
            let mut slots = self.slots.lock();
            // A closed one that only the map holds is nobody's.
            slots.by_name.retain(|_, (_, slot)| Arc::strong_count(slot) > 1 || is_open(slot));
            let open = slots.by_name.values().filter(|(_, slot)| is_open(slot));
            open.map(|(used, slot)| (*used, Arc::clone(slot))).collect()
        };
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, slot) in by_use {
            let Ok(held) = slot.try_lock_owned() else { continue };
            let is_unused = held.as_ref().is_some_and(|open| Arc::strong_count(open) == 1);
            if is_unused {
                drop(closed(held).await?);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until nobody uses `open`, which its slot holds.
    async fn unused(&self, open: &Arc<OpenDatasource>, patience: Duration) -> Result<()> {
        let ended = async {
            loop {
                let released = self.released.notified();
                tokio::pin!(released);
                released.as_mut().enable();
                if Arc::strong_count(open) == 1 {
                    return;
                }
                released.await;
            }
        };
        tokio::time::timeout(patience, ended).await.map_err(|_| busy())
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

fn patience(context: &RequestContext) -> Duration {
    context.remaining_or(PATIENCE).min(PATIENCE)
}

fn busy() -> Error {
    Error::new(
        ErrorKind::Overloaded,
        "all datasources that may be open are in use; try again, or raise retrieval.max_open",
    )
}

/// Closes what a slot holds. A caller that goes away must not stop it half way.
async fn closed(
    mut held: OwnedMutexGuard<Option<Arc<OpenDatasource>>>,
) -> Result<OwnedMutexGuard<Option<Arc<OpenDatasource>>>> {
    let Some(open) = held.take() else { return Ok(held) };
    let closing = tokio::spawn(async move {
        if let Err(error) = open.close().await {
            tracing::warn!(error = %error, directory = %open.directory().display(), "a datasource did not close cleanly; it is replayed at the next start");
        }
        drop(open);
        held
    });
    ended(closing.await)
}

fn ended<T>(task: Result<T, tokio::task::JoinError>) -> Result<T> {
    task.map_err(|cause| Error::internal("opening or closing a datasource ended early; see the log").with_source(cause))
}
