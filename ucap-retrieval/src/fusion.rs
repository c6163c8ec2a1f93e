//! Reciprocal rank fusion: G. Cormack, C. Clarke, S. Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
//! individual Rank Learning Methods" (SIGIR 2009).

use std::collections::HashMap;

use crate::hit::Leg;

/// The constant of the paper.
pub(crate) const K: f32 = 60.0;
/// How deep the legs go, whatever the limit; also how deep ranked modes page.
pub(crate) const DEPTH: usize = 1000;

/// A record of one of the searched datasources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Which datasource, in the order of ids.
    pub(crate) source: usize,
    /// Which row.
    pub(crate) row: u32,
}

/// A record on its way into an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) place: Place,
    pub(crate) score: f32,
    /// Its best passage in the first leg that found it.
    pub(crate) passage: u32,
    pub(crate) lexical: Option<Leg>,
    pub(crate) vector: Option<Leg>,
}

/// What a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegKind {
    Lexical,
    Vector,
}

/// One leg's records in their final order: place, score, passage.
pub(crate) type LegHits = Vec<(Place, f32, u32)>;

/// A single leg as it is: its scores stay.
pub(crate) fn alone(kind: LegKind, leg: LegHits) -> Vec<Ranked> {
    leg.into_iter()
        .enumerate()
        .map(|(i, (place, score, passage))| ranked(kind, i + 1, place, score, score, passage))
        .collect()
}

/// Joins legs by rank. In no order: scores tie, and ids decide.
pub(crate) fn reciprocal_rank(legs: Vec<(LegKind, LegHits)>) -> Vec<Ranked> {
    let mut joined: HashMap<Place, Ranked> = HashMap::new();
    for (kind, leg) in legs {
        for (i, (place, score, passage)) in leg.into_iter().enumerate() {
            let rank = i + 1;
            let share = 1.0 / (K + rank as f32);
            let new = ranked(kind, rank, place, share, score, passage);
            joined
                .entry(place)
                .and_modify(|held| {
                    held.score += share;
                    held.lexical = held.lexical.or(new.lexical);
                    held.vector = held.vector.or(new.vector);
                })
                .or_insert(new);
        }
    }
    joined.into_values().collect()
}

fn ranked(kind: LegKind, rank: usize, place: Place, score: f32, own: f32, passage: u32) -> Ranked {
    let leg = Some(Leg { rank, score: own });
    let (lexical, vector) = match kind {
        LegKind::Lexical => (leg, None),
        LegKind::Vector => (None, leg),
    };
    Ranked { place, score, passage, lexical, vector }
}
