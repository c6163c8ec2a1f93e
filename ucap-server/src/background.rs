//! What the platform does by itself: deletes what is over, embeds what waits. As the system, through the retriever.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ucap_core::{RequestContext, Result};
use ucap_retrieval::Retriever;

/// The first look for expired records comes no later after the start than this.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// The tasks; they end with this.
#[derive(Debug)]
pub(crate) struct Background {
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    /// Starts them. `retention` lies between two looks for expired records.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be told what waits.
    pub(crate) async fn start(retriever: &Arc<Retriever>, retention: Duration) -> Result<Self> {
        retriever.resume_queues().await?;
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(expire(Arc::clone(retriever), retention, stop.clone())),
            tokio::spawn(embed(Arc::clone(retriever), stop.clone())),
        ];
        Ok(Self { stop, tasks: Mutex::new(tasks) })
    }

    /// Ends them between two writes.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task ended early");
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn expire(retriever: Arc<Retriever>, period: Duration, stop: CancellationToken) {
    let context = RequestContext::new("background");
    let mut pause = period.min(FIRST_LOOK);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = period;
        tokio::select! {
            () = stop.cancelled() => return,
            done = retriever.expire(&context) => match done {
                Ok(0) => {}
                Ok(deleted) => tracing::info!(deleted, "records went by their age"),
                Err(error) => tracing::warn!(%error, "expired records could not be deleted; it is tried again"),
            }
        }
    }
}

async fn embed(retriever: Arc<Retriever>, stop: CancellationToken) {
    let context = RequestContext::new("background");
    tokio::select! {
        () = stop.cancelled() => {}
        () = retriever.embed_waiting(&context) => {}
    }
}
