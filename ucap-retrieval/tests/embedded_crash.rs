//! The embedded backend after a crash: whatever the moment, what was acknowledged is found in every mode, and what is
//! derived is derived again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use ucap_core::Result;
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{Instance, Random, World, model};
use ucap_retrieval::query::{Mode, SearchRequest, Withdrawn};
use ucap_retrieval::{DatastoreBackend, Selection, Wait};

/// A request that differs from another one in these fields.
macro_rules! request {
    ($base:expr $(, $field:ident: $value:expr)*) => {{
        let mut request = $base;
        $(request.$field = $value;)*
        request
    }};
}

struct Directory(PathBuf, Arc<EmbeddedBackend>);

impl Directory {
    fn open(path: &Path) -> Box<dyn Instance> {
        Box::new(Self(path.to_owned(), open(path).unwrap()))
    }
}

fn open(path: &Path) -> Result<Arc<EmbeddedBackend>> {
    EmbeddedBackend::open(path.to_owned(), EmbeddedOptions::new(model()))
}

impl Instance for Directory {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.1.clone()
    }

    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        self.1 = open(&self.0)?;
        Ok(self.1.clone())
    }
}

/// The same datasources in the same order have the same generations, so that the directory fits.
async fn world(path: &Path) -> World {
    let world = World::new(Directory::open(path)).await.unwrap();
    world.datasource("adv", &json!({"format": "osv"})).await.unwrap();
    let external = json!({"format": "records", "embedding_model": "external/x", "dimensions": 5, "schema": {"fields": {"t": {"type": "text"}}, "text": ["t"]}});
    world.datasource("ext", &external).await.unwrap();
    world
}

/// A copy of a directory as a crash would leave it: file by file, while the backend runs.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), &target) {
            // A file that goes while it is copied was not there.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

async fn answers(world: &World) -> Vec<String> {
    let mut answers = Vec::new();
    for query in ["heap overflow", "inyección", "CVE-2021-44228 kernel", "数据库 niño"] {
        for mode in [Mode::Hybrid, Mode::Lexical, Mode::Vector] {
            let request = request!(SearchRequest::new(query).with_mode(mode), explain: true, limit: 60, withdrawn: Withdrawn::Include);
            answers.push(world.answer(&request.with_datasources(["adv"])).await);
        }
        let request = request!(SearchRequest::new(query), vector: Some(vec![1.0, -2.0, 0.5, 0.0, 1.0]), limit: 60);
        answers.push(world.answer(&request.with_datasources(["ext"])).await);
    }
    let all = request!(SearchRequest::default(), mode: Mode::Filter, limit: 1000, withdrawn: Withdrawn::Include);
    answers.push(world.answer(&all).await);
    for name in ["adv", "ext"] {
        let admin = world.admin().await.unwrap();
        answers.push(format!("{:?}", world.retriever().stats(world.context(), &admin, name).await.unwrap()));
    }
    answers
}

async fn change(world: &World, random: &mut Random) {
    let advisories: Vec<Json> = (0..random.below(25)).map(|_| random.advisory()).collect();
    world.ingest("adv", &advisories).await.unwrap();
    let records: Vec<Json> = (0..random.below(25))
        .map(|_| json!({"id": random.id(), "t": random.text(6), "_vector": random.vector(5)}))
        .collect();
    world.ingest("ext", &records).await.unwrap();
    if random.one_in(2) {
        let ids: Vec<String> = (0..4).map(|_| random.id()).collect();
        world.delete("adv", Selection::Ids(ids.clone())).await.unwrap();
        world.delete("ext", Selection::Ids(ids)).await.unwrap();
    }
}

/// Files of the derived indexes.
fn derived(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            derived(&path, found);
        } else if path.components().any(|part| matches!(part.as_os_str().to_str(), Some("lexical" | "vectors"))) {
            found.push(path);
        }
    }
}

/// Deletes, cuts, fills or flips derived files.
fn spoil(path: &Path, random: &mut Random) -> Vec<String> {
    let mut files = Vec::new();
    derived(path, &mut files);
    files.sort();
    let mut done = Vec::new();
    for file in files {
        if !random.one_in(3) {
            continue;
        }
        let mut bytes = fs::read(&file).unwrap();
        let how = random.below(5);
        match how {
            0 => fs::remove_file(&file).unwrap(),
            1 => fs::write(&file, b"").unwrap(),
            2 => fs::write(&file, &bytes[..random.below(bytes.len())]).unwrap(),
            3 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
                fs::write(&file, bytes).unwrap();
            }
            _ => fs::write(&file, vec![0xa5; bytes.len()]).unwrap(),
        }
        done.push(format!("{how} {}", file.strip_prefix(path).unwrap().display()));
    }
    done
}

fn assert_same(got: &[String], want: &[String], place: &str) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        if got != want {
            let at = got.chars().zip(want.chars()).take_while(|(a, b)| a == b).count();
            let part = |text: &str| text.chars().skip(at.saturating_sub(100)).take(260).collect::<String>();
            panic!("{place}, answer {i}:\n got …{}\nwant …{}", part(got), part(want));
        }
    }
}

fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("UCAP_SEED").ok().and_then(|seed| seed.parse().ok());
    asked.map_or(first..first + count, |seed: u64| seed..seed + 1)
}

#[tokio::test]
async fn what_was_acknowledged_is_found_after_a_crash_at_any_moment() {
    for seed in seeds(1, 6) {
        let home = TempDir::new().unwrap();
        let running = home.path().join("running");
        let mut random = Random::new(seed);
        let mut live = world(&running).await;
        for step in 0..6 {
            change(&live, &mut random).await;
            // A flush by closing: some of what follows is in segments, some only in the records.
            if random.one_in(3) {
                live.reopen().await.unwrap();
            }
            if random.one_in(3) {
                change(&live, &mut random).await;
            }
            let crashed = home.path().join(format!("crash{step}"));
            copy(&running, &crashed);
            let want = answers(&live).await;
            let mut found = world(&crashed).await;
            assert_same(&answers(&found).await, &want, &format!("UCAP_SEED={seed} step {step}"));
            // The survivor goes on, and lasts.
            found.reopen().await.unwrap();
            assert_same(&answers(&found).await, &want, &format!("UCAP_SEED={seed} step {step}, opened again"));
            found.close().await.unwrap();
        }
        live.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_waited_is_embedded_after_a_crash_at_any_moment() {
    let home = TempDir::new().unwrap();
    let running = home.path().join("running");
    let mut random = Random::new(21);
    let live = world(&running).await;
    let reference = World::in_memory().await.unwrap();
    let osv = json!({"format": "osv"});
    reference.datasource("adv", &osv).await.unwrap();
    for step in 0..6 {
        let advisories: Vec<Json> = (0..20).map(|_| random.advisory()).collect();
        live.ingest_waiting("adv", &advisories, Wait::Durable).await.unwrap();
        reference.ingest("adv", &advisories).await.unwrap();
        if step % 2 == 1 {
            live.retriever().embed_waiting_once(live.context()).await.unwrap();
        }
        let ids: Vec<String> = (0..4).map(|_| random.id()).collect();
        live.delete("adv", Selection::Ids(ids.clone())).await.unwrap();
        reference.delete("adv", Selection::Ids(ids)).await.unwrap();
        let crashed = home.path().join(format!("crash{step}"));
        copy(&running, &crashed);
        let found = world(&crashed).await;
        found.retriever().resume_queues().await.unwrap();
        found.retriever().embed_waiting_once(found.context()).await.unwrap();
        let request =
            |mode| request!(SearchRequest::new("heap kernel").with_mode(mode), limit: 200).with_datasources(["adv"]);
        for mode in [Mode::Lexical, Mode::Vector] {
            let (got, want) = (found.answer(&request(mode)).await, reference.answer(&request(mode)).await);
            assert_same(&[got], &[want], &format!("step {step}"));
        }
        found.close().await.unwrap();
    }
    live.close().await.unwrap();
}

#[tokio::test]
async fn what_is_derived_is_derived_again() {
    for seed in seeds(100, 12) {
        let home = TempDir::new().unwrap();
        let running = home.path().join("running");
        let mut random = Random::new(seed);
        let mut live = world(&running).await;
        for _ in 0..3 {
            change(&live, &mut random).await;
            live.reopen().await.unwrap();
            change(&live, &mut random).await;
        }
        let want = answers(&live).await;
        if random.one_in(2) {
            live.reopen().await.unwrap();
        }
        live.close().await.unwrap();
        let spoiled = home.path().join("spoiled");
        copy(&running, &spoiled);
        let place = format!("UCAP_SEED={seed} {:?}", spoil(&spoiled, &mut random));
        let found = world(&spoiled).await;
        let mut got = answers(&found).await;
        // Damage that shows at the first read answers 503 until the datasource has been opened again.
        for _ in 0..3 {
            if got.iter().any(|answer| answer.starts_with("DatasourceRebuilding")) {
                got = answers(&found).await;
            }
        }
        assert_same(&got, &want, &place);
        change(&found, &mut random).await;
        let after = answers(&found).await;
        found.close().await.unwrap();
        let again = world(&spoiled).await;
        assert_same(&answers(&again).await, &after, &format!("{place}, opened again"));
        again.close().await.unwrap();
    }
}

#[tokio::test]
async fn without_any_derived_file_the_answers_are_the_same() {
    let home = TempDir::new().unwrap();
    let running = home.path().join("running");
    let mut random = Random::new(5);
    let mut live = world(&running).await;
    for _ in 0..4 {
        change(&live, &mut random).await;
        live.reopen().await.unwrap();
    }
    let want = answers(&live).await;
    live.close().await.unwrap();
    for entry in fs::read_dir(&running).unwrap() {
        for index in ["lexical", "vectors"] {
            let index = entry.as_ref().unwrap().path().join(index);
            fs::remove_dir_all(index).unwrap();
        }
    }
    let found = world(&running).await;
    assert_same(&answers(&found).await, &want, "rebuilt");
    found.close().await.unwrap();
}

#[tokio::test]
async fn a_deleted_datasource_leaves_no_file() {
    let home = TempDir::new().unwrap();
    let live = world(home.path()).await;
    change(&live, &mut Random::new(1)).await;
    for left in [1, 0] {
        live.delete_datasource(["ext", "adv"][left]).await.unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), left);
    }
    live.close().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_while_a_datasource_opens_harms_nobody() {
    let home = TempDir::new().unwrap();
    let mut live = world(home.path()).await;
    change(&live, &mut Random::new(1)).await;
    let want = answers(&live).await;
    for pause in 0..40 {
        live.reopen().await.unwrap();
        let all = request!(SearchRequest::default(), mode: Mode::Filter);
        for _ in 0..2 {
            let wait = std::time::Duration::from_micros(50 * pause);
            drop(tokio::time::timeout(wait, live.search("admin", &all)).await);
        }
        assert_same(&answers(&live).await, &want, &format!("pause {pause}"));
    }
    live.close().await.unwrap();
}
