//! Moves the tail into tantivy, and merges segments, without holding up searches.

use std::fmt;
use std::sync::Arc;

use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::{IndexWriter, TantivyDocument, Term};
use ucap_core::Result;

use super::super::flush_guard::FlushGuard;
use super::super::merge_plan::{SegmentSize, plan_merges};
use super::segment::Segment;
use super::store::{Store, failed_write};
use super::tail::{Tail, TailPassage};
use crate::passage_set::PassageSet;

/// What tantivy's writer may use; its least.
const WRITER_BYTES: usize = 15_000_000;

/// A flush that is ready to run: it needs no lock on the index, and blocks on disk (tens of milliseconds and more).
#[must_use = "the tail stays in memory until the job has run and is installed"]
pub struct FlushJob {
    pub(super) store: Arc<Store>,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tails: Vec<Arc<Tail>>,
    pub(super) live: PassageSet,
    pub(super) change: u64,
    pub(super) guard: FlushGuard,
}

/// A flush that is on disk; [`super::LexicalIndex::install`] makes the index read it.
#[must_use = "the index reads the tail from memory until this is installed"]
pub struct FlushDone {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tails: Vec<Arc<Tail>>,
    pub(super) change: u64,
    pub(super) guard: FlushGuard,
}

impl fmt::Debug for FlushJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushJob").field("change", &self.change).finish_non_exhaustive()
    }
}

impl fmt::Debug for FlushDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushDone").field("change", &self.change).finish_non_exhaustive()
    }
}

impl FlushJob {
    /// Writes the tail and the change in one commit, then merges neighbouring segments where that pays, leaving out what
    /// is dead. A crash at any point leaves the state before or after the commit.
    ///
    /// # Errors
    /// `Internal` or `Unavailable` when the directory cannot be written: the index goes on reading the tail from memory,
    /// and the next job writes it again.
    pub fn run(self) -> Result<FlushDone> {
        let Self { store, segments, tails, live, change, guard } = self;
        // A job that was committed but never installed has left segments that `segments` does not know.
        let committed = load(&store, &segments)?;
        let end = committed.last().map_or(0, |segment| segment.range().end);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let mut writer: IndexWriter = store.index.writer_with_options(options).map_err(failed_write)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));

        let sizes: Vec<SegmentSize> =
            committed.iter().map(|one| SegmentSize { live: one.count(&live), total: one.len() }).collect();
        let runs: Vec<&[Arc<Segment>]> = plan_merges(&sizes).into_iter().map(|range| &committed[range]).collect();
        for passage in runs.iter().copied().flatten().flat_map(|segment| segment.dead(&live)) {
            writer.delete_term(Term::from_field_u64(store.fields.passage, u64::from(passage)));
        }
        for tail in &tails {
            for &passage in tail.passages() {
                if passage.passage >= end && live.contains(passage.passage) {
                    writer.add_document(document(&store, tail, passage)).map_err(failed_write)?;
                }
            }
        }
        commit(&mut writer, &store.payload(change))?;
        for run in runs {
            merge(&mut writer, &store, run)?;
        }
        writer.wait_merging_threads().map_err(failed_write)?;
        let segments = load(&store, &committed)?;
        Ok(FlushDone { segments, tails, change, guard })
    }
}

fn load(store: &Store, known: &[Arc<Segment>]) -> Result<Vec<Arc<Segment>>> {
    // The lengths of all these passages are known from the time they were added.
    store.load_segments(known, &mut Vec::new()).map_err(|error| store.error(error))
}

fn document(store: &Store, tail: &Tail, passage: TailPassage) -> TantivyDocument {
    let mut text = String::new();
    for (term, frequency) in tail.terms_of(passage) {
        for _ in 0..frequency {
            text.push_str(term);
            text.push(' ');
        }
    }
    let mut document = TantivyDocument::default();
    document.add_u64(store.fields.passage, u64::from(passage.passage));
    document.add_u64(store.fields.length, u64::from(passage.length));
    document.add_text(store.fields.text, text);
    document
}

fn commit(writer: &mut IndexWriter, payload: &str) -> Result<()> {
    let mut prepared = writer.prepare_commit().map_err(failed_write)?;
    prepared.set_payload(payload);
    prepared.commit().map_err(failed_write)?;
    Ok(())
}

fn merge(writer: &mut IndexWriter, store: &Store, run: &[Arc<Segment>]) -> Result<()> {
    // A segment without a living document has gone with the commit.
    let present = store.segment_ids()?;
    let ids: Vec<_> = run.iter().map(|segment| segment.id()).filter(|id| present.contains(id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    writer.merge(&ids).wait().map_err(failed_write)?;
    Ok(())
}
