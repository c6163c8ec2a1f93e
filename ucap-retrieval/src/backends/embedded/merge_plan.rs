//! Which neighbouring segments to rewrite as one: shared by the lexical and the vector index.
//!
//! Segments hold ascending passage numbers, so only neighbours may be merged. Segments grow by powers of
//! [`FAN_IN`], so that a passage is rewritten a logarithmic number of times. The plan changes cost, never an answer.

use std::ops::Range;

/// How many neighbours of one size class make a merge.
const FAN_IN: usize = 8;

/// The size class 0 holds segments of up to this many passages.
const SMALLEST_CLASS: usize = 4_096;

/// A segment is rewritten when more than one in this many of its passages is dead: 30 % and a little.
const DEAD_PER_MILLE: usize = 300;

/// What the plan needs to know of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentSize {
    /// Passages that live.
    pub(super) live: usize,
    /// All passages.
    pub(super) total: usize,
}

impl SegmentSize {
    fn class(self) -> u32 {
        (self.live.saturating_sub(1) / SMALLEST_CLASS).checked_ilog(FAN_IN).map_or(0, |class| class + 1)
    }

    fn is_mostly_dead(self) -> bool {
        (self.total - self.live) * 1_000 > self.total * DEAD_PER_MILLE
    }
}

/// Disjoint, ascending ranges of `segments` to rewrite as one segment each.
pub(super) fn plan_merges(segments: &[SegmentSize]) -> Vec<Range<usize>> {
    let largest = segments.iter().map(|segment| segment.class()).max().unwrap_or(0);
    let mut plan =
        (0..=largest).map(|class| runs_of_class(segments, class)).find(|runs| !runs.is_empty()).unwrap_or_default();
    for (index, segment) in segments.iter().enumerate() {
        if segment.is_mostly_dead() && !plan.iter().any(|range| range.contains(&index)) {
            plan.push(index..index + 1);
        }
    }
    plan.sort_unstable_by_key(|range| range.start);
    plan
}

/// The runs of neighbours of at most `class` that hold [`FAN_IN`] segments of just that class.
fn runs_of_class(segments: &[SegmentSize], class: u32) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for run in segments.split(|segment| segment.class() > class) {
        if run.iter().filter(|segment| segment.class() == class).count() >= FAN_IN {
            runs.push(start..start + run.len());
        }
        start += run.len() + 1;
    }
    runs
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "plans are lists of ranges")]
mod tests {
    use super::*;

    fn sizes(live: &[usize]) -> Vec<SegmentSize> {
        live.iter().map(|&live| SegmentSize { live, total: live }).collect()
    }

    #[test]
    fn merges_neighbours_of_one_class() {
        assert!(plan_merges(&[]).is_empty());
        assert!(plan_merges(&sizes(&[4_096; 7])).is_empty());
        assert!(plan_merges(&sizes(&[40_000, 10, 10, 10, 10, 10, 10, 10])).is_empty());
        assert_eq!(plan_merges(&sizes(&[10; 8])), [0..8]);
        assert_eq!(plan_merges(&sizes(&[4_096 * 8, 10, 10, 10, 10, 10, 10, 10, 10])), [1..9]);
    }

    #[test]
    fn rewrites_what_is_mostly_dead() {
        let segments = [SegmentSize { live: 70, total: 100 }, SegmentSize { live: 69, total: 100 }];
        assert_eq!(plan_merges(&segments), [1..2]);
        assert_eq!(plan_merges(&[SegmentSize { live: 0, total: 5 }]), [0..1]);
    }

    #[test]
    fn the_number_of_segments_stays_logarithmic() {
        let mut segments: Vec<SegmentSize> = Vec::new();
        for _ in 0..2_000 {
            segments.push(SegmentSize { live: 4_096, total: 4_096 });
            for range in plan_merges(&segments).into_iter().rev() {
                let live = segments[range.clone()].iter().map(|segment| segment.live).sum();
                segments.splice(range, [SegmentSize { live, total: live }]);
            }
            assert!(segments.len() <= 40, "{}", segments.len());
        }
    }
}
