//! More datasources than may be open at once: answers are the same as with places for all, also while others read, write
//! and delete.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use ucap_core::{ErrorKind, Result};
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{Instance, Random, World, model};
use ucap_retrieval::query::{Mode, SearchRequest, SortKey};
use ucap_retrieval::{DatastoreBackend, Selection};

const DATASOURCES: usize = 24;

struct Few {
    directory: PathBuf,
    places: usize,
    backend: Arc<EmbeddedBackend>,
}

impl Few {
    fn open(directory: PathBuf, places: usize) -> Box<dyn Instance> {
        let backend = backend(&directory, places).unwrap();
        Box::new(Self { directory, places, backend })
    }
}

fn backend(directory: &std::path::Path, places: usize) -> Result<Arc<EmbeddedBackend>> {
    EmbeddedBackend::open(directory.to_owned(), EmbeddedOptions::new(model()).with_max_open(places))
}

impl Instance for Few {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.backend.clone()
    }

    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        self.backend = backend(&self.directory, self.places)?;
        Ok(self.backend.clone())
    }
}

fn name(i: usize) -> String {
    format!("adv-{i:02}")
}

async fn fill(world: &World) {
    let mut random = Random::new(11);
    for i in 0..DATASOURCES {
        world.datasource(&name(i), &json!({"format": "osv"})).await.unwrap();
        let records: Vec<Json> = (0..12).map(|_| random.advisory()).collect();
        world.ingest(&name(i), &records).await.unwrap();
    }
}

fn requests() -> Vec<SearchRequest> {
    let mut requests: Vec<SearchRequest> = [Mode::Hybrid, Mode::Lexical, Mode::Vector]
        .into_iter()
        .flat_map(|mode| ["heap overflow", "CVE-2021-44228"].map(|query| SearchRequest::new(query).with_mode(mode)))
        .collect();
    let mut filter = SearchRequest::default().with_mode(Mode::Filter);
    requests.push(filter.clone());
    filter.sort = vec![SortKey { field: "published".to_owned(), descending: true }];
    requests.push(filter);
    for request in &mut requests {
        request.limit = 300;
        request.explain = true;
    }
    requests
}

async fn answers(world: &World) -> Vec<String> {
    let requests = requests();
    // All at once: each holds datasources that the others want.
    join_all(requests.iter().map(|request| world.answer(request))).await
}

/// Open files of this process below `directory`.
fn open_files(directory: &std::path::Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|path| path.starts_with(directory))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_do_not_depend_on_the_places() {
    let reference = World::in_memory().await.unwrap();
    fill(&reference).await;
    let want = answers(&reference).await;
    for places in [1, 2, 7, DATASOURCES] {
        let home = TempDir::new().unwrap();
        let mut world = World::new(Few::open(home.path().to_owned(), places)).await.unwrap();
        fill(&world).await;
        for round in 0..3 {
            let got = answers(&world).await;
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got, want, "{places} places, round {round}");
            }
            let files = open_files(home.path());
            let most = places * ucap_retrieval::backends::embedded::DESCRIPTORS;
            assert!(files <= most, "{files} files of {places} places");
        }
        world.reopen().await.unwrap();
        assert_eq!(answers(&world).await, want, "{places} places, opened again");
        world.close().await.unwrap();
        assert_eq!(open_files(home.path()), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_readers_share_two_places() {
    let home = TempDir::new().unwrap();
    let world = Arc::new(World::new(Few::open(home.path().to_owned(), 2)).await.unwrap());
    fill(&world).await;
    let writers = (0..6).map(|writer| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut random = Random::new(writer);
            for _ in 0..6 {
                let target = name(random.below(DATASOURCES));
                let records: Vec<Json> = (0..10).map(|_| random.advisory()).collect();
                world.ingest(&target, &records).await.unwrap();
                world.delete(&target, Selection::Ids((0..3).map(|_| random.id()).collect())).await.unwrap();
            }
        })
    });
    let readers = (0..4).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for request in requests() {
                world.search("admin", &request).await.unwrap();
            }
        })
    });
    for task in writers.chain(readers).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let all = SearchRequest::default().with_mode(Mode::Filter).with_limit(1);
    let total = world.search("admin", &all).await.unwrap().total;
    let admin = world.admin().await.unwrap();
    let mut records = 0;
    for i in 0..DATASOURCES {
        let held = world.retriever().stats(world.context(), &admin, &name(i)).await.unwrap();
        records += held.records;
    }
    let mut withdrawn = all;
    withdrawn.withdrawn = ucap_retrieval::Withdrawn::Only;
    assert_eq!(total + world.search("admin", &withdrawn).await.unwrap().total, records);
    world.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_deleted_is_not_made_again_by_those_who_were_there() {
    let home = TempDir::new().unwrap();
    let world = World::new(Few::open(home.path().to_owned(), 2)).await.unwrap();
    fill(&world).await;
    let admin = world.admin().await.unwrap();
    let mut late = world.retriever().ingest(world.context(), &admin, &name(3)).await.unwrap();
    late.line(1, br#"{"id":"late","summary":"too late"}"#).await.unwrap();
    let held = world.store(&name(3)).await.unwrap();
    world.delete_datasource(&name(3)).await.unwrap();
    assert!(late.finish().await.is_err());
    assert_eq!(held.everything().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), DATASOURCES - 1);
    world.close().await.unwrap();
    // Nor after the end.
    let late = world.store(&name(4)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
}
