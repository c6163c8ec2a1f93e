//! The journal: appending by both durabilities, verifying, reading back; beside what disk and memory allow.
//!
//!     cargo bench --workspace --bench journal

#[path = "../../benches/limits/disk.rs"]
mod disk;
#[path = "../../benches/limits/memory.rs"]
mod memory;
#[path = "../../benches/limits/run.rs"]
mod run;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use ucap_core::journal::{
    Durability, FileJournal, FileJournalOptions, JournalStore, MemoryJournal, NewEntry, ReadBack,
};
use ucap_core::{SystemClock, SystemEntropy};

/// Callers that append at the same time.
const TOGETHER: usize = 32;

fn main() {
    let mut criterion = run::criterion();
    let runtime = Runtime::new().expect("a runtime starts");
    appends(&mut criterion, &runtime);
    reads(&mut criterion, &runtime);
    criterion.final_summary();
}

fn open(folder: &Path) -> FileJournal {
    FileJournal::open(folder, FileJournalOptions::default(), Arc::new(SystemClock), Arc::new(SystemEntropy))
        .expect("a journal opens")
}

/// As a search leaves it: the most frequent entry there is.
fn entry() -> NewEntry {
    NewEntry {
        kind: "retrieval.search".into(),
        version: 1,
        principal: "user:ana".to_owned(),
        resource: Some("search".to_owned()),
        decision: Some("allow".into()),
        request_id: "r-0123456789abcdef".to_owned(),
        payload: json!({"mode": "hybrid", "query": "heap buffer overflow when parsing an image", "total": 1200,
            "hits": (0..10).map(|i| ("rustsec", format!("RUSTSEC-2021-{i:04}"))).collect::<Vec<_>>()}),
    }
}

fn appends(criterion: &mut Criterion, runtime: &Runtime) {
    let folder = disk::folder();
    let file = Arc::new(open(&folder.path().join("journal")));
    let memory = MemoryJournal::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
    let append = |journal: &dyn JournalStore, count: usize, durability| {
        let entries = vec![entry(); count];
        runtime.block_on(journal.append(entries, durability)).expect("it is appended")
    };
    let mut group = criterion.benchmark_group("journal append");
    group.bench_function("memory, one entry", |b| b.iter(|| append(&memory, 1, Durability::Process)));
    group.bench_function("process, one entry", |b| b.iter(|| append(&*file, 1, Durability::Process)));
    group.throughput(Throughput::Elements(100));
    group.bench_function("process, 100 entries in one append", |b| b.iter(|| append(&*file, 100, Durability::Process)));
    group.throughput(Throughput::Elements(1));
    group.bench_function("disk, one entry", |b| b.iter(|| append(&*file, 1, Durability::Disk)));
    let mut limit = disk::Appended::new(folder.path(), 1024);
    group.bench_function("limit: 1 KiB and fdatasync", |b| b.iter(|| limit.append()));
    group.throughput(Throughput::Elements(TOGETHER as u64));
    group.bench_function(BenchmarkId::new("disk, callers at once", TOGETHER), |b| {
        b.iter(|| {
            let mut all = JoinSet::new();
            for _ in 0..TOGETHER {
                let journal = Arc::clone(&file);
                let append = async move { journal.append(vec![entry()], Durability::Disk).await };
                all.spawn_on(append, runtime.handle());
            }
            let answers = runtime.block_on(all.join_all());
            assert!(answers.iter().all(Result::is_ok), "all are appended");
        });
    });
    group.finish();
}

fn reads(criterion: &mut Criterion, runtime: &Runtime) {
    let entries = if run::is_measuring() { 20_000 } else { 200 };
    let folder = disk::folder();
    let journal = open(folder.path());
    for _ in 0..entries / 100 {
        runtime.block_on(journal.append(vec![entry(); 100], Durability::Process)).expect("it is appended");
    }
    let logs = std::fs::read_dir(folder.path()).expect("the folder is there");
    let logs = logs.filter_map(Result::ok).map(|file| file.path()).filter(|path| path.extension().is_some());
    let bytes = logs.fold(Vec::new(), |mut all, path| {
        all.extend(std::fs::read(path).expect("a segment is read"));
        all
    });
    let mut group = criterion.benchmark_group(format!("journal of {entries} entries"));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("verify", |b| {
        b.iter(|| assert!(runtime.block_on(journal.verify()).expect("it is read").valid));
    });
    group.bench_function("limit: BLAKE3 of the same bytes", |b| b.iter(|| black_box(blake3::hash(&bytes))));
    let mut copied = memory::Copied::new(bytes.len());
    group.bench_function("limit: a copy of the same bytes", |b| b.iter(|| copied.copy()));
    group.throughput(Throughput::Elements(100));
    let newest =
        |principal: Option<&str>| ReadBack { before: None, limit: 100, principal: principal.map(str::to_owned) };
    for (what, query) in [("the newest 100", newest(None)), ("100 of one principal", newest(Some("user:ana")))] {
        group.bench_function(what, |b| {
            b.iter(|| black_box(runtime.block_on(journal.read_back(query.clone())).expect("a page")));
        });
    }
    group.finish();
}
