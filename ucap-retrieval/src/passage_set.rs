//! A set of passage numbers as a dense bitset: which passages live, which of them a query may see.
//!
//! Passage numbers are consecutive within a datasource, so one bit each is smaller and far quicker to test than a
//! compressed bitmap: the scan over postings and vectors asks `contains` once for every candidate.

use std::ops::Range;

const WORD_BITS: usize = u64::BITS as usize;

/// A set of passage numbers; it grows to the largest number inserted (one bit each).
#[derive(Clone, Debug, Default)]
pub struct PassageSet {
    words: Vec<u64>,
    len: usize,
}

impl PassageSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The empty set with room for the numbers below `passages`.
    pub fn with_capacity(passages: u32) -> Self {
        Self { words: Vec::with_capacity((passages as usize).div_ceil(WORD_BITS)), len: 0 }
    }

    /// How many passages it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds `passage`.
    #[inline]
    pub fn contains(&self, passage: u32) -> bool {
        let (word, bit) = position(passage);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds `passage`; false when it was there.
    pub fn insert(&mut self, passage: u32) -> bool {
        let (index, bit) = position(passage);
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let word = &mut self.words[index];
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes `passage` out; false when it was not there.
    pub fn remove(&mut self, passage: u32) -> bool {
        let (index, bit) = position(passage);
        let Some(word) = self.words.get_mut(index) else { return false };
        let was_there = *word & bit != 0;
        *word &= !bit;
        self.len -= usize::from(was_there);
        was_there
    }

    /// Adds every passage of `range`.
    pub fn insert_range(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let needed = (range.end as usize).div_ceil(WORD_BITS);
        if needed > self.words.len() {
            self.words.resize(needed, 0);
        }
        for_each_word(range, |index, mask| {
            self.len += (mask & !self.words[index]).count_ones() as usize;
            self.words[index] |= mask;
        });
    }

    /// The largest number it holds, plus one; 0 for the empty set.
    pub fn end(&self) -> u32 {
        self.words
            .iter()
            .rposition(|&word| word != 0)
            .map_or(0, |index| (index * WORD_BITS) as u32 + (u64::BITS - self.words[index].leading_zeros()))
    }

    /// Its passages in ascending order.
    pub fn iter(&self) -> Passages<'_> {
        self.iter_range(0..u32::MAX)
    }

    /// Its passages within `range`, in ascending order.
    pub fn iter_range(&self, range: Range<u32>) -> Passages<'_> {
        let start = range.start.min(range.end);
        let (index, bit) = position(start);
        let current = self.words.get(index).map_or(0, |word| word & !(bit - 1));
        Passages { words: &self.words, index, current, end: range.end }
    }

    /// How many of its passages lie within `range`.
    pub fn len_in_range(&self, range: Range<u32>) -> usize {
        let end = range.end.min((self.words.len() * WORD_BITS).min(u32::MAX as usize) as u32);
        let mut count = 0;
        for_each_word(range.start.min(end)..end, |index, mask| {
            count += (self.words[index] & mask).count_ones() as usize;
        });
        count
    }

    /// How many passages it shares with `other`.
    pub fn intersection_len(&self, other: &Self) -> usize {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// Keeps only what `other` holds too.
    pub fn intersect_with(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        self.len = 0;
        for (word, with) in self.words.iter_mut().zip(&other.words) {
            *word &= with;
            self.len += word.count_ones() as usize;
        }
    }

    /// Whether `other` holds everything that this one holds.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection_len(other) == self.len
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

/// Two sets are equal when they hold the same passages, whatever room they have.
impl PartialEq for PassageSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.is_subset(other)
    }
}

impl Eq for PassageSet {}

impl FromIterator<u32> for PassageSet {
    fn from_iter<I: IntoIterator<Item = u32>>(passages: I) -> Self {
        let mut set = Self::new();
        set.extend(passages);
        set
    }
}

impl FromIterator<Range<u32>> for PassageSet {
    fn from_iter<I: IntoIterator<Item = Range<u32>>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert_range(range);
        }
        set
    }
}

impl Extend<u32> for PassageSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, passages: I) {
        for passage in passages {
            self.insert(passage);
        }
    }
}

impl<'a> IntoIterator for &'a PassageSet {
    type Item = u32;
    type IntoIter = Passages<'a>;

    fn into_iter(self) -> Passages<'a> {
        self.iter()
    }
}

/// The passages of a [`PassageSet`] in ascending order.
#[derive(Clone, Debug)]
pub struct Passages<'a> {
    words: &'a [u64],
    index: usize,
    current: u64,
    end: u32,
}

impl Iterator for Passages<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        while self.current == 0 {
            self.index += 1;
            if self.index * WORD_BITS >= self.end as usize {
                return None;
            }
            self.current = *self.words.get(self.index)?;
        }
        let passage = (self.index * WORD_BITS) as u32 + self.current.trailing_zeros();
        self.current &= self.current - 1;
        (passage < self.end).then_some(passage)
    }
}

#[inline]
fn position(passage: u32) -> (usize, u64) {
    (passage as usize / WORD_BITS, 1 << (passage as usize % WORD_BITS))
}

/// Calls `visit` with each word that `range` touches and the bits of it that lie inside.
fn for_each_word(range: Range<u32>, mut visit: impl FnMut(usize, u64)) {
    if range.is_empty() {
        return;
    }
    let (first, last) = (range.start as usize / WORD_BITS, (range.end as usize - 1) / WORD_BITS);
    for index in first..=last {
        let mut mask = u64::MAX;
        if index == first {
            mask &= u64::MAX << (range.start as usize % WORD_BITS);
        }
        if index == last {
            mask &= u64::MAX >> (WORD_BITS - 1 - (range.end as usize - 1) % WORD_BITS);
        }
        visit(index, mask);
    }
}

#[cfg(test)]
#[path = "passage_set_tests.rs"]
mod tests;
