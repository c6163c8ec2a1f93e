//! The catalog at 10,000 grants and 10,000 datasources: a change in memory and on the disk, look-ups; beside a naive copy, a hash
//! map and the disk.
//!
//!     cargo bench --workspace --bench catalog

#[path = "../../benches/limits/disk.rs"]
mod disk;
#[path = "../../benches/limits/run.rs"]
mod run;

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use ucap_core::catalog::backends::memory::MemoryCatalogStore;
use ucap_core::catalog::backends::sqlite::SqliteCatalogStore;
use ucap_core::catalog::{Catalog, CatalogStore, Cause, Change, Datasource, Effect, Grant, Object, Snapshot, Stamp};
use ucap_core::journal::{FileJournal, FileJournalOptions, JournalStore, MemoryJournal};
use ucap_core::{Action, Principal, RequestContext, Resource, Subject, SystemClock, SystemEntropy};

const GRANTS: u32 = 10_000;
/// Grants that name the same user.
const OF_ONE_USER: u32 = 20;

fn main() {
    let mut criterion = run::criterion();
    let runtime = Runtime::new().expect("a runtime starts");
    let size = if run::is_measuring() { GRANTS } else { 200 };
    let puts: Vec<Change> = (0..size).map(datasource).chain((0..size).map(grant)).collect();
    changes(&mut criterion, &runtime, &puts);
    look_ups(&mut criterion, size, &puts);
    criterion.final_summary();
}

fn stamp(number: u32) -> Stamp {
    Stamp { generation: u64::from(number) + 1, version: 1, created_at: OffsetDateTime::UNIX_EPOCH }
}

fn datasource(number: u32) -> Change {
    Change::Put(Object::Datasource(Datasource {
        id: format!("source-{number:05}"),
        domain: format!("domain-{:03}", number % 100),
        format: "osv".to_owned(),
        title: format!("Advisories of {number}"),
        retention_days: None,
        settings: serde_json::json!({"language": "auto", "vectors": false}),
        ordinal: number + 1,
        stamp: stamp(number),
    }))
}

fn grant(number: u32) -> Change {
    Change::Put(Object::Grant(Grant {
        id: format!("g_{number:016}"),
        subject: Subject::User(format!("user-{:04}", number / OF_ONE_USER)),
        resource: Resource::datasource(format!("source-{number:05}")),
        actions: [Action::Read].into_iter().collect(),
        effect: Effect::Allow,
        expires_at: None,
        stamp: stamp(number),
    }))
}

fn changes(criterion: &mut Criterion, runtime: &Runtime, puts: &[Change]) {
    let snapshot = Snapshot::default().after(1, puts);
    let one_more = [grant(u32::MAX)];
    let mut group = criterion.benchmark_group(format!("catalog of {} grants, a change", snapshot.grants().count()));
    group.bench_function("the next snapshot, one grant more", |b| b.iter(|| black_box(snapshot.after(2, &one_more))));
    let naive: BTreeMap<String, Arc<Grant>> = snapshot.grants().map(|held| (held.id.clone(), held.clone())).collect();
    group.bench_function("naive: a copy of one map of grants", |b| {
        b.iter(|| {
            let mut copy = naive.clone();
            copy.remove("g_0000000000000000");
            black_box(copy)
        });
    });

    let folder = disk::folder();
    let memory_journal = Arc::new(MemoryJournal::new(Arc::new(SystemClock), Arc::new(SystemEntropy)));
    let file_journal = FileJournal::open(
        &folder.path().join("journal"),
        FileJournalOptions::default(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    );
    let file_journal = Arc::new(file_journal.expect("a journal opens"));
    let sqlite = runtime.block_on(SqliteCatalogStore::open(&folder.path().join("catalog.db")));
    let in_memory = open(runtime, Arc::new(MemoryCatalogStore::default()), memory_journal, puts);
    let on_disk = open(runtime, Arc::new(sqlite.expect("a database opens")), file_journal, puts);
    for (what, catalog) in [("change, in memory", &in_memory), ("change, journal and SQLite on the disk", &on_disk)] {
        group.bench_function(what, |b| b.iter(|| runtime.block_on(change(catalog, &one_more))));
    }
    let mut limit = disk::Appended::new(folder.path(), 4096);
    group.bench_function("limit: two times 4 KiB and fdatasync", |b| {
        b.iter(|| {
            limit.append();
            limit.append();
        });
    });
    group.finish();
}

fn open(runtime: &Runtime, store: Arc<dyn CatalogStore>, journal: Arc<dyn JournalStore>, puts: &[Change]) -> Catalog {
    let opened = async {
        store.apply(1, puts).await?;
        Catalog::open(store, journal, Arc::new(SystemClock), Box::new(|_, _| Ok(()))).await
    };
    runtime.block_on(opened).expect("a catalog opens")
}

async fn change(catalog: &Catalog, changes: &[Change]) {
    let cause = Cause { principal: &Principal::System, resource: "platform" };
    let done = catalog.change(&RequestContext::new("r-1"), cause, |_| Ok((changes.to_vec(), ()))).await;
    done.expect("the catalog changes");
}

fn look_ups(criterion: &mut Criterion, size: u32, puts: &[Change]) {
    let snapshot = Snapshot::default().after(1, puts);
    let hashed: HashMap<String, Arc<Datasource>> =
        snapshot.datasources().map(|held| (held.id.clone(), held.clone())).collect();
    let ids: Vec<String> = (0..size).step_by(7).map(|number| format!("source-{number:05}")).collect();
    let users: Vec<Subject> =
        (0..size / OF_ONE_USER).map(|number| Subject::User(format!("user-{number:04}"))).collect();
    let mut group = criterion.benchmark_group(format!("catalog of {size} datasources, look-up"));
    let mut next = 0;
    let mut turn = |of: usize| {
        next = (next + 1) % of;
        next
    };
    group
        .bench_function("a datasource by its id", |b| b.iter(|| black_box(snapshot.datasource(&ids[turn(ids.len())]))));
    group.bench_function("limit: the same in a hash map", |b| b.iter(|| black_box(hashed.get(&ids[turn(ids.len())]))));
    group.bench_function("a datasource by its ordinal", |b| {
        b.iter(|| black_box(snapshot.datasource_at(turn(size as usize) as u32 + 1)));
    });
    group.bench_function("the 20 grants of a user", |b| {
        b.iter(|| black_box(snapshot.grants_of(&users[turn(users.len())]).count()));
    });
    group.finish();
}
