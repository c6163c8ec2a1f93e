//! One tantivy segment as the lexical index reads it: term dictionary, postings and which passage each document is.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tantivy::index::{InvertedIndexReader, SegmentId};
use tantivy::postings::Postings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, SegmentReader, TERMINATED, Term};
use ucap_core::{RequestContext, Result};

use super::scoring::{PassageScores, Scorer};
use super::store::{Fields, LENGTH, LoadError, PASSAGE, damaged_read};
use crate::passage_set::PassageSet;

/// Up to how many postings a seek is taken to cost.
const SEEK_COST: usize = 24;

/// Between two looks at the request's cancellation, so many postings are read.
const POSTINGS_BETWEEN_CHECKS: usize = 16_384;

/// A segment, open for reading. Its documents are in ascending order of passage.
pub(super) struct Segment {
    id: SegmentId,
    field: Field,
    inverted: Arc<InvertedIndexReader>,
    map: PassageMap,
}

/// A group's postings in one segment.
type Frequencies = Vec<(u32, u32)>;

/// Which passage each document of a segment is.
enum PassageMap {
    /// Document `d` is passage `first + d`.
    Consecutive(Range<u32>),
    /// By document, ascending; and the same as a set.
    Listed(Vec<u32>, PassageSet),
}

impl PassageMap {
    fn new(passages: Vec<u32>) -> Self {
        match (passages.first(), passages.last()) {
            (Some(&first), Some(&last)) if (last - first) as usize + 1 == passages.len() => {
                Self::Consecutive(first..last + 1)
            }
            _ => {
                let members = passages.iter().copied().collect();
                Self::Listed(passages, members)
            }
        }
    }

    #[inline]
    fn passage(&self, document: u32) -> u32 {
        match self {
            Self::Consecutive(range) => range.start + document,
            Self::Listed(passages, _) => passages[document as usize],
        }
    }

    /// The document of a passage that is in the segment, and at or behind document `from`.
    fn document(&self, passage: u32, from: u32) -> Option<u32> {
        match self {
            Self::Consecutive(range) => range.contains(&passage).then(|| passage - range.start),
            Self::Listed(passages, _) => {
                let found = passages.get(from as usize..)?.binary_search(&passage).ok()?;
                Some(from + found as u32)
            }
        }
    }

    fn range(&self) -> Range<u32> {
        match self {
            Self::Consecutive(range) => range.clone(),
            Self::Listed(passages, _) => match (passages.first(), passages.last()) {
                (Some(&first), Some(&last)) => first..last + 1,
                _ => 0..0,
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Consecutive(range) => range.len(),
            Self::Listed(passages, _) => passages.len(),
        }
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("id", &self.id).field("passages", &self.map.range()).finish_non_exhaustive()
    }
}

impl Segment {
    /// Opens a segment and calls `length_of` with each passage and its length.
    pub(super) fn load(
        reader: &SegmentReader,
        fields: Fields,
        mut length_of: impl FnMut(u32, u32),
    ) -> Result<Self, LoadError> {
        let column = |name: &str| Ok::<_, LoadError>(reader.fast_fields().u64(name)?.first_or_default_col(u64::MAX));
        let (numbers, lengths) = (column(PASSAGE)?, column(LENGTH)?);
        let mut passages: Vec<u32> = Vec::with_capacity(reader.max_doc() as usize);
        for document in 0..reader.max_doc() {
            let (passage, length) =
                (u32::try_from(numbers.get_val(document)), u32::try_from(lengths.get_val(document)));
            let (Ok(passage), Ok(length)) = (passage, length) else {
                return Err(LoadError::damaged("a document without a passage number"));
            };
            if passages.last().is_some_and(|&last| last >= passage) || passage == u32::MAX {
                return Err(LoadError::damaged("documents that are not in the order of their passages"));
            }
            length_of(passage, length);
            passages.push(passage);
        }
        Ok(Self {
            id: reader.segment_id(),
            field: fields.text,
            inverted: reader.inverted_index(fields.text)?,
            map: PassageMap::new(passages),
        })
    }

    pub(super) fn id(&self) -> SegmentId {
        self.id
    }

    /// All its passages lie in this range.
    pub(super) fn range(&self) -> Range<u32> {
        self.map.range()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// How many of its passages `set` holds.
    pub(super) fn count(&self, set: &PassageSet) -> usize {
        match &self.map {
            PassageMap::Consecutive(range) => set.len_in_range(range.clone()),
            PassageMap::Listed(_, members) => set.intersection_len(members),
        }
    }

    /// Its passages that `live` does not hold.
    pub(super) fn dead(&self, live: &PassageSet) -> impl Iterator<Item = u32> {
        (0..self.len() as u32).map(|document| self.map.passage(document)).filter(|&passage| !live.contains(passage))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.map {
            PassageMap::Consecutive(_) => 0,
            PassageMap::Listed(passages, members) => passages.len() * 4 + members.memory_bytes(),
        }
    }

    /// How many passages of `live` hold any form of `forms`.
    pub(super) fn frequency(&self, context: &RequestContext, forms: &[String], live: &PassageSet) -> Result<u64> {
        let cursors = self.cursors(forms).map_err(damaged_read)?;
        let dead = self.len() - self.count(live);
        let [only] = cursors.as_slice() else {
            let union = self.union(context, cursors)?;
            return Ok(union.iter().filter(|&&(document, _)| live.contains(self.map.passage(document))).count() as u64);
        };
        let all = only.doc_freq() as usize;
        if dead == 0 {
            return Ok(all as u64);
        }
        if dead.saturating_mul(SEEK_COST) < all {
            let mut cursor = only.clone();
            let in_dead = self.dead(live).filter(|&passage| self.seek(&mut cursor, passage).is_some()).count();
            return Ok((all - in_dead) as u64);
        }
        let mut count = 0;
        self.walk(context, only.clone(), |document, _| {
            count += u64::from(live.contains(self.map.passage(document)));
        })?;
        Ok(count)
    }

    /// Adds what one group contributes to every passage of `allowed`.
    pub(super) fn score(
        &self,
        context: &RequestContext,
        group: &GroupScorer<'_>,
        allowed: &PassageSet,
        out: &mut PassageScores,
    ) -> Result<()> {
        let mut cursors = self.cursors(group.forms).map_err(damaged_read)?;
        let postings: usize = cursors.iter().map(|cursor| cursor.doc_freq() as usize).sum();
        if postings == 0 {
            return Ok(());
        }
        let candidates = self.count(allowed);
        if candidates.saturating_mul(SEEK_COST) < postings {
            for (index, passage) in allowed.iter_range(self.range()).enumerate() {
                if index % POSTINGS_BETWEEN_CHECKS == 0 {
                    context.check()?;
                }
                let frequency: u32 = cursors.iter_mut().filter_map(|cursor| self.seek(cursor, passage)).sum();
                if frequency > 0 {
                    group.add(passage, frequency, out);
                }
            }
            return Ok(());
        }
        let mut add = |document: u32, frequency: u32| {
            let passage = self.map.passage(document);
            if allowed.contains(passage) {
                group.add(passage, frequency, out);
            }
        };
        if cursors.len() == 1 {
            let Some(only) = cursors.pop() else { return Ok(()) };
            self.walk(context, only, add)
        } else {
            self.union(context, cursors)?.into_iter().for_each(|(document, frequency)| add(document, frequency));
            Ok(())
        }
    }

    /// How often `passage` holds any of `forms`.
    pub(super) fn frequency_in(&self, forms: &[String], passage: u32) -> Result<u32> {
        let cursors = self.cursors(forms).map_err(damaged_read)?;
        Ok(cursors.into_iter().filter_map(|mut cursor| self.seek(&mut cursor, passage)).sum())
    }

    fn cursors(&self, forms: &[String]) -> io::Result<Vec<Cursor>> {
        let mut cursors = Vec::with_capacity(forms.len());
        for form in forms {
            let term = Term::from_field_text(self.field, form);
            if let Some(postings) = self.inverted.read_postings(&term, IndexRecordOption::WithFreqs)? {
                cursors.push(postings);
            }
        }
        Ok(cursors)
    }

    /// How often `passage` holds the cursor's term; passages must come in ascending order.
    fn seek(&self, cursor: &mut Cursor, passage: u32) -> Option<u32> {
        let at = cursor.doc();
        if at == TERMINATED {
            return None;
        }
        let document = self.map.document(passage, 0)?;
        let found = if at < document { cursor.seek(document) } else { at };
        (found == document).then(|| cursor.term_freq())
    }

    /// Calls `visit` with every document of the postings.
    fn walk(&self, context: &RequestContext, mut cursor: Cursor, mut visit: impl FnMut(u32, u32)) -> Result<()> {
        let mut until_check = 0;
        let mut document = cursor.doc();
        while document != TERMINATED {
            if until_check == 0 {
                context.check()?;
                until_check = POSTINGS_BETWEEN_CHECKS;
            }
            until_check -= 1;
            visit(document, cursor.term_freq());
            document = cursor.advance();
        }
        Ok(())
    }

    /// The documents that any cursor holds, with the sums of their frequencies.
    fn union(&self, context: &RequestContext, cursors: Vec<Cursor>) -> Result<Frequencies> {
        let mut union = Frequencies::new();
        for cursor in cursors {
            let mut postings = Frequencies::with_capacity(cursor.doc_freq() as usize);
            self.walk(context, cursor, |document, frequency| postings.push((document, frequency)))?;
            union = if union.is_empty() { postings } else { merge(&union, &postings) };
        }
        Ok(union)
    }
}

type Cursor = tantivy::postings::SegmentPostings;

/// Merges two lists of (passage or document, frequency) that ascend; frequencies of the same one are summed.
pub(super) fn merge(left: &[(u32, u32)], right: &[(u32, u32)]) -> Frequencies {
    let mut merged = Frequencies::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    loop {
        match (l.peek().copied(), r.peek().copied()) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                merged.push((a.0, a.1 + b.1));
                l.next();
                r.next();
            }
            (Some(a), Some(b)) if a.0 < b.0 => {
                merged.push(a);
                l.next();
            }
            (_, Some(b)) => {
                merged.push(b);
                r.next();
            }
            (Some(a), None) => {
                merged.push(a);
                l.next();
            }
            (None, None) => return merged,
        }
    }
}

/// One group of a query, ready to score.
#[derive(Debug)]
pub(super) struct GroupScorer<'a> {
    pub(super) forms: &'a [String],
    pub(super) weight: f32,
    pub(super) scorer: &'a Scorer,
    pub(super) lengths: &'a [u32],
}

impl GroupScorer<'_> {
    #[inline]
    pub(super) fn add(&self, passage: u32, frequency: u32, out: &mut PassageScores) {
        out.add(passage, self.scorer.contribution(self.weight, frequency, self.lengths[passage as usize]));
    }
}
