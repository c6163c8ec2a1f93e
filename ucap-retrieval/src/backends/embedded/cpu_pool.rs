//! CPU work of searches: as many at once as there are cores, and a bounded number that wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use ucap_core::{Error, ErrorKind, Result};

use super::state::blocking;

/// Bounds how much CPU work runs and waits.
#[derive(Debug)]
pub(super) struct CpuPool {
    running: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl CpuPool {
    pub(super) fn new(threads: usize, most_waiting: usize) -> Self {
        Self { running: Semaphore::new(threads.max(1)), waiting: AtomicUsize::new(0), most_waiting }
    }

    /// Runs `work` when its turn comes.
    ///
    /// # Errors
    /// `Overloaded` when too much waits already; else what `work` says.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place = Place::take(self)?;
        let turn = self.running.acquire().await;
        drop(place);
        let _turn = turn.map_err(|cause| Error::internal("the search threads have ended").with_source(cause))?;
        blocking(work).await
    }
}

/// A place in the queue, given back however the wait ends.
struct Place<'a>(&'a CpuPool);

impl<'a> Place<'a> {
    fn take(pool: &'a CpuPool) -> Result<Self> {
        if pool.waiting.fetch_add(1, Ordering::Relaxed) >= pool.most_waiting {
            pool.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Overloaded, "too many searches wait; try again in a moment"));
        }
        Ok(Self(pool))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
