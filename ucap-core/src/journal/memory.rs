//! The journal in memory: the reference that other backends are compared with, for tests and trials.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::chain::{Chain, ChainHead};
use super::envelope::Record;
use super::verify::{Verification, Verifier};
use super::{Durability, JournalStore, MAX_PAGE_ENTRIES, NewEntry, Page, Prepared, ReadBack};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};

/// Keeps everything until it is dropped: it grows without a bound, so it is no place for a service's journal.
#[derive(Debug)]
pub struct MemoryJournal {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chain: Chain,
    records: Vec<Record>,
    closed: bool,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let state = State { chain: Chain::genesis(), records: Vec::new(), closed: false };
        Self { clock, entropy, state: Mutex::new(state) }
    }
}

#[async_trait]
impl JournalStore for MemoryJournal {
    async fn append(&self, entries: Vec<NewEntry>, _durability: Durability) -> Result<u64> {
        let (prepared, _) = Prepared::all(entries)?;
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        let now = self.clock.now();
        let mut chain = state.chain;
        let mut more = prepared.len() as u32;
        let mut records = Vec::with_capacity(prepared.len());
        for entry in prepared {
            more -= 1;
            records.push(chain.stamp(entry, more, now, &*self.entropy)?);
        }
        state.chain = chain;
        state.records.append(&mut records);
        Ok(chain.sequence)
    }

    async fn read_back(&self, query: ReadBack) -> Result<Page> {
        let limit = query.limit.clamp(1, MAX_PAGE_ENTRIES);
        let state = self.state.lock();
        let mut page = Page::default();
        for record in state.records.iter().rev() {
            let wanted = query.before.is_none_or(|before| record.sequence < before)
                && query.principal.as_ref().is_none_or(|principal| *principal == record.principal);
            if wanted {
                page.entries.push(record.to_entry()?);
            }
            if page.entries.len() == limit {
                page.next = (record.sequence > 1).then_some(record.sequence);
                break;
            }
        }
        Ok(page)
    }

    async fn erase(&self, sequences: BTreeSet<u64>) -> Result<u64> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        let mut erased = 0;
        for record in state.records.iter_mut().filter(|record| sequences.contains(&record.sequence)) {
            erased += u64::from(record.disclosure.take().is_some());
        }
        Ok(erased)
    }

    async fn head(&self) -> Result<ChainHead> {
        Ok(self.state.lock().chain.head())
    }

    async fn verify_against(&self, mut anchors: Vec<ChainHead>) -> Result<Verification> {
        let state = self.state.lock();
        anchors.push(state.chain.head());
        let mut verifier = Verifier::new(anchors);
        for record in &state.records {
            if !verifier.accept(record) {
                break;
            }
        }
        Ok(verifier.finish())
    }

    async fn sync(&self) -> Result<()> {
        if self.state.lock().closed { Err(closed()) } else { Ok(()) }
    }

    async fn close(&self) -> Result<()> {
        self.state.lock().closed = true;
        Ok(())
    }
}

/// What every backend says after `close`.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the journal is closed; nothing can be recorded, so nothing may be done")
}
