//! Rows of vectors by column: what a scan reads together lies together.

use std::ops::Range;

use ucap_core::{RequestContext, Result};

use super::kernels::LANES;
use super::quantize::{RowBounds, quantize_row};
use crate::passage_set::PassageSet;

/// Between two looks at the request's cancellation, so many blocks are visited.
const BLOCKS_BETWEEN_CHECKS: usize = 64;

/// Scale, residual norm, norm, and four bytes that keep codes at a multiple of 16.
const BOUNDS_BYTES: usize = 16;

/// Rows are handed out in blocks of this many, so that the next ones are on their way from memory meanwhile.
const BLOCK: usize = 64;

/// Among this many rows of a segment or more to one allowed passage, passages are sought instead of walked.
const SEEK_COST: usize = 16;

/// The columns that a scan reads. Rows ascend by passage; those of one passage follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanColumns<'a> {
    pub(super) passages: &'a [u32],
    /// A row's bounds and codes side by side, so that a row is one run of cache lines; `record_bytes` a row.
    pub(super) records: &'a [i8],
    pub(super) record_bytes: usize,
    /// Whether each row is of the passage behind that of the row before.
    pub(super) is_consecutive: bool,
}

impl ScanColumns<'_> {
    /// The bounds and the codes of a row.
    #[inline]
    pub(super) fn record(&self, row: usize) -> (RowBounds, &[i8]) {
        let (bounds, codes) = self.record_bytes(row).split_at(BOUNDS_BYTES);
        let number = |at: usize| {
            f32::from_le_bytes([bounds[at], bounds[at + 1], bounds[at + 2], bounds[at + 3]].map(|byte| byte as u8))
        };
        (RowBounds { scale: number(0), residual: number(4), norm: number(8) }, codes)
    }

    /// A row's bounds and codes as they lie in memory and on disk.
    #[inline]
    pub(super) fn record_bytes(&self, row: usize) -> &[i8] {
        &self.records[row * self.record_bytes..][..self.record_bytes]
    }

    /// The rows of `passage`.
    pub(super) fn rows(&self, passage: u32) -> Range<usize> {
        let start = self.passages.partition_point(|&other| other < passage);
        start..start + self.passages[start..].iter().take_while(|&&other| other == passage).count()
    }

    /// How many passages of its rows are allowed, at most.
    pub(super) fn candidates(&self, allowed: &PassageSet) -> usize {
        match (self.passages.first(), self.passages.last()) {
            (Some(&first), Some(&last)) => allowed.len_in_range(first..last + 1).min(self.passages.len()),
            _ => 0,
        }
    }

    /// Calls `visit` with blocks of the rows whose passages are allowed, in ascending order.
    pub(super) fn for_each_block(
        &self,
        context: &RequestContext,
        allowed: &PassageSet,
        mut visit: impl FnMut(&[u32]) -> Result<()>,
    ) -> Result<()> {
        let (Some(&first), Some(&last)) = (self.passages.first(), self.passages.last()) else { return Ok(()) };
        let mut blocks = Blocks { rows: [0; BLOCK], len: 0, count: 0, context, visit: &mut visit };
        if self.is_consecutive {
            allowed.iter_range(first..last + 1).try_for_each(|passage| blocks.push(passage - first))?;
        } else if self.candidates(allowed) * SEEK_COST < self.passages.len() {
            let mut from = 0;
            for passage in allowed.iter_range(first..last + 1) {
                from += seek(&self.passages[from..], passage);
                while self.passages.get(from) == Some(&passage) {
                    blocks.push(from as u32)?;
                    from += 1;
                }
            }
        } else {
            let rows = self.passages.iter().zip(0u32..).filter(|&(&passage, _)| allowed.contains(passage));
            rows.map(|(_, row)| row).try_for_each(|row| blocks.push(row))?;
        }
        blocks.finish()
    }
}

struct Blocks<'a, F> {
    rows: [u32; BLOCK],
    len: usize,
    count: usize,
    context: &'a RequestContext,
    visit: &'a mut F,
}

impl<F: FnMut(&[u32]) -> Result<()>> Blocks<'_, F> {
    #[inline]
    fn push(&mut self, row: u32) -> Result<()> {
        self.rows[self.len] = row;
        self.len += 1;
        if self.len == BLOCK { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        if self.count.is_multiple_of(BLOCKS_BETWEEN_CHECKS) {
            self.context.check()?;
        }
        self.count += 1;
        let len = std::mem::take(&mut self.len);
        (self.visit)(&self.rows[..len])
    }
}

/// How many of `passages` lie before `passage`, by galloping.
fn seek(passages: &[u32], passage: u32) -> usize {
    let mut bound = 1;
    while bound < passages.len() && passages[bound] < passage {
        bound *= 2;
    }
    let start = bound / 2;
    start + passages[start..passages.len().min(bound + 1)].partition_point(|&other| other < passage)
}

/// Rows in memory that grow at the end.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) passages: Vec<u32>,
    records: Vec<i8>,
    exact: Vec<f32>,
    stride: usize,
    is_consecutive: bool,
}

impl Rows {
    pub(super) fn new(stride: usize) -> Self {
        Self { passages: Vec::new(), records: Vec::new(), exact: Vec::new(), stride, is_consecutive: true }
    }

    /// Adds a row; `passage` is none that lies before the last one, `vector` is at most `stride` long.
    pub(super) fn push(&mut self, passage: u32, vector: &[f32]) {
        let start = self.exact.len();
        self.exact.extend_from_slice(vector);
        self.exact.resize(start + self.stride, 0.0);
        let record = self.records.len();
        self.records.resize(record + BOUNDS_BYTES, 0);
        let RowBounds { scale, residual, norm } = quantize_row(&self.exact[start..], &mut self.records);
        let bounds = [scale, residual, norm].map(f32::to_le_bytes);
        for (to, &byte) in self.records[record..].iter_mut().zip(bounds.as_flattened()) {
            *to = byte as i8;
        }
        self.is_consecutive &= self.passages.last().is_none_or(|&last| last + 1 == passage);
        self.passages.push(passage);
    }

    pub(super) fn len(&self) -> usize {
        self.passages.len()
    }

    pub(super) fn scan(&self) -> ScanColumns<'_> {
        ScanColumns {
            passages: &self.passages,
            records: &self.records,
            record_bytes: record_bytes_of(self.stride),
            is_consecutive: self.is_consecutive,
        }
    }

    pub(super) fn exact(&self, row: usize) -> &[f32] {
        &self.exact[row * self.stride..][..self.stride]
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.passages.capacity() * 4 + self.records.capacity() + self.exact.capacity() * 4
    }
}

/// Bytes of the bounds and codes of a row.
pub(super) fn record_bytes_of(stride: usize) -> usize {
    BOUNDS_BYTES + stride
}

/// How long rows of `dimensions` components are with their padding.
pub(super) fn stride_of(dimensions: usize) -> usize {
    dimensions.next_multiple_of(LANES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn visits_just_the_allowed(
            passages in prop::collection::vec(0u32..600, 0..300),
            allowed in prop::collection::btree_set(0u32..700, 0..200),
            keep in prop::sample::select(vec![1usize, 40]),
        ) {
            let mut rows = Rows::new(LANES);
            let mut passages = passages;
            passages.sort_unstable();
            passages.iter().for_each(|&passage| rows.push(passage, &[1.0]));
            let allowed: PassageSet = allowed.into_iter().step_by(keep).collect();
            let mut visited = Vec::new();
            let context = RequestContext::new("test");
            let visit = |block: &[u32]| {
                visited.extend(block.iter().map(|&row| rows.passages[row as usize]));
                Ok(())
            };
            rows.scan().for_each_block(&context, &allowed, visit).unwrap();
            let expected: Vec<u32> = passages.into_iter().filter(|passage| allowed.contains(*passage)).collect();
            prop_assert_eq!(visited, expected);
        }
    }
}
