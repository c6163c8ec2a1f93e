//! The embedded backend at 20,000 passages: filters, both legs at 0.1, 1, 10 and 100 % permitted, hybrid searches, ingest; beside the
//! memory backend (brute force by the shortest way), the memory's bandwidth and the disk's flush.
//!
//!     cargo bench --workspace --bench embedded

#[path = "../../benches/limits/disk.rs"]
mod disk;
#[path = "../../benches/limits/memory.rs"]
mod memory;
#[path = "../../benches/limits/run.rs"]
mod run;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use ucap_core::RequestContext;
use ucap_retrieval::backends::embedded::vector::VectorIndex;
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{Instance, Memory, Random, Store, Subject as _, World, model};
use ucap_retrieval::datastore::Write;
use ucap_retrieval::passage_set::PassageSet;
use ucap_retrieval::query::{Mode, SearchRequest, Withdrawn};
use ucap_retrieval::{DatastoreBackend, Filter};

/// Each record is one passage.
const PASSAGES: usize = 20_000;
/// As the local model's vectors.
const DIMENSIONS: usize = 384;
/// As many as the retriever asks of each leg.
const DEPTH: usize = 1000;
/// The rows that a filter leaves, in thousandths.
const SHARES: [(usize, &str); 4] = [(1, "0.1 %"), (10, "1 %"), (100, "10 %"), (1000, "100 %")];
const QUERY: &str = "word3 word70 word900";
/// Words that there are; the n-th is half as frequent as the n/2-th.
const VOCABULARY: usize = 4000;

fn main() {
    let mut criterion = run::criterion();
    let runtime = Runtime::new().expect("a runtime starts");
    let (passages, batch) = if run::is_measuring() { (PASSAGES, 500) } else { (100, 10) };
    let folder = disk::folder();
    let embedded = runtime.block_on(filled(OnDisk::open(folder.path()), passages));
    let memory = runtime.block_on(filled(Memory.fresh().expect("a backend"), passages));
    filters(&mut criterion, &runtime, &embedded);
    legs(&mut criterion, &runtime, &embedded, &memory, passages);
    searches(&mut criterion, &runtime, &embedded);
    vectors(&mut criterion, passages);
    bitmaps(&mut criterion, &runtime, &embedded);
    ingest(&mut criterion, &runtime, &embedded, folder.path(), batch);
    runtime.block_on(embedded.close()).expect("it closes");
    criterion.final_summary();
}

struct OnDisk(Arc<EmbeddedBackend>);

impl OnDisk {
    fn open(folder: &Path) -> Box<dyn Instance> {
        let backend = EmbeddedBackend::open(folder.join("datasources"), EmbeddedOptions::new(model()));
        Box::new(Self(backend.expect("a backend opens")))
    }
}

impl Instance for OnDisk {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.0.clone()
    }
}

/// Words by Zipf's law: the rank is drawn evenly on a logarithmic scale.
fn text(random: &mut Random, words: usize) -> String {
    let word = |random: &mut Random| {
        let share = (random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        format!("word{}", (VOCABULARY as f64).powf(share) as usize)
    };
    (0..words).map(|_| word(random)).collect::<Vec<_>>().join(" ")
}

fn vector(random: &mut Random) -> Vec<f32> {
    (0..DIMENSIONS).map(|_| (random.bits() >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// A world with the datasource `bench`, of records whose `share` is evenly spread below 1,000, and an empty one to write to.
async fn filled(instance: Box<dyn Instance>, passages: usize) -> World {
    let world = World::new(instance).await.expect("a world");
    let fields = json!({"share": {"type": "integer"}, "number": {"type": "integer"}, "body": {"type": "text"}});
    let schema = json!({"fields": fields, "text": ["body"]});
    let given =
        json!({"format": "records", "schema": schema, "embedding_model": "external/bench", "dimensions": DIMENSIONS});
    world.datasource("bench", &given).await.expect("a datasource");
    world.datasource("written", &json!({"format": "records", "schema": schema})).await.expect("a datasource");
    let store = world.store("bench").await.expect("a store");
    let mut random = Random::new(20_000);
    for first in (0..passages).step_by(1000) {
        let numbers = first..passages.min(first + 1000);
        let writes = numbers.map(|number| put(&store, number, &mut random)).collect();
        store.write(writes).await.expect("it is written");
    }
    world
}

fn put(store: &Store, number: usize, random: &mut Random) -> Write {
    let body = text(random, 60);
    let record = json!({"id": format!("r{number:06}"), "share": number * 7919 % 1000, "number": number, "body": body});
    let mut write = store.put(&record).expect("a record");
    if let Write::Put { passages, .. } = &mut write {
        passages.iter_mut().for_each(|passage| passage.vector = Some(vector(random)));
    }
    write
}

fn below(share: usize) -> Json {
    json!({"lt": {"share": share}})
}

fn filters(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let store = runtime.block_on(world.store("bench")).expect("a store");
    let rows = |filter: &Json| {
        let rows = runtime.block_on(store.candidates(filter, Withdrawn::Exclude));
        black_box(rows.expect("a filter"))
    };
    let mut group = criterion.benchmark_group("filter to a bitmap");
    let mut never = 0_i64;
    for (share, percent) in SHARES {
        group.bench_function(BenchmarkId::new("cached", percent), |b| b.iter(|| rows(&below(share))));
        group.bench_function(BenchmarkId::new("not cached", percent), |b| {
            b.iter(|| {
                // Another filter of the same rows each time.
                never -= 1;
                rows(&json!({"and": [below(share), {"gt": {"number": never}}]}))
            });
        });
    }
    group.finish();
}

fn legs(criterion: &mut Criterion, runtime: &Runtime, embedded: &World, memory: &World, passages: usize) {
    let query = vector(&mut Random::new(9));
    for leg in ["lexical leg", "vector leg"] {
        let mut group = criterion.benchmark_group(format!("{leg} of {passages} passages"));
        for (who, world, shares) in [("embedded", embedded, &SHARES[..]), ("memory backend", memory, &SHARES[2..])] {
            let store = runtime.block_on(world.store("bench")).expect("a store");
            for &(share, percent) in shares {
                let filter = below(share);
                let rows = runtime.block_on(store.candidates(&filter, Withdrawn::Exclude)).expect("a filter");
                let find = || match leg {
                    "lexical leg" => runtime.block_on(store.lexical(QUERY, &rows, DEPTH)).expect("hits"),
                    _ => runtime.block_on(store.nearest(&query, &rows, DEPTH)).expect("hits"),
                };
                let least = if leg == "vector leg" { rows.rows().len().min(DEPTH as u64) } else { 1 };
                assert!(find().len() as u64 >= least, "the {leg} of {who} finds what there is at {percent}");
                group.bench_function(BenchmarkId::new(who, percent), |b| b.iter(|| black_box(find())));
            }
        }
        group.finish();
    }
}

fn searches(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let mut group = criterion.benchmark_group("search through the retriever");
    for (mode, word) in [(Mode::Lexical, "lexical"), (Mode::Vector, "vector"), (Mode::Hybrid, "hybrid")] {
        for (share, percent) in SHARES {
            let filter = Filter::from_json(&below(share)).expect("a filter");
            let mut request = SearchRequest::new(QUERY).with_mode(mode).with_filter(filter).with_datasources(["bench"]);
            request.vector = (mode != Mode::Lexical).then(|| vector(&mut Random::new(9)));
            group.bench_function(BenchmarkId::new(word, percent), |b| {
                b.iter(|| black_box(runtime.block_on(world.search("admin", &request)).expect("an answer")));
            });
        }
    }
    group.finish();
}

/// The index by itself: codes with SIMD instructions and exact scores, beside exact scores alone in a plain loop, and beside what
/// reading the codes or the vectors takes.
fn vectors(criterion: &mut Criterion, passages: usize) {
    let folder = disk::folder();
    let (mut index, _) = VectorIndex::open(folder.path(), DIMENSIONS, "bench").expect("an index opens");
    let mut random = Random::new(5);
    let (mut all, mut flat) = (PassageSet::new(), Vec::new());
    for passage in 0..passages as u32 {
        let vector = vector(&mut random);
        index.add(passage, [vector.as_slice()]).expect("a vector");
        flat.extend_from_slice(&vector);
        all.insert(passage);
    }
    let context = RequestContext::new("bench");
    let query = vector(&mut random);
    let mut group = criterion.benchmark_group(format!("vector index of {passages}"));
    group.throughput(Throughput::Elements(passages as u64));
    for place in ["in memory", "in a file"] {
        for k in [10, DEPTH] {
            group.bench_function(format!("the best {k}, {place}"), |b| {
                b.iter(|| black_box(index.search(&context, &query, &all, k).expect("hits")));
            });
        }
        if let Some(job) = index.prepare_flush(1, &all) {
            index.install(job.run().expect("it is written"));
        }
    }
    group.bench_function("naive: every f32 in a plain loop", |b| {
        b.iter(|| black_box(brute_force(&flat, &query, DEPTH)))
    });
    let (mut codes, mut floats) = (memory::Copied::new(flat.len()), memory::Copied::new(4 * flat.len()));
    group.bench_function("limit: a copy of the codes", |b| b.iter(|| codes.copy()));
    group.bench_function("limit: a copy of the vectors", |b| b.iter(|| floats.copy()));
    group.finish();
}

fn brute_force(vectors: &[f32], query: &[f32], k: usize) -> Vec<(u32, f32)> {
    let score = |vector: &[f32]| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut scored: Vec<(u32, f32)> = (0..).zip(vectors.chunks_exact(query.len()).map(score)).collect();
    let k = k.min(scored.len()).max(1);
    scored.select_nth_unstable_by(k - 1, |a, b| b.1.total_cmp(&a.1));
    scored.truncate(k);
    scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
    scored
}

/// Why candidates are a compressed bitmap and permitted passages a dense one.
fn bitmaps(criterion: &mut Criterion, runtime: &Runtime, world: &World) {
    let store = runtime.block_on(world.store("bench")).expect("a store");
    let rows = |share| {
        let rows = runtime.block_on(store.candidates(&below(share), Withdrawn::Exclude)).expect("a filter");
        rows.rows().clone()
    };
    let (some, many) = (rows(100), rows(500));
    let (some_listed, many_listed): (Vec<u32>, Vec<u32>) = (some.iter().collect(), many.iter().collect());
    let mut dense = PassageSet::new();
    for row in &many {
        dense.insert(row);
    }
    let mut group = criterion.benchmark_group("10 % and 50 % of all rows, both");
    group.bench_function("roaring bitmaps", |b| b.iter(|| black_box((&some & &many).len())));
    group.bench_function("a list against a dense set", |b| {
        b.iter(|| black_box(some_listed.iter().filter(|row| dense.contains(**row)).count()));
    });
    group.bench_function("naive: two sorted lists", |b| {
        b.iter(|| black_box(some_listed.iter().filter(|row| many_listed.binary_search(row).is_ok()).count()));
    });
    group.finish();
}

fn ingest(criterion: &mut Criterion, runtime: &Runtime, world: &World, folder: &Path, size: usize) {
    let mut random = Random::new(6);
    let mut batch = || -> Vec<Json> {
        let record = |i| json!({"id": format!("r{i}"), "share": i, "body": text(&mut random, 60)});
        (0..size).map(record).collect()
    };
    let send = |records: &[Json]| runtime.block_on(world.ingest("written", records)).expect("it is taken");
    let same = batch();
    send(&same);
    let bytes: usize = same.iter().map(|record| record.to_string().len()).sum();
    let mut group = criterion.benchmark_group(format!("ingest of {size} records"));
    group.throughput(Throughput::Elements(size as u64));
    group.bench_function("unchanged", |b| b.iter(|| send(&same)));
    group.bench_function("all of them changed", |b| {
        b.iter_batched(&mut batch, |records| send(&records), BatchSize::PerIteration);
    });
    let mut limit = disk::Appended::new(folder, bytes);
    group.bench_function("limit: the same bytes and fdatasync", |b| b.iter(|| limit.append()));
    group.finish();
}
