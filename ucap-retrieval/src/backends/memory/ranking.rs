//! The scores of a passage, and which records are the best.

use std::collections::BTreeMap;

use crate::analysis::TermGroup;
use crate::bm25::{Evidence, Weights, contribution, norm};
use crate::datastore::{NewPassage, Scored};
use crate::dot_product::dot_product;

/// How often a passage holds any of the forms of a group.
pub(super) fn frequency(group: &TermGroup, passage: &NewPassage) -> u32 {
    passage.terms.iter().filter(|term| group.forms.contains(term)).count() as u32
}

/// BM25; `None` where the passage holds no group.
pub(super) fn lexical_score(groups: &[TermGroup], weights: &Weights, passage: &NewPassage) -> Option<f32> {
    let norm = norm(passage.terms.len() as u32, weights.average_length);
    let contributions = groups.iter().zip(&weights.groups).filter_map(|(group, weight)| {
        let frequency = frequency(group, passage);
        (frequency > 0).then(|| contribution(*weight, frequency, norm))
    });
    contributions.reduce(|sum, contribution| sum + contribution)
}

/// The highest dot product; `None` where the passage has no vector.
pub(super) fn vector_score(query: &[f32], passage: &NewPassage) -> Option<f32> {
    passage.vectors().map(|vector| dot_product(query, vector)).max_by(f32::total_cmp)
}

/// The records by the BM25 scores of their passages, given in ascending order; as many as [`best`] keeps.
pub(super) fn by_evidence(passages: impl Iterator<Item = Scored>, depth: usize) -> Vec<Scored> {
    let mut records: BTreeMap<u32, (Evidence, u32)> = BTreeMap::new();
    for Scored { row, passage, score } in passages {
        let (evidence, shown) = records.entry(row).or_insert((Evidence::default(), passage));
        if evidence.add(score) {
            *shown = passage;
        }
    }
    let scored = |(row, (evidence, passage)): (u32, (Evidence, u32))| Scored { row, passage, score: evidence.total() };
    best(records.into_iter().map(scored), depth)
}

/// The best passage of each record, of equal ones the first; then at least `depth` records, and all that tie with the last.
pub(super) fn best(passages: impl Iterator<Item = Scored>, depth: usize) -> Vec<Scored> {
    let mut best: BTreeMap<u32, Scored> = BTreeMap::new();
    for scored in passages {
        let held = best.entry(scored.row).or_insert(scored);
        let is_better = scored.score.total_cmp(&held.score).then(held.passage.cmp(&scored.passage)).is_gt();
        if is_better {
            *held = scored;
        }
    }
    let mut best: Vec<Scored> = best.into_values().collect();
    best.sort_by(|a, b| b.score.total_cmp(&a.score));
    if let Some(last) = depth.checked_sub(1).and_then(|last| best.get(last)).map(|last| last.score) {
        best.retain(|scored| scored.score >= last);
    }
    best
}
