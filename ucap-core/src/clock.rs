//! Time as a port, so that a test can hold it still.

use std::fmt::Debug;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Tells the time. Nothing below the binaries reads the system's clock but through it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// The system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<parking_lot::Mutex<OffsetDateTime>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: OffsetDateTime) -> Self {
        Self(Arc::new(parking_lot::Mutex::new(start)))
    }

    /// Moves it by `by`, which may be negative: clocks of real machines go back too.
    pub fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock()
    }
}
