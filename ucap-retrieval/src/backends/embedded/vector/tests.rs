//! Tests of `vector`.

use proptest::prelude::*;

use super::*;

fn context() -> RequestContext {
    RequestContext::new("test")
}

fn brute_force(rows: &[(u32, Vec<f32>)], query: &[f32], allowed: &PassageSet, k: usize) -> Vec<(u32, u32)> {
    let pad = |vector: &[f32]| {
        let mut padded = vector.to_vec();
        padded.resize(stride_of(vector.len()), 0.0);
        padded
    };
    let query = pad(query);
    let mut scored: Vec<(u32, f32)> = rows
        .iter()
        .filter(|(passage, _)| allowed.contains(*passage))
        .map(|(passage, vector)| (*passage, Level::Scalar.dot(&query, &pad(vector))))
        .collect();
    scored.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    let worst = if k == 0 { f32::INFINITY } else { scored.get(k - 1).map_or(f32::NEG_INFINITY, |worst| worst.1) };
    scored.into_iter().filter(|&(_, score)| score >= worst).map(|(passage, score)| (passage, score.to_bits())).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<f32>),
    /// A passage with a second vector.
    AddTwo(Vec<f32>, Vec<f32>),
    /// The last vector again, as it is or almost.
    Repeat(f32),
    Skip,
    Delete(prop::sample::Index),
    Flush {
        is_run: bool,
        is_installed: bool,
    },
    Reopen,
}

const DIMENSIONS: usize = 5;

fn vector() -> impl Strategy<Value = Vec<f32>> {
    let component = prop_oneof![
        6 => -1f32..1.0,
        2 => prop::sample::select(vec![0.0f32, 0.25, -0.5, 1.0]),
        1 => prop::sample::select(vec![1e9f32, -1e9, 1e-40, -1e-31, 1e5]),
    ];
    prop_oneof![
        8 => prop::collection::vec(component, DIMENSIONS),
        1 => Just(vec![0.0; DIMENSIONS]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => vector().prop_map(Step::Add),
        5 => (vector(), vector()).prop_map(|(one, other)| Step::AddTwo(one, other)),
        8 => prop::sample::select(vec![1.0f32, 1.0, 1.000_001, 0.999]).prop_map(Step::Repeat),
        1 => Just(Step::Skip),
        4 => any::<prop::sample::Index>().prop_map(Step::Delete),
        2 => (prop::bool::weighted(0.9), prop::bool::weighted(0.8))
            .prop_map(|(is_run, is_installed)| Step::Flush { is_run, is_installed }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..400)
}

struct Pair {
    directory: tempfile::TempDir,
    index: VectorIndex,
    added: Vec<(u32, u64, Vec<Vec<f32>>)>,
    live: PassageSet,
    change: u64,
    next: u32,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (index, change) = VectorIndex::open(directory.path(), DIMENSIONS, "m").unwrap();
        Self { directory, index, added: Vec::new(), live: PassageSet::new(), change, next: 0 }
    }

    fn add(&mut self, vectors: Vec<Vec<f32>>) {
        self.index.add(self.next, vectors.iter().map(Vec::as_slice)).unwrap();
        self.live.insert(self.next);
        self.added.push((self.next, self.change, vectors));
        self.next += 1;
    }

    fn apply(&mut self, step: Step) {
        self.change += 1;
        match step {
            Step::Add(vector) => self.add(vec![vector]),
            Step::AddTwo(one, other) => self.add(vec![one, other]),
            Step::Repeat(factor) => {
                let last = self.added.last().map_or_else(|| vec![0.5; DIMENSIONS], |(.., last)| last[0].clone());
                self.add(vec![last.iter().map(|component| (component * factor).clamp(-1e9, 1e9)).collect()]);
            }
            Step::Skip => self.next += 9,
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
                        assert_eq!((self.index.tail_len(), self.index.flushed_change()), (0, self.change));
                    }
                }
            }
            Step::Reopen => drop(self.reopen()),
        }
    }

    /// The change from which it replayed.
    fn reopen(&mut self) -> u64 {
        let (index, change) = VectorIndex::open(self.directory.path(), DIMENSIONS, "m").unwrap();
        self.index = index;
        for (passage, added, vectors) in &self.added {
            if *added > change && self.live.contains(*passage) {
                self.index.add(*passage, vectors.iter().map(Vec::as_slice)).unwrap();
            }
        }
        change
    }

    fn check(&self, query: &[f32], allowed: &PassageSet, k: usize) {
        let rows: Vec<(u32, Vec<f32>)> = self
            .added
            .iter()
            .flat_map(|(passage, _, vectors)| vectors.iter().map(|vector| (*passage, vector.clone())))
            .collect();
        let expected = brute_force(&rows, query, allowed, k);
        let found = self.index.search(&context(), query, allowed, k).unwrap();
        let bits: Vec<(u32, u32)> = found.iter().map(|&(passage, score)| (passage, score.to_bits())).collect();
        assert_eq!(bits, expected);
        for &(passage, _) in found.iter().take(3) {
            let (_, score) = found.iter().find(|(other, _)| *other == passage).unwrap();
            assert_eq!(self.index.score_of(query, passage).unwrap().map(f32::to_bits), Some(score.to_bits()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_brute_force(
        steps in steps(),
        queries in prop::collection::vec((vector(), 0u32..4, 0usize..30), 1..6),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.apply(step);
        }
        for (query, keep, k) in queries {
            let allowed: PassageSet = pair.live.iter().filter(|passage| keep == 0 || passage % 4 == keep).collect();
            pair.check(&query, &allowed, k);
        }
    }
}

/// Vectors on a sphere with 384 dimensions, most of them near each other, so that the bounds overlap.
#[test]
fn agrees_on_a_crowded_sphere_after_merges() {
    let dimensions = 384;
    let directory = tempfile::tempdir().unwrap();
    let (mut index, _) = VectorIndex::open(directory.path(), dimensions, "m").unwrap();
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let mut unit = |center: f32, spread: f32| {
        let mut vector: Vec<f32> =
            (0..dimensions).map(|n| center * (n as f32 * 0.7).sin() + spread * random()).collect();
        let norm = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|component| *component /= norm);
        vector
    };
    let mut rows: Vec<(u32, Vec<f32>)> = Vec::new();
    let mut live = PassageSet::new();
    for passage in 0..3_000u32 {
        let vector = if passage % 5 == 4 {
            rows[passage as usize - 1].1.clone()
        } else {
            unit(1.0, if passage % 2 == 0 { 0.01 } else { 1.0 })
        };
        index.add(passage, [vector.as_slice()]).unwrap();
        rows.push((passage, vector));
        live.insert(passage);
        if passage % 300 == 299 {
            for dead in (passage - 299..=passage).filter(|dead| dead % 7 < 3) {
                live.remove(dead);
            }
            let done = index.prepare_flush(u64::from(passage), &live).unwrap().run().unwrap();
            index.install(done);
        }
    }
    assert!(index.segments.len() < 8, "{} segments", index.segments.len());
    for k in [1, 10, 100, 5_000] {
        for query in [unit(1.0, 0.02), unit(0.0, 1.0), vec![0.0; dimensions]] {
            let found = index.search(&context(), &query, &live, k).unwrap();
            let bits: Vec<(u32, u32)> = found.iter().map(|&(passage, score)| (passage, score.to_bits())).collect();
            assert_eq!(bits, brute_force(&rows, &query, &live, k));
        }
    }
    index.verify(&context()).unwrap();
}

/// Three flushes of 40 rows at changes 10, 20, 30; nothing is merged.
fn three_segments() -> Pair {
    let mut pair = Pair::new();
    for flush in 1..=3u64 {
        for row in 0..40 {
            pair.change = flush * 10;
            pair.add(vec![(0..DIMENSIONS).map(|n| ((row * 7 + n * 13 + flush as usize) % 17) as f32 / 17.0).collect()]);
        }
        let done = pair.index.prepare_flush(pair.change, &pair.live).unwrap().run().unwrap();
        pair.index.install(done);
    }
    assert_eq!(pair.index.segments.len(), 3);
    pair
}

/// Puts other bytes in the place of a file, as damage would; what is mapped stays as it was.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::write(path.with_extension("new"), bytes).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

#[test]
fn damage_is_found_and_replayed() {
    let mut pair = three_segments();
    let directory = pair.directory.path().to_owned();
    let sound: Vec<_> = ["000001.seg", "000002.seg", "000003.seg", "manifest"]
        .map(|name| (directory.join(name), std::fs::read(directory.join(name)).unwrap()))
        .into();
    for file in 0..3 {
        let bytes = &sound[file].1;
        for at in (0..bytes.len()).step_by(61).map(Some).chain([None]) {
            sound.iter().for_each(|(path, bytes)| replace(path, bytes));
            let mut damaged = bytes.clone();
            match at {
                Some(at) => damaged[at] ^= 0x40,
                None => damaged.truncate(bytes.len() / 2),
            }
            replace(&sound[file].0, &damaged);
            let mut replayed_from = pair.reopen();
            if pair.index.verify(&context()).is_err() {
                assert_eq!(replayed_from, 30, "found late");
                replayed_from = pair.reopen();
                pair.index.verify(&context()).unwrap();
            }
            // Between sections lies padding that nobody reads.
            let is_padding = at.is_some_and(|at| bytes[at] == 0) && replayed_from == 30;
            assert!(is_padding || replayed_from == file as u64 * 10, "{file} {at:?} {replayed_from}");
            pair.check(&[0.3, -0.2, 0.9, 0.1, 0.5], &pair.live, 10);
        }
    }
    let done = pair.index.prepare_flush(31, &pair.live).unwrap().run().unwrap();
    pair.index.install(done);
    assert_eq!(pair.reopen(), 31);
    pair.check(&[0.3, -0.2, 0.9, 0.1, 0.5], &pair.live, 10);
}

#[test]
fn a_search_never_reads_unproved_rows() {
    let mut pair = three_segments();
    let path = pair.directory.path().join(segment_file(2));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    replace(&path, &bytes);
    assert_eq!(pair.reopen(), 30);
    let error = pair.index.search(&context(), &[1.0; DIMENSIONS], &pair.live, 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DatasourceRebuilding);
    assert_eq!(pair.reopen(), 10);
    let live = pair.live.clone();
    pair.check(&[1.0; DIMENSIONS], &live, 100);
}

#[test]
fn another_model_or_manifest_starts_anew() {
    let pair = three_segments();
    let path = pair.directory.path();
    assert_eq!(VectorIndex::open(path, DIMENSIONS, "m").unwrap().1, 30);
    let manifest = std::fs::read(path.join("manifest")).unwrap();
    assert_eq!(VectorIndex::open(path, DIMENSIONS, "n").unwrap().1, 0);
    assert!(!path.join(segment_file(1)).exists(), "its files are gone");
    drop(pair);
    for damaged in [&manifest[..manifest.len() - 1], &manifest[1..], b"", b"\xff\xfe\n{}"] {
        let pair = three_segments();
        std::fs::write(pair.directory.path().join("manifest"), damaged).unwrap();
        let (index, change) = VectorIndex::open(pair.directory.path(), DIMENSIONS, "m").unwrap();
        assert_eq!((change, index.len()), (0, 0));
    }
}

#[test]
fn refuses_what_is_no_vector() {
    let mut pair = Pair::new();
    for wrong in [&[1.0; 4][..], &[1.0; 6], &[f32::NAN; 5], &[f32::INFINITY; 5], &[2e9; 5]] {
        assert_eq!(pair.index.add(0, [wrong]).unwrap_err().param(), Some("vector"));
        assert!(pair.index.search(&context(), wrong, &pair.live, 1).is_err());
    }
    assert!(VectorIndex::open(pair.directory.path(), 0, "m").is_err());
    pair.add(vec![vec![1.0; 5]]);
    assert!(pair.index.add(0, [[1.0; 5].as_slice()]).is_err());
    let context = context();
    context.cancel();
    assert!(pair.index.search(&context, &[1.0; 5], &pair.live, 1).is_err());
}
