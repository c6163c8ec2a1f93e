//! The writes of one datasource: one after the other, and counted, so that whoever reads several times can tell whether
//! a write took effect in between.
//!
//! A search reads a datasource more than once: the rows of its filter, statistics, each leg, the text of its hits. Were a
//! record replaced between two of these, it would be missing from the answer although it was there at every moment. So
//! a search watches what it reads and begins again when it was disturbed; after a few times it takes the turn of a writer
//! itself, and is disturbed no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use ucap_core::{Error, ErrorKind, RequestContext, Result};

use crate::datastore::{Pause, Watch};

/// A search without a deadline waits so long for the writes under way.
const PATIENCE: Duration = Duration::from_secs(30);

/// The writes of one datasource.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    turn: Arc<Mutex<()>>,
    begun: AtomicU64,
    ended: AtomicU64,
}

/// The right to write next. Taken before anything else that a write waits for: whoever has it waits for nobody who waits for it.
#[derive(Debug)]
pub(crate) struct Turn {
    writing: Arc<Writing>,
    _held: OwnedMutexGuard<()>,
}

/// While it lives, a write takes effect: some readers may see it already, others not yet.
#[derive(Debug)]
pub(crate) struct Effect(Arc<Writing>);

/// What a datasource was like when a reader began.
#[derive(Debug)]
pub(crate) struct Seen {
    writing: Arc<Writing>,
    state: Option<u64>,
}

impl Writing {
    /// Waits until no other write is under way.
    pub(crate) async fn turn(self: &Arc<Self>) -> Turn {
        let held = Arc::clone(&self.turn).lock_owned().await;
        Turn { writing: Arc::clone(self), _held: held }
    }

    /// What a reader that begins now sees.
    fn seen(self: &Arc<Self>) -> Seen {
        Seen { writing: Arc::clone(self), state: self.state() }
    }

    /// Another number after each write; none while one takes effect.
    fn state(&self) -> Option<u64> {
        // In this order: a write that begins in between makes the numbers differ.
        let ended = self.ended.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        (begun == ended).then_some(begun)
    }
}

impl Turn {
    /// Begins to take effect.
    pub(crate) fn effect(&self) -> Effect {
        self.writing.begun.fetch_add(1, Ordering::SeqCst);
        Effect(Arc::clone(&self.writing))
    }
}

impl Drop for Effect {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Seen {
    fn is_current(&self) -> bool {
        self.state.is_some() && self.writing.state() == self.state
    }
}

impl Watch for Vec<Seen> {
    fn is_undisturbed(&self) -> bool {
        self.iter().all(Seen::is_current)
    }
}

/// Watches the writes of some datasources.
pub(crate) fn watch(writings: impl Iterator<Item = Arc<Writing>>) -> Box<dyn Watch> {
    Box::new(writings.map(|writing| writing.seen()).collect::<Vec<_>>())
}

/// Takes the turns of some datasources, in this order.
pub(crate) async fn pause(context: &RequestContext, writings: impl Iterator<Item = Arc<Writing>>) -> Result<Pause> {
    let take = async {
        let mut turns: Vec<Turn> = Vec::new();
        for writing in writings {
            turns.push(writing.turn().await);
        }
        Pause::new(turns)
    };
    tokio::time::timeout(context.remaining_or(PATIENCE), take).await.map_err(|_| {
        Error::new(ErrorKind::DeadlineExceeded, "the writes under way did not end before the request's deadline")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_tells_whether_a_write_took_effect() {
        let writing = Arc::new(Writing::default());
        let before = writing.seen();
        let turn = writing.turn().await;
        assert!(before.is_current(), "a turn alone changes nothing");
        let effect = turn.effect();
        let during = writing.seen();
        assert!(!before.is_current() && !during.is_current());
        drop(effect);
        let after = writing.seen();
        assert!(!before.is_current() && !during.is_current() && after.is_current());
    }

    #[tokio::test]
    async fn turns_follow_each_other() {
        let writing = Arc::new(Writing::default());
        let first = writing.turn().await;
        let mut second = Box::pin(writing.turn());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.await;
    }
}
