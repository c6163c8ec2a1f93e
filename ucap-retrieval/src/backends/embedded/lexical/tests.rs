//! Tests of `lexical`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// BM25 the plain way, over nothing but the live passages.
struct Naive<'a> {
    live: &'a BTreeMap<u32, Vec<String>>,
}

impl Naive<'_> {
    fn frequency(group: &TermGroup, tokens: &[String]) -> u32 {
        tokens.iter().filter(|token| group.forms.contains(token)).count() as u32
    }

    fn statistics(&self, groups: &[TermGroup]) -> Vec<u64> {
        let holding = |group| self.live.values().filter(|tokens| Self::frequency(group, tokens) > 0).count() as u64;
        groups.iter().map(holding).collect()
    }

    fn tokens(&self) -> u64 {
        self.live.values().map(|tokens| tokens.len() as u64).sum()
    }

    fn scores(&self, groups: &[TermGroup], weights: &Weights, allowed: &PassageSet) -> Vec<(u32, u32)> {
        let mut scores = Vec::new();
        for (&passage, tokens) in self.live.iter().filter(|(passage, _)| allowed.contains(**passage)) {
            let (mut sum, mut is_matched) = (0f32, false);
            for (group, weight) in groups.iter().zip(&weights.groups) {
                let frequency = Self::frequency(group, tokens) as f32;
                if frequency > 0.0 {
                    let norm = 1.2 * (1.0 - 0.75 + 0.75 * (tokens.len() as f32 / weights.average_length));
                    sum += weight * (frequency * (1.2f32 + 1.0) / (frequency + norm));
                    is_matched = true;
                }
            }
            if is_matched {
                scores.push((passage, sum.to_bits()));
            }
        }
        scores
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<u8>),
    Skip,
    Delete(prop::sample::Index),
    Flush { is_run: bool, is_installed: bool },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => prop::collection::vec(0u8..12, 0..9).prop_map(Step::Add),
        1 => Just(Step::Skip),
        4 => any::<prop::sample::Index>().prop_map(Step::Delete),
        2 => (prop::bool::weighted(0.9), prop::bool::weighted(0.8))
            .prop_map(|(is_run, is_installed)| Step::Flush { is_run, is_installed }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

fn queries() -> impl Strategy<Value = Vec<TermGroup>> {
    let group = (prop::collection::btree_set(0u8..14, 1..3), 1u32..4)
        .prop_map(|(forms, count)| TermGroup { forms: forms.into_iter().map(word).collect(), count });
    prop::collection::vec(group, 1..5)
}

fn word(number: u8) -> String {
    format!("w{number}")
}

fn group(forms: &[u8]) -> TermGroup {
    TermGroup { forms: forms.iter().copied().map(word).collect(), count: 1 }
}

fn context() -> RequestContext {
    RequestContext::new("test")
}

/// An index beside the plain state it must agree with.
struct Pair {
    directory: tempfile::TempDir,
    index: LexicalIndex,
    /// All passages ever added, with the change that added them.
    added: Vec<(u32, u64, Vec<String>)>,
    live: PassageSet,
    change: u64,
    next: u32,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (index, change) = LexicalIndex::open(directory.path(), "1-en").unwrap();
        Self { directory, index, added: Vec::new(), live: PassageSet::new(), change, next: 0 }
    }

    fn apply(&mut self, step: Step) {
        self.change += 1;
        match step {
            Step::Add(tokens) => {
                let tokens: Vec<String> = tokens.into_iter().map(word).collect();
                self.index.add(self.next, &tokens).unwrap();
                self.live.insert(self.next);
                self.added.push((self.next, self.change, tokens));
                self.next += 1;
            }
            Step::Skip => self.next += 3,
            Step::Delete(which) => {
                if !self.added.is_empty() {
                    self.live.remove(self.added[which.index(self.added.len())].0);
                }
            }
            Step::Flush { is_run, is_installed } => {
                let job = self.index.prepare_flush(self.change, &self.live).unwrap();
                assert!(self.index.prepare_flush(self.change, &self.live).is_none(), "one flush at a time");
                if is_run {
                    let done = job.run().unwrap();
                    if is_installed {
                        self.index.install(done);
                        assert_eq!(self.index.flushed_change(), self.change);
                    }
                }
            }
            Step::Reopen => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        let (index, change) = LexicalIndex::open(self.directory.path(), "1-en").unwrap();
        self.index = index;
        for (passage, added, tokens) in &self.added {
            if *added > change && self.live.contains(*passage) {
                self.index.add(*passage, tokens).unwrap();
            }
        }
    }

    fn check(&self, groups: &[TermGroup], allowed: &PassageSet) {
        let live: BTreeMap<u32, Vec<String>> = self
            .added
            .iter()
            .filter(|(passage, ..)| self.live.contains(*passage))
            .map(|(passage, _, tokens)| (*passage, tokens.clone()))
            .collect();
        let naive = Naive { live: &live };
        let frequencies = self.index.statistics(&context(), groups, &self.live).unwrap();
        assert_eq!(frequencies, naive.statistics(groups));
        assert_eq!(self.index.tokens(&self.live), naive.tokens());
        let weights = Weights::new(groups, self.live.len() as u64, naive.tokens(), &frequencies);
        let expected = naive.scores(groups, &weights, allowed);
        let mut scores = PassageScores::new();
        for _ in 0..2 {
            self.index.score(&context(), groups, &weights, allowed, &mut scores).unwrap();
            let found: Vec<(u32, u32)> = scores.iter().map(|(passage, score)| (passage, score.to_bits())).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(scores.len(), expected.len());
        for (passage, score) in scores.iter() {
            let parts = self.index.explain(groups, &weights, passage).unwrap();
            assert_eq!(parts.iter().sum::<f32>().to_bits(), score.to_bits());
            assert_eq!(scores.get(passage), Some(score));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_naive_bm25_over_the_live(
        steps in steps(),
        queries in prop::collection::vec((queries(), 0u32..4), 1..4),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.apply(step);
        }
        for (groups, keep) in queries {
            let allowed: PassageSet = pair.live.iter().filter(|passage| keep == 0 || passage % 4 == keep).collect();
            pair.check(&groups, &allowed);
        }
    }
}

/// Enough passages that tantivy has several blocks a term, with many flushes, merges and rewrites, and so few allowed
/// that postings are sought instead of walked.
#[test]
fn agrees_over_many_segments_merges_and_both_strategies() {
    let mut pair = Pair::new();
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..20 {
        for _ in 0..400 {
            let tokens = (0..random(12)).map(|_| random(14).min(random(14)) as u8).collect();
            pair.apply(Step::Add(tokens));
        }
        if round % 3 == 0 {
            pair.apply(Step::Skip);
        }
        let deletes: Vec<u32> = pair.live.iter().filter(|_| random(12) == 0).collect();
        deletes.into_iter().for_each(|passage| {
            pair.live.remove(passage);
        });
        pair.apply(Step::Flush { is_run: true, is_installed: random(5) != 0 });
        if round == 11 {
            pair.reopen();
        }
    }
    assert!(pair.index.segments.len() < 20, "merges happened");
    let groups = [group(&[1]), group(&[2, 13]), group(&[0]), group(&[12])];
    for one_in in [1, 2, 50, 700] {
        let allowed: PassageSet = pair.live.iter().filter(|_| random(one_in) == 0).collect();
        pair.check(&groups, &allowed);
    }
    pair.check(&groups, &PassageSet::new());
}

/// The files of an index with 300 passages that has applied change 42.
fn sound_files() -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(directory.path(), "1-en").unwrap();
    let live: PassageSet = (0..300).collect();
    for passage in &live {
        index.add(passage, &[word((passage % 7) as u8), word(9)]).unwrap();
    }
    let done = index.prepare_flush(42, &live).unwrap().run().unwrap();
    index.install(done);
    assert_eq!(index.tail_len(), 0);
    let entries = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
}

/// What an index made of `files` has: its last change, and in how many passages it finds the term that all hold.
fn open_files(files: &[(std::ffi::OsString, Vec<u8>)], fingerprint: &str) -> (u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let (mut index, change) = LexicalIndex::open(directory.path(), fingerprint).unwrap();
    let live: PassageSet = (0..index.end()).collect();
    let groups = [group(&[9])];
    let found = index.statistics(&context(), &groups, &live).unwrap()[0];
    let end = index.end();
    index.add(end, &[word(9)]).unwrap();
    let live: PassageSet = (0..=end).collect();
    let done = index.prepare_flush(43, &live).unwrap().run().unwrap();
    index.install(done);
    assert_eq!(index.statistics(&context(), &groups, &live).unwrap()[0], found + 1, "it can be written again");
    (change, found)
}

#[test]
fn another_fingerprint_starts_anew() {
    let files = sound_files();
    assert_eq!(open_files(&files, "1-en"), (42, 300));
    assert_eq!(open_files(&files, "2-en"), (0, 0));
}

#[test]
fn any_damage_starts_anew() {
    let files = sound_files();
    assert!(files.len() > 5);
    for which in 0..files.len() {
        let (name, sound) = &files[which];
        let flip = |at: usize| {
            let mut flipped = sound.clone();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 0x15;
            }
            flipped
        };
        let garbage = b"\xff\x00 not an index \x7f".repeat(9);
        let half = sound[..sound.len() / 2].to_vec();
        let damages = [flip(0), flip(sound.len() / 2), flip(sound.len().saturating_sub(1)), half, Vec::new(), garbage];
        for (kind, damaged) in damages.into_iter().enumerate() {
            let mut files = files.clone();
            files[which].1 = damaged;
            let found = open_files(&files, "1-en");
            assert!(found == (0, 0) || found == (42, 300), "{name:?} {kind} {found:?}");
        }
        let mut files = files.clone();
        files.remove(which);
        let found = open_files(&files, "1-en");
        assert!(found == (0, 0) || found == (42, 300), "{which} {found:?}");
    }
}

#[test]
fn passages_must_ascend() {
    let directory = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(directory.path(), "x").unwrap();
    index.add(5, &["a"]).unwrap();
    assert!(index.add(5, &["a"]).is_err() && index.add(u32::MAX, &["a"]).is_err());
    index.add(6, &["b"]).unwrap();
}

#[test]
fn a_cancelled_search_stops() {
    let directory = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(directory.path(), "x").unwrap();
    index.add(0, &["a"]).unwrap();
    let context = context();
    context.cancel();
    let groups = [TermGroup { forms: vec!["a".into()], count: 1 }];
    let weights = Weights::new(&groups, 1, 1, &[1]);
    let scored = index.score(&context, &groups, &weights, &PassageSet::from_iter([0u32]), &mut PassageScores::new());
    assert!(scored.is_err());
}
