//! Deleted is gone: from every table of the records, and from the files of the indexes with the next compaction.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;
use ucap_core::Result;
use ucap_retrieval::backends::embedded::{EmbeddedBackend, EmbeddedOptions};
use ucap_retrieval::conformance::{Instance, Random, World, model};
use ucap_retrieval::{DatastoreBackend, Filter, Selection, Wait};

const NAMES: [&str; 3] = ["adv", "rec", "doc"];
/// Tables that tell of the datasource, not of its records.
const OF_NO_RECORD: [&str; 3] = ["meta", "field", "sqlite_sequence"];

struct Directory(PathBuf, Arc<EmbeddedBackend>);

impl Instance for Directory {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.1.clone()
    }

    fn reopen(&mut self) -> Result<Arc<dyn DatastoreBackend>> {
        self.1 = backend(&self.0);
        Ok(self.1.clone())
    }
}

fn backend(path: &Path) -> Arc<EmbeddedBackend> {
    EmbeddedBackend::open(path.to_owned(), EmbeddedOptions::new(model())).unwrap()
}

/// Datasources of each format, and records that fill each table; some of them wait.
async fn filled(home: &Path) -> World {
    let world = World::new(Box::new(Directory(home.to_owned(), backend(home)))).await.unwrap();
    let schema = json!({"text": ["t"], "fields": {"t": {"type": "text"}, "tags": {"type": "keyword", "list": true},
        "n": {"type": "integer"}, "v": {"type": "version", "ecosystem": "npm"}}});
    world.datasource("adv", &json!({"format": "osv", "retention_days": 1})).await.unwrap();
    world.datasource("rec", &json!({"format": "records", "schema": schema, "retention_days": 1})).await.unwrap();
    world.datasource("doc", &json!({"format": "documents", "retention_days": 1})).await.unwrap();
    let mut random = Random::new(3);
    let affected = json!([{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0", "no version!"],
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.0.0"}]}]}]);
    let mut advisories: Vec<Json> = (0..60).map(|_| random.advisory()).collect();
    advisories.extend((0..20).map(
        |i| json!({"id": format!("A-{i}"), "summary": "affects", "aliases": [format!("B-{i}")], "affected": affected}),
    ));
    let records: Vec<Json> = (0..40)
        .map(|i| json!({"id": format!("r{i}"), "t": random.text(30), "tags": ["a", format!("t{i}")], "n": i, "v": "1.2.3"}))
        .collect();
    let documents: Vec<Json> = (0..40)
        .map(|i| json!({"id": format!("d{i}"), "title": "T", "text": format!("# H\n\n{}", random.text(400))}))
        .collect();
    for (name, records) in NAMES.into_iter().zip([advisories, records, documents]) {
        world.ingest(name, &records).await.unwrap();
        // Replaced ones leave their own rows behind, if any do.
        world.ingest(name, &records[..10]).await.unwrap();
        world
            .ingest_waiting(name, &records[5..15].iter().map(changed).collect::<Vec<_>>(), Wait::Durable)
            .await
            .unwrap();
    }
    world
}

fn changed(record: &Json) -> Json {
    let mut record = record.clone();
    let text = if record.get("t").is_some() {
        "t"
    } else if record.get("text").is_some() {
        "text"
    } else {
        "summary"
    };
    record[text] = "changed".into();
    record
}

fn directory_of(home: &Path, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    let is_its = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}~"));
    entries.into_iter().find(is_its).unwrap()
}

/// Rows of each table.
async fn rows(home: &Path, name: &str) -> Vec<(String, i64)> {
    let file = directory_of(home, name).join("records.db");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let tables =
        sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&mut connection).await.unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        if OF_NO_RECORD.contains(&&*table) {
            continue;
        }
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut connection).await.unwrap();
        rows.push((table, count));
    }
    connection.close().await.unwrap();
    rows
}

/// Files that hold words or vectors, and their bytes.
fn index_files(home: &Path, name: &str) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for index in ["lexical", "vectors"] {
        for entry in std::fs::read_dir(directory_of(home, name).join(index)).unwrap() {
            let entry = entry.unwrap();
            let file = entry.file_name().to_string_lossy().into_owned();
            // What only names the others.
            if !file.starts_with("manifest") && !file.starts_with('.') && file != "meta.json" {
                files.push((format!("{index}/{file}"), entry.metadata().unwrap().len()));
            }
        }
    }
    files
}

async fn delete_all(world: &World, way: usize, name: &str) {
    let all = Filter::from_json(&json!({"and": []})).unwrap();
    match way {
        0 => {
            let ids = (0..60).flat_map(|i| [format!("A-{i}"), format!("r{i}"), format!("d{i}")]);
            world.delete(name, Selection::Ids(ids.collect())).await.unwrap();
            world.delete(name, Selection::Filter(all)).await.unwrap();
            // Those that wait are found by their ids only.
            let waiting = world.store(name).await.unwrap().queued().await.unwrap();
            world.delete(name, Selection::Ids(waiting.into_iter().map(|(_, id)| id).collect())).await.unwrap();
        }
        1 => {
            world.retriever().embed_waiting_once(world.context()).await.unwrap();
            world.delete(name, Selection::Filter(all)).await.unwrap();
        }
        _ => {
            world.retriever().embed_waiting_once(world.context()).await.unwrap();
            world.advance(time::Duration::days(1));
            world.retriever().expire(world.context()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_table_keeps_a_row_and_no_index_a_word() {
    for way in 0..3 {
        let home = TempDir::new().unwrap();
        let mut world = filled(home.path()).await;
        // On disk, and in memory on top.
        world.reopen().await.unwrap();
        let full = rows(home.path(), "adv").await;
        assert!(full.iter().all(|(_, count)| *count > 0), "the test fills every table: {full:?}");
        for name in NAMES {
            assert!(!index_files(home.path(), name).is_empty());
            delete_all(&world, way, name).await;
            let left: Vec<_> = rows(home.path(), name).await.into_iter().filter(|(_, count)| *count > 0).collect();
            assert!(left.is_empty(), "way {way}, {name}: {left:?}");
        }
        world.reopen().await.unwrap();
        for name in NAMES {
            let left = index_files(home.path(), name);
            assert!(left.is_empty(), "way {way}, {name}: {left:?}");
            assert_eq!(world.store(name).await.unwrap().counts().await.unwrap(), (0, 0));
        }
        world.close().await.unwrap();
    }
}
