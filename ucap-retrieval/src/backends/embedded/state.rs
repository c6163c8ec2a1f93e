//! What a datasource holds in memory: which rows and passages live, and the two derived indexes. Behind one lock, so that
//! a query sees one state.

use std::path::Path;

use roaring::RoaringBitmap;
use ucap_core::{Error, RequestContext, Result};

use super::lexical::LexicalIndex;
use super::records::{Applied, Counters, Records};
use super::vector::VectorIndex;
use crate::analysis::{Language, analyze_document, fingerprint};
use crate::bm25::Evidence;
use crate::datastore::{Candidates, Scored};
use crate::passage_set::PassageSet;

/// Passages that are replayed in one step at open.
const REPLAYED_AT_ONCE: u32 = 1024;
/// No row.
const NONE: u32 = u32::MAX;

/// The state of one datasource.
#[derive(Debug)]
pub(super) struct State {
    pub(super) change: u64,
    pub(super) live_rows: RoaringBitmap,
    pub(super) withdrawn: RoaringBitmap,
    /// By row: first passage and number of passages.
    rows: Vec<(u32, u32)>,
    /// By passage: its row.
    row_of: Vec<u32>,
    pub(super) live: PassageSet,
    pub(super) terms: u64,
    pub(super) lexical: LexicalIndex,
    pub(super) vectors: Option<VectorIndex>,
}

/// Whose vectors a datasource holds.
#[derive(Debug, Clone)]
pub(super) struct VectorSpace {
    pub(super) dimensions: usize,
    /// Names the model's weights.
    pub(super) fingerprint: String,
}

impl State {
    /// Opens the derived indexes below `directory` and brings them up to what `records` holds.
    pub(super) async fn open(
        directory: &Path,
        records: &Records,
        language: Language,
        space: Option<VectorSpace>,
    ) -> Result<Self> {
        let counters = records.counters().await?;
        let rows = records.rows().await?;
        let home = directory.to_owned();
        let (lexical, vectors) = blocking(move || open_indexes(&home, language, space.as_ref(), counters)).await?;
        let mut state = Self {
            change: counters.change,
            live_rows: RoaringBitmap::new(),
            withdrawn: RoaringBitmap::new(),
            rows: Vec::new(),
            row_of: Vec::new(),
            live: PassageSet::with_capacity(counters.next_passage),
            terms: 0,
            lexical,
            vectors,
        };
        for row in &rows {
            state.add_row(row.row, row.first, row.count, row.withdrawn);
        }
        state.replay(records, language).await?;
        state.terms = state.lexical.tokens(&state.live);
        Ok(state)
    }

    async fn replay(&mut self, records: &Records, language: Language) -> Result<()> {
        let vectors_end = self.vectors.as_ref().map_or(NONE, VectorIndex::end);
        let mut from = self.lexical.end().min(vectors_end);
        loop {
            let passages = records.passages_from(from, REPLAYED_AT_ONCE).await?;
            let Some(last) = passages.last() else { return Ok(()) };
            from = last.passage + 1;
            for passage in passages {
                if passage.passage >= self.lexical.end() {
                    let mut terms = analyze_document(&passage.text, language);
                    terms.extend(passage.keys.split_whitespace().map(str::to_owned));
                    self.lexical.add(passage.passage, &terms)?;
                }
                if let Some(vectors) = self.vectors.as_mut().filter(|vectors| passage.passage >= vectors.end()) {
                    vectors.add(passage.passage, passage.vectors.iter().map(Vec::as_slice))?;
                }
            }
        }
    }

    fn add_row(&mut self, row: u32, first: u32, count: u32, withdrawn: bool) {
        if self.rows.len() <= row as usize {
            self.rows.resize(row as usize + 1, (0, 0));
        }
        self.rows[row as usize] = (first, count);
        if self.row_of.len() < (first + count) as usize {
            self.row_of.resize((first + count) as usize, NONE);
        }
        self.row_of[first as usize..(first + count) as usize].fill(row);
        self.live.insert_range(first..first + count);
        self.live_rows.insert(row);
        if withdrawn {
            self.withdrawn.insert(row);
        }
    }

    fn remove_row(&mut self, row: u32) {
        let (first, count) = self.rows.get(row as usize).copied().unwrap_or_default();
        for passage in first..first + count {
            self.live.remove(passage);
            self.terms -= u64::from(self.lexical.length_of(passage));
        }
        self.live_rows.remove(row);
        self.withdrawn.remove(row);
    }

    /// Follows a committed write.
    pub(super) fn apply(&mut self, applied: &Applied) -> Result<()> {
        for row in &applied.removed {
            self.remove_row(*row);
        }
        for new in &applied.added {
            let count = new.passages.len() as u32;
            self.add_row(new.row, new.first_passage, count, new.withdrawn);
            for (passage, number) in new.passages.iter().zip(new.first_passage..) {
                self.lexical.add(number, &passage.terms)?;
                self.terms += passage.terms.len() as u64;
                if let Some(vectors) = &mut self.vectors {
                    vectors.add(number, passage.vectors())?;
                }
            }
        }
        self.change = applied.counters.change;
        Ok(())
    }

    /// Runs `search` with the passages of `candidates` that still live.
    pub(super) fn with_allowed<T>(
        &self,
        candidates: &Candidates,
        search: impl FnOnce(&PassageSet) -> Result<T>,
    ) -> Result<T> {
        let passages_of = || {
            let ranges = candidates.rows().iter().filter_map(|row| self.rows.get(row as usize));
            let mut passages = PassageSet::with_capacity(self.row_of.len() as u32);
            ranges.for_each(|(first, count)| passages.insert_range(*first..first + count));
            passages
        };
        // Another state than the one the candidates were read at: what died since is left out.
        if candidates.change() != self.change {
            let mut passages = passages_of();
            passages.intersect_with(&self.live);
            return search(&passages);
        }
        match candidates.prepared(passages_of) {
            Some(passages) => search(passages),
            None => Err(Error::internal("candidates of another backend were used")),
        }
    }

    /// The rows by the BM25 scores of their passages, given in ascending order: at least `depth` rows, and all that tie with
    /// the last.
    pub(super) fn lexical_rows(&self, passages: impl Iterator<Item = (u32, f32)>, depth: usize) -> Vec<Scored> {
        // In ascending order of passages the passages of a row follow each other.
        let mut rows: Vec<Scored> = Vec::new();
        let mut evidence = Evidence::default();
        for (passage, score) in passages {
            let Some(row) = self.row_of.get(passage as usize).copied().filter(|row| *row != NONE) else { continue };
            match rows.last_mut() {
                Some(last) if last.row == row => {
                    if evidence.add(score) {
                        last.passage = passage;
                    }
                    last.score = evidence.total();
                }
                _ => {
                    evidence = Evidence::default();
                    evidence.add(score);
                    rows.push(Scored { row, passage, score: evidence.total() });
                }
            }
        }
        keep_best(&mut rows, depth);
        rows
    }

    /// The best passage of each row: at least `depth` rows, and all that tie with the last.
    fn best_rows(&self, passages: impl Iterator<Item = (u32, f32)>, depth: usize) -> Vec<Scored> {
        let mut best: Vec<Scored> = Vec::new();
        for (passage, score) in passages {
            let Some(row) = self.row_of.get(passage as usize).copied().filter(|row| *row != NONE) else { continue };
            match best.last_mut() {
                Some(last) if last.row == row => {
                    if score > last.score {
                        *last = Scored { row, passage, score };
                    }
                }
                _ => best.push(Scored { row, passage, score }),
            }
        }
        keep_best(&mut best, depth);
        best
    }

    /// The rows nearest to `query`, exactly.
    pub(super) fn nearest(
        &self,
        context: &RequestContext,
        query: &[f32],
        allowed: &PassageSet,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        let Some(vectors) = &self.vectors else { return Ok(Vec::new()) };
        let mut k = depth;
        loop {
            let mut passages = vectors.search(context, query, allowed, k)?;
            let found = passages.len();
            passages.sort_unstable_by_key(|(passage, _)| *passage);
            let best = self.best_rows(passages.into_iter(), depth);
            // Rows with many good passages crowd out others: look deeper until there are enough rows, or no more passages.
            if best.len() >= depth || found < k {
                return Ok(best);
            }
            k = k.saturating_mul(4);
        }
    }
}

/// Keeps the `depth` highest scores and all that tie with the last of them, highest first.
fn keep_best(scored: &mut Vec<Scored>, depth: usize) {
    let descending = |a: &Scored, b: &Scored| b.score.total_cmp(&a.score);
    if depth > 0 && scored.len() > depth {
        let (_, last, _) = scored.select_nth_unstable_by(depth - 1, descending);
        let least = last.score;
        scored.retain(|held| held.score >= least);
    }
    scored.sort_unstable_by(|a, b| descending(a, b).then(a.row.cmp(&b.row)));
}

fn open_indexes(
    directory: &Path,
    language: Language,
    space: Option<&VectorSpace>,
    counters: Counters,
) -> Result<(LexicalIndex, Option<VectorIndex>)> {
    let (lexical_home, vector_home) = (directory.join("lexical"), directory.join("vectors"));
    let (mut lexical, _) = LexicalIndex::open(&lexical_home, &fingerprint(language))?;
    // An index that knows more than the records was made for others (a restored file): start it anew.
    if lexical.end() > counters.next_passage || lexical.flushed_change() > counters.change {
        drop(lexical);
        empty(&lexical_home)?;
        (lexical, _) = LexicalIndex::open(&lexical_home, &fingerprint(language))?;
    }
    let Some(space) = space else { return Ok((lexical, None)) };
    let (mut vectors, _) = VectorIndex::open(&vector_home, space.dimensions, &space.fingerprint)?;
    if vectors.end() > counters.next_passage || vectors.flushed_change() > counters.change {
        drop(vectors);
        empty(&vector_home)?;
        (vectors, _) = VectorIndex::open(&vector_home, space.dimensions, &space.fingerprint)?;
    }
    Ok((lexical, Some(vectors)))
}

fn empty(directory: &Path) -> Result<()> {
    std::fs::remove_dir_all(directory).map_err(|cause| {
        Error::new(ucap_core::ErrorKind::Unavailable, "a damaged index cannot be removed; see the log")
            .with_source(cause)
    })
}

/// Runs CPU or disk work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(cause) => Err(Error::internal("work on a datasource ended early; see the log").with_source(cause)),
    }
}
