//! The right to flush an index: one flush at a time, given back on every exit path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by a flush from its preparation until it is installed or dropped.
#[derive(Debug)]
pub(super) struct FlushGuard(Arc<AtomicBool>);

impl FlushGuard {
    /// `None` while another one is held.
    pub(super) fn acquire(is_flushing: &Arc<AtomicBool>) -> Option<Self> {
        (!is_flushing.swap(true, Ordering::AcqRel)).then(|| Self(is_flushing.clone()))
    }
}

impl Drop for FlushGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
