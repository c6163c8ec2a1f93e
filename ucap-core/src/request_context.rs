//! What accompanies one request through every layer: its id, its deadline, its cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};

/// Accompanies a request. Cheap to clone; clones share the cancellation.
#[derive(Debug, Clone)]
pub struct RequestContext {
    request_id: Arc<str>,
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
}

impl RequestContext {
    /// A context without a deadline.
    pub fn new(request_id: impl Into<Arc<str>>) -> Self {
        Self { request_id: request_id.into(), deadline: None, cancelled: Arc::default() }
    }

    /// Ends the request `after` from now; an earlier deadline stays.
    #[must_use]
    pub fn with_timeout(mut self, after: Duration) -> Self {
        // A moment too far away to be told is no deadline.
        let deadline = Instant::now().checked_add(after);
        self.deadline = self.deadline.into_iter().chain(deadline).min();
        self
    }

    /// The id that the answer's `x-request-id` and the journal carry.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// When the request ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left until the deadline; `default` when there is none.
    pub fn remaining_or(&self, default: Duration) -> Duration {
        self.deadline.map_or(default, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Tells everybody who holds this context to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Long CPU work calls this now and then.
    ///
    /// # Errors
    /// `DeadlineExceeded` when the request was cancelled or its deadline has passed.
    pub fn check(&self) -> Result<()> {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late || self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the request was cancelled or its deadline has passed",
            ));
        }
        Ok(())
    }
}
