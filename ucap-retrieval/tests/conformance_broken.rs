//! The suite catches every backend that is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ucap_retrieval::conformance::broken::{Broken, Fault};
use ucap_retrieval::conformance::{Memory, checks};

#[test]
fn each_fault_is_caught_by_a_check_of_its_own() {
    for fault in Fault::ALL {
        let caught: Vec<&str> = checks()
            .into_iter()
            .filter(|check| {
                !check.needs_lasting && !check.name.contains("sequences") && check.run(&Broken(fault)).is_err()
            })
            .map(|check| check.name)
            .collect();
        assert!(!caught.is_empty(), "nothing catches {fault:?}");
        eprintln!("{fault:?}: {caught:?}");
    }
}

#[test]
fn the_random_sequences_alone_catch_what_answers_show() {
    // Not seen through a retriever: it never mixes permits, reads nothing of a datasource that is gone, asks for more than
    // a sequence writes, and does one thing after the other.
    let unseen = [
        Fault::ServesOtherPermits,
        Fault::Remembers,
        Fault::CutsTies,
        Fault::ExpiresTheYoung,
        Fault::RevivesTheSuperseded,
    ];
    let sequences =
        checks().into_iter().find(|check| check.name.contains("sequences") && !check.needs_lasting).unwrap();
    sequences.run(&Memory).unwrap();
    let missed: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| !unseen.contains(fault) && sequences.run(&Broken(*fault)).is_ok())
        .collect();
    assert!(missed.is_empty(), "the sequences miss {missed:?}");
}
