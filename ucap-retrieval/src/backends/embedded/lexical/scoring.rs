//! Scores of many passages: the formula of [`crate::bm25`] with tabled norms, and the sums by passage.

use crate::bm25::{contribution, norm};

/// Lengths below this have their normalisation computed once a query.
const TABLED_LENGTHS: u32 = 1_024;

/// Computes contributions under one average length.
#[derive(Debug)]
pub(super) struct Scorer {
    average_length: f32,
    norms: Vec<f32>,
}

impl Scorer {
    pub(super) fn new(average_length: f32) -> Self {
        let norms = (0..TABLED_LENGTHS).map(|length| norm(length, average_length)).collect();
        Self { average_length, norms }
    }

    /// What a group that appears `frequency` times adds to the score of a passage of `length` terms.
    #[inline]
    pub(super) fn contribution(&self, weight: f32, frequency: u32, length: u32) -> f32 {
        let norm = match self.norms.get(length as usize) {
            Some(&norm) => norm,
            None => norm(length, self.average_length),
        };
        contribution(weight, frequency, norm)
    }
}

/// The passages that a query matches, with their scores. Reuse one for many queries: emptying it costs what was
/// matched, not what is indexed.
#[derive(Debug, Default)]
pub struct PassageScores {
    scores: Vec<f32>,
    /// One bit a passage that has a score.
    matched: Vec<u64>,
}

impl PassageScores {
    /// No scores.
    pub fn new() -> Self {
        Self::default()
    }

    /// The matched passages and their scores, by ascending passage.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.matched.iter().enumerate().flat_map(move |(index, &word)| {
            let mut word = word;
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let passage = index as u32 * u64::BITS + word.trailing_zeros();
                word &= word - 1;
                Some((passage, self.scores[passage as usize]))
            })
        })
    }

    /// The score of `passage` where it is matched.
    pub fn get(&self, passage: u32) -> Option<f32> {
        let word = self.matched.get((passage / u64::BITS) as usize)?;
        (word >> (passage % u64::BITS) & 1 == 1).then(|| self.scores[passage as usize])
    }

    /// How many passages are matched.
    pub fn len(&self) -> usize {
        self.matched.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nothing is matched.
    pub fn is_empty(&self) -> bool {
        self.matched.iter().all(|&word| word == 0)
    }

    /// Forgets all scores and makes room for the passages below `end`.
    pub(super) fn reset(&mut self, end: u32) {
        self.matched.fill(0);
        if self.scores.len() < end as usize {
            // A fresh zeroed allocation costs only the pages that are touched.
            self.scores = vec![0.0; end as usize];
            self.matched = vec![0; (end as usize).div_ceil(u64::BITS as usize)];
        }
    }

    /// Adds to the score of `passage`, which lies below the end given to [`Self::reset`].
    #[inline]
    pub(super) fn add(&mut self, passage: u32, contribution: f32) {
        let word = &mut self.matched[(passage / u64::BITS) as usize];
        let bit = 1 << (passage % u64::BITS);
        let score = &mut self.scores[passage as usize];
        // What an earlier query left is overwritten at the first touch.
        *score = if *word & bit == 0 { contribution } else { *score + contribution };
        *word |= bit;
    }
}
