//! Tests of what every backend must do, and of the file backend against the one in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::clock::ManualClock;
use crate::entropy::SeededEntropy;

pub(super) fn clock() -> ManualClock {
    ManualClock::new(datetime!(2026-01-02 03:04:05.678901234 UTC))
}

pub(super) fn entry(principal: &str, payload: Value) -> NewEntry {
    NewEntry {
        kind: "test.happened".into(),
        version: 1,
        principal: principal.to_owned(),
        resource: Some("docs/página".to_owned()),
        decision: Some("allow".into()),
        request_id: "req_1".to_owned(),
        payload,
    }
}

/// Small segments, and no flush but those that are asked for.
pub(super) fn small() -> FileJournalOptions {
    FileJournalOptions { segment_bytes: 3000, sync_interval: Duration::from_secs(3600), ..Default::default() }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn memory() -> MemoryJournal {
    MemoryJournal::new(Arc::new(clock()), Arc::new(SeededEntropy::new(1)))
}

fn file(directory: &std::path::Path, options: FileJournalOptions) -> FileJournal {
    FileJournal::open(directory, options, Arc::new(clock()), Arc::new(SeededEntropy::new(1))).unwrap()
}

/// Runs `check` on each backend.
fn on_each(check: impl AsyncFn(&dyn JournalStore)) {
    let home = tempfile::tempdir().unwrap();
    let runtime = runtime();
    runtime.block_on(check(&memory()));
    runtime.block_on(check(&file(home.path(), small())));
}

#[test]
fn entries_come_back_newest_first_and_by_principal() {
    on_each(async |journal| {
        for n in 0..40 {
            let principal = if n % 3 == 0 { "user:ana" } else { "user:bob" };
            let last = journal.append(vec![entry(principal, json!({ "n": n }))], Durability::Process).await.unwrap();
            assert_eq!(last, n + 1);
        }
        let mut query = ReadBack { before: None, limit: 5, principal: Some("user:ana".to_owned()) };
        let mut seen = Vec::new();
        loop {
            let page = journal.read_back(query.clone()).await.unwrap();
            assert!(page.entries.len() <= 5);
            seen.extend(page.entries.iter().map(|entry| entry.sequence));
            let Some(next) = page.next else { break };
            query.before = Some(next);
        }
        assert_eq!(seen, (1..=40).rev().filter(|s| (s - 1) % 3 == 0).collect::<Vec<_>>());
        let verdict = journal.verify().await.unwrap();
        assert_eq!((verdict.valid, verdict.entries, verdict.first_bad), (true, 40, None));
    });
}

#[test]
fn an_erased_payload_is_gone_and_the_chain_holds() {
    on_each(async |journal| {
        for n in 0..30 {
            journal.append(vec![entry("user:ana", json!({ "n": n }))], Durability::Process).await.unwrap();
        }
        assert_eq!(journal.erase(BTreeSet::from([2, 3, 30, 31])).await.unwrap(), 3);
        assert_eq!(journal.erase(BTreeSet::from([2, 3, 30])).await.unwrap(), 0);
        assert_eq!(journal.append(vec![entry("user:ana", json!(1))], Durability::Disk).await.unwrap(), 31);
        let page = journal.read_back(ReadBack { limit: 100, ..Default::default() }).await.unwrap();
        for entry in page.entries {
            assert_eq!(entry.payload.is_none(), [2, 3, 30].contains(&entry.sequence), "{}", entry.sequence);
        }
        let verdict = journal.verify().await.unwrap();
        assert!(verdict.valid, "{verdict:?}");
        assert_eq!((verdict.entries, verdict.erased), (31, 3));
    });
}

#[test]
fn an_append_beyond_the_bounds_leaves_nothing() {
    on_each(async |journal| {
        let good = || entry("user:ana", json!(1));
        let mut deep = json!(1);
        for _ in 0..120 {
            deep = json!([deep]);
        }
        let too_large = [
            NewEntry { payload: json!("x".repeat(MAX_PAYLOAD_BYTES)), ..good() },
            NewEntry { payload: deep, ..good() },
            NewEntry { principal: "x".repeat(513), ..good() },
            NewEntry { resource: Some("x".repeat(4097)), ..good() },
        ];
        for bad in too_large {
            let refusal = journal.append(vec![good(), bad], Durability::Process).await.unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::TooLarge);
        }
        let many = vec![good(); MAX_APPEND_ENTRIES + 1];
        assert_eq!(journal.append(many, Durability::Process).await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(journal.append(vec![], Durability::Process).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(journal.head().await.unwrap().sequence, 0);
        let widest = NewEntry { resource: Some("\u{1}".repeat(4096)), principal: "\u{2}".repeat(512), ..good() };
        let widest = NewEntry { payload: json!("x".repeat(MAX_PAYLOAD_BYTES - 2)), ..widest };
        assert_eq!(journal.append(vec![widest.clone(), widest], Durability::Process).await.unwrap(), 2);
        assert_eq!(journal.read_back(ReadBack { limit: 9, ..Default::default() }).await.unwrap().entries.len(), 2);
        assert!(journal.verify().await.unwrap().valid);
    });
}

#[test]
fn an_anchor_that_is_not_on_the_chain_shows() {
    on_each(async |journal| {
        let mut heads = Vec::new();
        for n in 0..5 {
            heads.push(journal.head().await.unwrap());
            journal.append(vec![entry("user:ana", json!(n))], Durability::Process).await.unwrap();
        }
        assert!(journal.verify_against(heads.clone()).await.unwrap().valid);
        let forged = ChainHead { hash: heads[2].hash, ..heads[3] };
        let verdict = journal.verify_against(vec![heads[1], forged]).await.unwrap();
        assert_eq!((verdict.valid, verdict.first_bad, verdict.entries), (false, Some(3), 2));
        let beyond = ChainHead { sequence: 9, hash: heads[2].hash };
        assert_eq!(journal.verify_against(vec![beyond]).await.unwrap().first_bad, Some(6));
    });
}

#[test]
fn time_never_goes_back() {
    let home = tempfile::tempdir().unwrap();
    let clock = clock();
    let open =
        || FileJournal::open(home.path(), small(), Arc::new(clock.clone()), Arc::new(SeededEntropy::new(1))).unwrap();
    runtime().block_on(async {
        let mut journal = open();
        let mut times = Vec::new();
        for step in [0, -100, 50, 49, 2, 5] {
            clock.advance(time::Duration::seconds(step));
            journal.append(vec![entry("system", json!(step))], Durability::Process).await.unwrap();
            let page = journal.read_back(ReadBack { limit: 1, ..Default::default() }).await.unwrap();
            times.push((page.entries[0].at - datetime!(2026-01-02 03:04:05.678901 UTC)).whole_seconds());
            drop(journal);
            journal = open();
        }
        assert_eq!(times, [0, 0, 0, 0, 1, 6]);
        assert!(journal.verify().await.unwrap().valid);
    });
}

#[test]
fn a_closed_journal_says_so() {
    on_each(async |journal| {
        journal.append(vec![entry("system", json!(1))], Durability::Process).await.unwrap();
        journal.close().await.unwrap();
        journal.close().await.unwrap();
        let refusal = journal.append(vec![entry("system", json!(1))], Durability::Process).await.unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Unavailable);
        assert_eq!(journal.sync().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(journal.read_back(ReadBack { limit: 1, ..Default::default() }).await.unwrap().entries.len(), 1);
        assert!(journal.verify().await.unwrap().valid);
    });
}

#[derive(Debug, Clone)]
enum Op {
    Append { who: u8, sizes: Vec<u16>, disk: bool },
    Read { before: Option<u64>, limit: usize, who: Option<u8> },
    Erase(BTreeSet<u64>),
    Verify,
    Reopen,
    Advance(i8),
}

fn op() -> impl Strategy<Value = Op> {
    let append = (0..3u8, prop::collection::vec(0..700u16, 1..4), any::<bool>())
        .prop_map(|(who, sizes, disk)| Op::Append { who, sizes, disk });
    let read = (prop::option::of(0..60u64), 0..12usize, prop::option::of(0..3u8))
        .prop_map(|(before, limit, who)| Op::Read { before, limit, who });
    let erase = prop::collection::btree_set(0..60u64, 0..6).prop_map(Op::Erase);
    prop_oneof![
        6 => append,
        4 => read,
        1 => erase,
        1 => Just(Op::Verify),
        1 => Just(Op::Reopen),
        1 => any::<i8>().prop_map(Op::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_file_journal_does_what_the_one_in_memory_does(ops in prop::collection::vec(op(), 1..40)) {
        let home = tempfile::tempdir().unwrap();
        let time = clock();
        let entropy = Arc::new(SeededEntropy::new(7));
        let open = || FileJournal::open(home.path(), small(), Arc::new(time.clone()), entropy.clone()).unwrap();
        let reference = MemoryJournal::new(Arc::new(time.clone()), Arc::new(SeededEntropy::new(7)));
        let runtime = runtime();
        let mut tested = Some(open());
        for op in ops {
            let (file, memory) = (tested.take().unwrap(), &reference);
            let outcome = runtime.block_on(async {
                match op.clone() {
                    Op::Append { who, sizes, disk } => {
                        let make = |size: &u16| entry(&format!("user:{who}"), json!({ "é": "x".repeat(usize::from(*size)) }));
                        let entries: Vec<_> = sizes.iter().map(make).collect();
                        let durability = if disk { Durability::Disk } else { Durability::Process };
                        let a = file.append(entries.clone(), durability).await.unwrap();
                        (json!(a), json!(memory.append(entries, durability).await.unwrap()))
                    }
                    Op::Read { before, limit, who } => {
                        let query = ReadBack { before, limit, principal: who.map(|who| format!("user:{who}")) };
                        let a = file.read_back(query.clone()).await.unwrap();
                        let b = memory.read_back(query).await.unwrap();
                        (json!([a.entries, a.next]), json!([b.entries, b.next]))
                    }
                    Op::Erase(set) => {
                        let a = file.erase(set.clone()).await.unwrap();
                        (json!(a), json!(memory.erase(set).await.unwrap()))
                    }
                    Op::Verify => {
                        let a = file.verify().await.unwrap();
                        assert!(a.valid, "{a:?}");
                        (json!(format!("{a:?}")), json!(format!("{:?}", memory.verify().await.unwrap())))
                    }
                    Op::Reopen => (json!(file.head().await.unwrap()), json!(memory.head().await.unwrap())),
                    Op::Advance(by) => {
                        time.advance(time::Duration::seconds(by.into()));
                        (json!(0), json!(0))
                    }
                }
            });
            prop_assert_eq!(outcome.0, outcome.1);
            tested = Some(if matches!(op, Op::Reopen) { drop(file); open() } else { file });
        }
    }
}
