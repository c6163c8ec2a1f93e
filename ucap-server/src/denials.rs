//! How many refusals of unknown callers are journaled: enough to see an attack, not enough to fill a disk.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);
const RECORDED_IN_A_WINDOW: u32 = 300;

/// Whether a refusal is journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is.
    Record,
    /// It is, after an entry that tells how many were not.
    RecordAfter {
        /// How many.
        suppressed: u64,
    },
    /// It is only counted.
    Suppress,
}

/// Counts refusals in windows of a minute.
#[derive(Debug, Default)]
pub(crate) struct AnonymousDenials(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    window: Option<Instant>,
    recorded: u32,
    suppressed: u64,
}

impl AnonymousDenials {
    /// What to do with a refusal at `now`.
    pub(crate) fn admit(&self, now: Instant) -> Admission {
        let mut state = self.0.lock();
        if state.window.is_none_or(|begin| now.saturating_duration_since(begin) >= WINDOW) {
            let suppressed = state.suppressed;
            *state = State { window: Some(now), recorded: 1, suppressed: 0 };
            return if suppressed > 0 { Admission::RecordAfter { suppressed } } else { Admission::Record };
        }
        if state.recorded < RECORDED_IN_A_WINDOW {
            state.recorded += 1;
            return Admission::Record;
        }
        state.suppressed += 1;
        Admission::Suppress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_summed_up() {
        let denials = AnonymousDenials::default();
        let start = Instant::now();
        for _ in 0..RECORDED_IN_A_WINDOW {
            assert_eq!(denials.admit(start), Admission::Record);
        }
        for _ in 0..7 {
            assert_eq!(denials.admit(start + WINDOW / 2), Admission::Suppress);
        }
        assert_eq!(denials.admit(start + WINDOW), Admission::RecordAfter { suppressed: 7 });
        assert_eq!(denials.admit(start + WINDOW), Admission::Record);
    }
}
