//! The lexical index of one datasource: exact BM25 over its passages.
//!
//! tantivy serves as term dictionary and postings on disk; the passages added since the last flush are a small inverted
//! index in memory (the tail). Scoring is ours and exhaustive: statistics count live passages only, lengths are exact,
//! and sums are formed in one order, so an answer does not depend on how the passages are spread over tail and segments,
//! on merges, or on what was deleted.
//!
//! Passage numbers ascend and are never used again; `live` says which of them count, `allowed` (part of `live`) which of
//! them a query may see. Everything here is derived: an index that is damaged, or was made by another analyzer, is
//! emptied at [`LexicalIndex::open`], and the caller replays from the records all changes after the one it returns.
//!
//! The index is meant to sit behind an `RwLock`. A flush takes the write lock only for moments:
//!
//! ```text
//! let job = index.write().prepare_flush(change, &live);      // moments
//! if let Some(job) = job {
//!     let done = job.run()?;                                 // disk; no lock
//!     index.write().install(done);                           // moments
//! }
//! ```

mod flush;
mod scoring;
mod segment;
mod store;
mod tail;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ucap_core::{Error, RequestContext, Result};

use self::scoring::Scorer;
use self::segment::{GroupScorer, Segment, merge};
use self::store::{Store, set_length};
use self::tail::Tail;
use super::flush_guard::FlushGuard;
use crate::analysis::TermGroup;
use crate::passage_set::PassageSet;

pub use self::flush::{FlushDone, FlushJob};
pub use self::scoring::PassageScores;
pub use crate::bm25::Weights;

/// The lexical index of one datasource.
#[derive(Debug)]
pub struct LexicalIndex {
    store: Arc<Store>,
    segments: Vec<Arc<Segment>>,
    /// Tails that a flush has taken and that are not installed yet, oldest first.
    frozen: Vec<Arc<Tail>>,
    tail: Tail,
    /// By passage number.
    lengths: Vec<u32>,
    is_flushing: Arc<AtomicBool>,
    change: u64,
    /// Whether the files say so: those of a new index say nothing yet.
    is_on_disk: bool,
}

impl LexicalIndex {
    /// Opens the index in `directory` (made when missing) and returns the last change it has applied. All its files are
    /// proved by their checksums first. One that is damaged, or was made with another `fingerprint`
    /// ([`crate::analysis::fingerprint`]), is emptied: then the change is 0.
    ///
    /// # Errors
    /// `Unavailable` when the operating system refuses.
    pub fn open(directory: &Path, fingerprint: &str) -> Result<(Self, u64)> {
        let (store, loaded) = Store::open(directory, fingerprint)?;
        let index = Self {
            store: Arc::new(store),
            segments: loaded.segments,
            frozen: Vec::new(),
            tail: Tail::default(),
            lengths: loaded.lengths,
            is_flushing: Arc::default(),
            change: loaded.change,
            is_on_disk: loaded.is_on_disk,
        };
        Ok((index, loaded.change))
    }

    /// Adds a passage with the terms of [`crate::analysis::analyze_document`] (no white space in them). It is searchable
    /// at once, in memory, and on disk after the next flush.
    ///
    /// # Errors
    /// `Internal` unless `passage` is larger than all passages added before, and smaller than `u32::MAX`.
    pub fn add<T: AsRef<str>>(&mut self, passage: u32, tokens: &[T]) -> Result<()> {
        if passage < self.end() || passage == u32::MAX {
            return Err(Error::internal(format!(
                "passage {passage} was added to the lexical index after passage {}; passages must ascend",
                self.end().saturating_sub(1)
            )));
        }
        debug_assert!(tokens.iter().all(|token| !token.as_ref().contains(char::is_whitespace)));
        set_length(&mut self.lengths, passage, tokens.len() as u32);
        self.tail.add(passage, tokens);
        Ok(())
    }

    /// One more than the largest passage number that it has seen.
    pub fn end(&self) -> u32 {
        self.lengths.len() as u32
    }

    /// How many passages wait in memory for a flush; flush at about 4,096, or when the index is closed.
    pub fn tail_len(&self) -> usize {
        self.tail.len() + self.frozen.iter().map(|tail| tail.len()).sum::<usize>()
    }

    /// The last change that is on disk.
    pub fn flushed_change(&self) -> u64 {
        self.change
    }

    /// Whether a flush would write anything, where all changes up to `change` are applied.
    pub fn is_behind(&self, change: u64) -> bool {
        !self.is_on_disk || self.change != change || self.tail_len() > 0
    }

    /// Terms in `passage`; 0 where it is unknown.
    pub fn length_of(&self, passage: u32) -> u32 {
        self.lengths.get(passage as usize).copied().unwrap_or(0)
    }

    /// Terms in all passages of `live` together. Walks them all (about 1 ns each): keep the sum beside `live` and move it
    /// with [`Self::length_of`].
    pub fn tokens(&self, live: &PassageSet) -> u64 {
        live.iter().map(|passage| u64::from(self.length_of(passage))).sum()
    }

    /// Bytes of memory that it takes, roughly, without mapped files.
    pub fn memory_bytes(&self) -> usize {
        self.lengths.capacity() * size_of::<u32>()
            + self.tails().map(Tail::memory_bytes).sum::<usize>()
            + self.segments.iter().map(|segment| segment.memory_bytes()).sum::<usize>()
    }

    /// Takes the tail for a flush that will have applied all changes up to `change`; `None` while another one is under
    /// way. `live` decides what need not be written; what is dead now must never come back to life.
    pub fn prepare_flush(&mut self, change: u64, live: &PassageSet) -> Option<FlushJob> {
        let guard = FlushGuard::acquire(&self.is_flushing)?;
        if self.tail.len() > 0 {
            self.frozen.push(Arc::new(std::mem::take(&mut self.tail)));
        }
        Some(FlushJob {
            store: self.store.clone(),
            segments: self.segments.clone(),
            tails: self.frozen.clone(),
            live: live.clone(),
            change,
            guard,
        })
    }

    /// Reads from disk what a flush has written, and forgets it in memory.
    pub fn install(&mut self, done: FlushDone) {
        let FlushDone { segments, tails, change, guard } = done;
        self.segments = segments;
        self.frozen.retain(|frozen| !tails.iter().any(|tail| Arc::ptr_eq(tail, frozen)));
        self.change = change;
        self.is_on_disk = true;
        drop(guard);
    }

    /// How many passages of `live` hold each group (any of its forms): exact, whatever was deleted.
    ///
    /// # Errors
    /// `DeadlineExceeded`; `Internal` when a file cannot be read.
    pub fn statistics(&self, context: &RequestContext, groups: &[TermGroup], live: &PassageSet) -> Result<Vec<u64>> {
        groups.iter().map(|group| self.frequency(context, &group.forms, live)).collect()
    }

    fn frequency(&self, context: &RequestContext, forms: &[String], live: &PassageSet) -> Result<u64> {
        let mut count = 0;
        for segment in &self.segments {
            count += segment.frequency(context, forms, live)?;
        }
        for tail in self.tails() {
            count += tail_postings(tail, forms).iter().filter(|&&(passage, _)| live.contains(passage)).count() as u64;
        }
        Ok(count)
    }

    /// Scores every passage of `allowed` that holds any of the groups; what `out` held before is forgotten.
    ///
    /// A score is the sum over the groups, in their order and in `f32`, of the BM25 contributions, where a group's
    /// frequency is the sum of the frequencies of its forms. `weights` has one entry for each group.
    ///
    /// # Errors
    /// `DeadlineExceeded`; `Internal` when a file cannot be read, or `weights` are of other groups.
    pub fn score(
        &self,
        context: &RequestContext,
        groups: &[TermGroup],
        weights: &Weights,
        allowed: &PassageSet,
        out: &mut PassageScores,
    ) -> Result<()> {
        check_weights(groups, weights)?;
        out.reset(self.end());
        let scorer = Scorer::new(weights.average_length);
        for (group, &weight) in groups.iter().zip(&weights.groups) {
            let group = GroupScorer { forms: &group.forms, weight, scorer: &scorer, lengths: &self.lengths };
            for segment in &self.segments {
                segment.score(context, &group, allowed, out)?;
            }
            context.check()?;
            for tail in self.tails() {
                for &(passage, frequency) in &*tail_postings(tail, group.forms) {
                    if allowed.contains(passage) {
                        group.add(passage, frequency, out);
                    }
                }
            }
        }
        Ok(())
    }

    /// What each group adds to the score of `passage`, in the order of the groups; 0 for those it does not hold. Their
    /// sum in this order is the score.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub fn explain(&self, groups: &[TermGroup], weights: &Weights, passage: u32) -> Result<Vec<f32>> {
        check_weights(groups, weights)?;
        let scorer = Scorer::new(weights.average_length);
        let contribution = |(group, &weight): (&TermGroup, &f32)| {
            let frequency = self.frequency_in(&group.forms, passage)?;
            let length = self.length_of(passage);
            Ok(if frequency == 0 { 0.0 } else { scorer.contribution(weight, frequency, length) })
        };
        groups.iter().zip(&weights.groups).map(contribution).collect()
    }

    fn frequency_in(&self, forms: &[String], passage: u32) -> Result<u32> {
        for segment in self.segments.iter().filter(|segment| segment.range().contains(&passage)) {
            let frequency = segment.frequency_in(forms, passage)?;
            if frequency > 0 {
                return Ok(frequency);
            }
        }
        let in_tail = |tail: &Tail| {
            let postings = tail_postings(tail, forms);
            postings.binary_search_by_key(&passage, |&(passage, _)| passage).ok().map(|index| postings[index].1)
        };
        Ok(self.tails().find_map(in_tail).unwrap_or(0))
    }

    fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.frozen.iter().map(|tail| &**tail).chain([&self.tail])
    }
}

fn check_weights(groups: &[TermGroup], weights: &Weights) -> Result<()> {
    if groups.len() == weights.groups.len() {
        Ok(())
    } else {
        Err(Error::internal("the weights of a lexical search belong to other groups"))
    }
}

/// The postings of a group in a tail, ascending by passage.
fn tail_postings<'a>(tail: &'a Tail, forms: &[String]) -> std::borrow::Cow<'a, [(u32, u32)]> {
    let mut postings = std::borrow::Cow::Borrowed(&[][..]);
    for form in forms {
        match tail.postings(form) {
            [] => {}
            first if postings.is_empty() => postings = first.into(),
            more => postings = merge(&postings, more).into(),
        }
    }
    postings
}

#[cfg(test)]
mod tests;
