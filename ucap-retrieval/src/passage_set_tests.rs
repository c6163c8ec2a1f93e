//! Tests of `passage_set`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn behaves_like_a_tree_set(
        steps in proptest::collection::vec((0u8..4, 0u32..700, 0u32..200), 0..60),
        range in (0u32..800, 0u32..800),
    ) {
        let (mut set, mut model) = (PassageSet::new(), BTreeSet::new());
        for (step, passage, length) in steps {
            match step {
                0 | 1 => prop_assert_eq!(set.insert(passage), model.insert(passage)),
                2 => prop_assert_eq!(set.remove(passage), model.remove(&passage)),
                _ => {
                    set.insert_range(passage..passage + length);
                    model.extend(passage..passage + length);
                }
            }
        }
        prop_assert_eq!(set.len(), model.len());
        prop_assert_eq!(set.end(), model.last().map_or(0, |last| last + 1));
        prop_assert!(set.iter().eq(model.iter().copied()));
        let range = range.0.min(range.1)..range.0.max(range.1);
        prop_assert!(set.iter_range(range.clone()).eq(model.range(range.clone()).copied()));
        prop_assert_eq!(set.len_in_range(range.clone()), model.range(range).count());
        prop_assert!((0..1000).all(|passage| set.contains(passage) == model.contains(&passage)));
    }

    #[test]
    fn intersects(
        a in proptest::collection::btree_set(0u32..500, 0..80),
        b in proptest::collection::btree_set(0u32..300, 0..80),
    ) {
        let (mut left, right) = (a.iter().copied().collect::<PassageSet>(), b.iter().copied().collect::<PassageSet>());
        let both: PassageSet = a.intersection(&b).copied().collect();
        prop_assert_eq!(left.intersection_len(&right), both.len());
        prop_assert_eq!(left.is_subset(&right), a.is_subset(&b));
        left.intersect_with(&right);
        prop_assert_eq!(left, both);
    }
}

#[test]
fn the_empty_set_has_nothing() {
    let set = PassageSet::new();
    assert!(set.is_empty() && !set.contains(0) && !set.contains(u32::MAX) && set.iter().next().is_none());
    assert_eq!(set.len_in_range(0..u32::MAX), 0);
}
