//! Finds the best rows exactly: a scan over one-byte codes, then full precision for whatever could be among them.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use ucap_core::{RequestContext, Result};

use super::columns::ScanColumns;
use super::kernels::{Level, prefetch};
use super::quantize::QuantizedQuery;
use crate::passage_set::PassageSet;

/// Up to this many candidates are scored in full precision at once; more go through the codes first. Both ways give the
/// same answer: the constant decides about time only.
const DIRECT_CANDIDATES: usize = 128;

/// The codes' candidates are pruned when they have grown to this many times `k`, and this many more.
const PRUNE_FACTOR: usize = 4;
const PRUNE_EXTRA: usize = 4_096;

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;

/// Rows that can be searched: a segment or a tail.
pub(super) trait Source {
    /// The columns of a scan.
    fn scan(&self) -> Result<ScanColumns<'_>>;
    /// A row in full precision.
    fn exact(&self, row: usize) -> Result<&[f32]>;
}

/// The `k` best rows of `allowed` by descending score, then ascending passage, and all that tie with the last of them.
pub(super) fn search(
    context: &RequestContext,
    level: Level,
    sources: &[&dyn Source],
    query: &[f32],
    allowed: &PassageSet,
    k: usize,
) -> Result<Vec<(u32, f32)>> {
    context.check()?;
    if k == 0 {
        return Ok(Vec::new());
    }
    let scans = sources.iter().map(|source| source.scan()).collect::<Result<Vec<_>>>()?;
    let candidates: usize = scans.iter().map(|scan| scan.candidates(allowed)).sum();
    let mut best = Best::new(k);
    if candidates <= DIRECT_CANDIDATES.max(k) {
        for (source, scan) in sources.iter().zip(&scans) {
            scan.for_each_block(context, allowed, |rows| {
                for &row in rows {
                    best.push(scan.passages[row as usize], level.dot(query, source.exact(row as usize)?));
                }
                Ok(())
            })?;
        }
        return Ok(best.into_sorted());
    }
    let candidates = by_codes(context, level, &scans, query, allowed, k)?;
    for candidate in &candidates {
        if best.is_full() && candidate.at_most < f64::from(best.worst()) {
            break;
        }
        let (source, row) = (candidate.source as usize, candidate.row as usize);
        best.push(scans[source].passages[row], level.dot(query, sources[source].exact(row)?));
    }
    Ok(best.into_sorted())
}

/// The best score of `passage` where a source has it.
pub(super) fn score_of(level: Level, sources: &[&dyn Source], query: &[f32], passage: u32) -> Result<Option<f32>> {
    let mut best: Option<f32> = None;
    for source in sources {
        for row in source.scan()?.rows(passage) {
            let score = level.dot(query, source.exact(row)?);
            best = Some(best.map_or(score, |best| if score.total_cmp(&best).is_gt() { score } else { best }));
        }
    }
    Ok(best)
}

/// A row that may be among the best.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Its exact score is at most this.
    at_most: f64,
    source: u32,
    row: u32,
}

/// Every row whose score can reach the `k`-th best, by descending upper bound.
fn by_codes(
    context: &RequestContext,
    level: Level,
    scans: &[ScanColumns<'_>],
    query: &[f32],
    allowed: &PassageSet,
    k: usize,
) -> Result<Vec<Candidate>> {
    let query = QuantizedQuery::new(query);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut limit = k.saturating_mul(PRUNE_FACTOR).saturating_add(PRUNE_EXTRA);
    let mut floor = Floor::new(k);
    for (source, scan) in scans.iter().enumerate() {
        scan.for_each_block(context, allowed, |rows| {
            for &row in &rows[..rows.len().min(AHEAD)] {
                prefetch(scan.record_bytes(row as usize));
            }
            for (index, &row) in rows.iter().enumerate() {
                if let Some(&ahead) = rows.get(index + AHEAD) {
                    prefetch(scan.record_bytes(ahead as usize));
                }
                let (bounds, codes) = scan.record(row as usize);
                let (estimate, error) = query.estimate(bounds, level.dot_codes(codes, &query.steps));
                if estimate + error >= floor.value {
                    floor.push(estimate - error);
                    candidates.push(Candidate { at_most: estimate + error, source: source as u32, row });
                }
            }
            if candidates.len() > limit {
                candidates.retain(|candidate| candidate.at_most >= floor.value);
                limit = limit.max(candidates.len() * 2);
            }
            Ok(())
        })?;
    }
    candidates.retain(|candidate| candidate.at_most >= floor.value);
    candidates.sort_unstable_by(|a, b| b.at_most.total_cmp(&a.at_most).then((a.source, a.row).cmp(&(b.source, b.row))));
    Ok(candidates)
}

/// The `k`-th best lower bound so far: nothing below it can be among the best.
struct Floor {
    k: usize,
    lowest: BinaryHeap<Reverse<Ordered>>,
    value: f64,
}

impl Floor {
    fn new(k: usize) -> Self {
        Self { k, lowest: BinaryHeap::new(), value: f64::NEG_INFINITY }
    }

    fn push(&mut self, at_least: f64) {
        if self.lowest.len() < self.k {
            self.lowest.push(Reverse(Ordered(at_least)));
        } else if at_least > self.value {
            self.lowest.pop();
            self.lowest.push(Reverse(Ordered(at_least)));
        }
        if self.lowest.len() == self.k {
            self.value = self.lowest.peek().map_or(f64::NEG_INFINITY, |lowest| lowest.0.0);
        }
    }
}

/// A number in its total order.
#[derive(Clone, Copy, Debug)]
struct Ordered(f64);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ordered {}

/// The `k` best exact scores so far and what ties with the last.
struct Best {
    k: usize,
    scored: Vec<(u32, f32)>,
    floor: Floor,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, scored: Vec::new(), floor: Floor::new(k) }
    }

    fn is_full(&self) -> bool {
        self.floor.lowest.len() == self.k
    }

    /// The `k`-th best score, once it is full.
    fn worst(&self) -> f32 {
        self.floor.value as f32
    }

    fn push(&mut self, passage: u32, score: f32) {
        // f32 to f64 and back is exact.
        if f64::from(score) >= self.floor.value {
            self.floor.push(f64::from(score));
            self.scored.push((passage, score));
        }
    }

    fn into_sorted(mut self) -> Vec<(u32, f32)> {
        let worst = self.floor.value;
        self.scored.retain(|&(_, score)| f64::from(score) >= worst);
        self.scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.scored
    }
}
