//! Answers while others write: a record that is there throughout is in every answer, and what an answer counts is what it holds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use ucap_core::Result;
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{Instance, World, model};
use ucap_retrieval::query::{Mode, SearchRequest, SortKey};
use ucap_retrieval::{DatastoreBackend, Filter, SearchAnswer};

const RECORDS: usize = 120;
const ROUNDS: usize = 40;
const WRITES: usize = 20;

struct Directory(PathBuf, Arc<EmbeddedBackend>);

impl Directory {
    fn open(path: PathBuf) -> Result<Box<dyn Instance>> {
        let backend = EmbeddedBackend::open(path.clone(), EmbeddedOptions::new(model()))?;
        Ok(Box::new(Self(path, backend)))
    }
}

impl Instance for Directory {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.1.clone()
    }

    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        self.1 = EmbeddedBackend::open(self.0.clone(), EmbeddedOptions::new(model()))?;
        Ok(self.1.clone())
    }
}

fn record(number: usize, version: usize) -> Json {
    json!({"id": format!("r{number:03}"), "t": format!("kernel overflow {version}"), "n": version % 7})
}

fn ids(answer: &SearchAnswer) -> Vec<String> {
    answer.hits.iter().map(|hit| hit.id.clone()).collect()
}

/// Replaces records as fast as it can until `stop`; `writes` counts.
async fn replace(world: &World, stop: &AtomicBool, writes: &AtomicUsize) {
    let mut version = 1;
    while !stop.load(Ordering::Relaxed) {
        let from = version * 37 % RECORDS;
        let records: Vec<Json> = (from..(from + 25).min(RECORDS)).map(|number| record(number, version)).collect();
        world.ingest("m", &records).await.unwrap();
        version += 1;
        writes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads everything in each mode, at once and by pages, for some rounds and until there were some writes.
async fn read(world: &World, writes: &AtomicUsize) {
    let request = |mode, limit| {
        let mut request = SearchRequest::new(if mode == Mode::Filter { "" } else { "overflow" }).with_mode(mode);
        request.limit = limit;
        request
    };
    let mut one = request(Mode::Filter, 1000);
    one.filter = Some(Filter::from_json(&json!({"eq": {"id": "r050"}})).unwrap());
    let mut rounds = 0;
    while rounds < ROUNDS || (writes.load(Ordering::Relaxed) < WRITES && rounds < 50 * ROUNDS) {
        rounds += 1;
        assert_eq!(ids(&world.search("admin", &one).await.unwrap()), ["r050"]);
        for mode in [Mode::Filter, Mode::Lexical, Mode::Vector, Mode::Hybrid] {
            let answer = world.search("admin", &request(mode, 1000)).await.unwrap();
            let found: BTreeSet<String> = ids(&answer).into_iter().collect();
            assert_eq!((found.len(), answer.hits.len(), answer.total), (RECORDS, RECORDS, RECORDS as u64), "{mode:?}");
        }
        let mut request = request(Mode::Filter, 17);
        request.sort = vec![SortKey { field: "id".to_owned(), descending: true }];
        let mut found = Vec::new();
        loop {
            let answer = world.search("admin", &request).await.unwrap();
            found.extend(ids(&answer));
            request.cursor = answer.next;
            if request.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, (0..RECORDS).rev().map(|number| format!("r{number:03}")).collect::<Vec<_>>());
    }
}

async fn check(instance: Box<dyn Instance>) {
    let world = World::new(instance).await.unwrap();
    let schema = json!({"text": ["t"], "fields": {"t": {"type": "text"}, "n": {"type": "integer"}}});
    world.datasource("m", &json!({"format": "records", "schema": schema})).await.unwrap();
    world.ingest("m", &(0..RECORDS).map(|number| record(number, 0)).collect::<Vec<_>>()).await.unwrap();
    let (world, stop, writes) = (Arc::new(world), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = tokio::spawn({
        let (world, stop, writes) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&writes));
        async move { replace(&world, &stop, &writes).await }
    });
    let readers = [(); 2].map(|()| {
        let (world, writes) = (Arc::clone(&world), Arc::clone(&writes));
        tokio::spawn(async move { read(&world, &writes).await })
    });
    for reader in readers {
        reader.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_missed_while_records_are_replaced() {
    let directory = TempDir::new().unwrap();
    check(Directory::open(directory.path().to_owned()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_in_memory() {
    struct Memory(Arc<ucap_retrieval::backends::memory::MemoryBackend>);
    impl Instance for Memory {
        fn backend(&self) -> Arc<dyn DatastoreBackend> {
            self.0.clone()
        }
    }
    check(Box::new(Memory(Arc::default()))).await;
}

/// One writer sends what is there already while another replaces it: whoever comes last, the text is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_write_at_once_is_found_by_its_text() {
    let directory = TempDir::new().unwrap();
    let world = Arc::new(World::new(Directory::open(directory.path().to_owned()).unwrap()).await.unwrap());
    let schema = json!({"text": ["t"], "fields": {"t": {"type": "text"}, "n": {"type": "integer"}}});
    world.datasource("m", &json!({"format": "records", "schema": schema})).await.unwrap();
    for round in 0..60 {
        let writers = [0, 1, 0, 1].map(|version| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.ingest("m", &[record(0, version)]).await.unwrap() })
        });
        for writer in writers {
            writer.await.unwrap();
        }
        for mode in [Mode::Lexical, Mode::Vector] {
            let answer = world.search("admin", &SearchRequest::new("overflow").with_mode(mode)).await.unwrap();
            assert_eq!(ids(&answer), ["r000"], "{mode:?} in round {round}");
        }
    }
}
