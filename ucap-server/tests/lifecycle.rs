//! Records that come early and go late: `wait=durable`, `retention_days`, and what a killed server keeps of both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::sync::Arc;
use std::time::Duration;

use process::Process;
use serde_json::{Value, json};
use support::{ADMIN, Server};
use time::OffsetDateTime;
use ucap_core::ManualClock;
use ucap_inference::{ALL_MINILM_L6_V2, ScriptedProvider, Step};
use ucap_server::config::ServerConfig;
use ucap_server::{Platform, PlatformOptions};

const NOTES: &str = "/v1/datasources/notes";

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("{{\"id\":\"r{i}\",\"body\":\"walrus {i}\",\"n\":{i}}}\n")).collect()
}

/// Asks until the answer is what it shall be in the end. The test's own patience, not a promise.
async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come about");
}

async fn total(server: &Server, mode: &str) -> Value {
    let mut request = json!({"mode": mode, "datasources": ["notes"]});
    if mode != "filter" {
        request["query"] = "walrus".into();
    }
    let found = server.make("POST", "/v1/search", request).await;
    // The total is that of the filter; what counts here is what is found.
    found["hits"].as_array().unwrap().len().into()
}

async fn pending(server: &Server) -> Value {
    server.make("GET", &format!("{NOTES}/stats"), Value::Null).await["pending"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_deletes_what_is_over_and_says_so() {
    let clock = ManualClock::new(OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000));
    let provider = Arc::new(ScriptedProvider::new(ALL_MINILM_L6_V2, 64));
    let server = Server::start_on(ServerConfig::default(), provider, |options| {
        options.clock = Arc::new(clock.clone());
        options.retention_period = Duration::from_millis(10);
    })
    .await;
    server.make("POST", "/v1/domains", json!({"id": "d", "title": "D"})).await;
    server.notes("notes", "d").await;
    let kept = server.make("PATCH", NOTES, json!({"retention_days": 2})).await;
    assert_eq!(kept["retention_days"], 2);
    assert_eq!(server.lines("notes", &lines(0, 5), ADMIN).await.json()["accepted"], 5);
    clock.advance(time::Duration::days(1));
    // The same again makes it younger.
    assert_eq!(server.lines("notes", &lines(0, 1), ADMIN).await.json()["unchanged"], 1);
    clock.advance(time::Duration::days(1));
    for mode in ["filter", "lexical", "vector", "hybrid"] {
        eventually(async || total(&server, mode).await == 1).await;
    }
    let get = server.call("GET", &format!("{NOTES}/records/r3"), Value::Null, ADMIN).await;
    assert_eq!(get.status, 404);
    let audit = server.make("GET", "/v1/audit", Value::Null).await;
    let entries = audit["data"].as_array().unwrap();
    let expired = entries.iter().find(|entry| entry["kind"] == "retrieval.expire").unwrap();
    assert_eq!((&expired["principal"], &expired["resource"]), (&"system".into(), &"datasource:notes".into()));
    assert_eq!(server.make("PATCH", NOTES, json!({"retention_days": null})).await["retention_days"], Value::Null);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_records_wait_and_are_found_in_the_end() {
    let provider = Arc::new(ScriptedProvider::new(ALL_MINILM_L6_V2, 64));
    let server = Server::start_on(ServerConfig::default(), provider.clone(), |options| options.queue.records = 8).await;
    server.make("POST", "/v1/domains", json!({"id": "d", "title": "D"})).await;
    server.notes("notes", "d").await;
    let post = async |lines: String| {
        let request = server.request("POST", &format!("{NOTES}/records?wait=durable"), ADMIN);
        server.send(request.header("content-type", "application/x-ndjson").body(lines)).await
    };
    assert_eq!(server.lines("notes", &lines(0, 1), ADMIN).await.json()["accepted"], 1);
    // The worker meets an answer that does not come.
    provider.script([Step::AnswerAfter(Duration::from_secs(100_000))]);
    let accepted = post(lines(0, 5).replace("walrus 4", "walrus four")).await;
    let want = json!({"accepted": 5, "unchanged": 1, "rejected_count": 0, "rejected": []});
    assert_eq!(accepted.json(), want);
    eventually(async || provider.calls().len() >= 2).await;
    assert_eq!(pending(&server).await, 4);
    for mode in ["filter", "lexical", "vector", "hybrid"] {
        assert_eq!(total(&server, mode).await, 1, "{mode}");
    }
    assert_eq!(server.call("GET", &format!("{NOTES}/records/r2"), Value::Null, ADMIN).await.status, 404);
    // Newer wins: one is deleted, one written at once.
    server.make("DELETE", &format!("{NOTES}/records/r2"), Value::Null).await;
    server.make("PUT", &format!("{NOTES}/records/r3"), json!({"body": "walrus three"})).await;
    assert_eq!((pending(&server).await, total(&server, "vector").await), (2.into(), 2.into()));
    let full = post(lines(10, 17)).await;
    assert_eq!((full.status, &*full.code()), (503, "overloaded"));
    assert!(full.headers.contains_key("retry-after"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_embedded_by_the_next_process_and_after_failures() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |steps: Vec<Step>| {
        let provider = Arc::new(ScriptedProvider::new(ALL_MINILM_L6_V2, 64));
        provider.script(steps);
        Platform::open_with(PlatformOptions::new(folder.path().join("data")).with_provider(provider)).await.unwrap()
    };
    let platform = open(vec![Step::AnswerAfter(Duration::from_secs(100_000))]).await;
    let admin = platform.admin_session().await.unwrap();
    admin.create_domain("d", "D", false).await.unwrap();
    let schema = json!({"fields": {"body": {"type": "text"}, "n": {"type": "integer"}}, "text": ["body"]});
    let settings = ucap_retrieval::NewSettings {
        format: "records".into(),
        schema: Some(schema),
        ..ucap_retrieval::NewSettings::default()
    };
    admin.create_datasource("notes", "d", "", None, &settings).await.unwrap();
    let mut ingest = admin.ingest("notes").await.unwrap().with_wait(ucap_retrieval::Wait::Durable);
    for line in lines(0, 5).lines() {
        ingest.record(line.as_bytes()).await.unwrap();
    }
    assert_eq!(ingest.finish().await.unwrap().accepted, 5);
    platform.close().await.unwrap();
    // The lock goes with the last who holds the platform.
    drop((admin, platform));
    let fail = || Step::Fail(ucap_core::ErrorKind::ModelUnavailable);
    let platform = open(vec![fail(), fail()]).await;
    let admin = platform.admin_session().await.unwrap();
    eventually(async || admin.stats("notes").await.unwrap().records == 5).await;
    assert_eq!(admin.stats("notes").await.unwrap().pending, 0);
    let request = ucap_retrieval::SearchRequest::new("walrus 3").with_mode(ucap_retrieval::Mode::Vector);
    assert_eq!(admin.search(&request).await.unwrap().hits.len(), 5);
    platform.close().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_keeps_what_it_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Process::start(&data, "true", &[]);
    server.notes("d", &["notes".to_owned()], json!({})).await;
    // There is no model: all of it waits.
    let (status, report) = server.lines(&format!("{NOTES}/records?wait=durable"), lines(0, 2500)).await;
    assert_eq!((status, &report["accepted"]), (200, &2500.into()), "{report}");
    server.kill();
    let server = Process::start(&data, "true", &[]);
    let stats = async || server.make("GET", &format!("{NOTES}/stats"), Value::Null).await;
    assert_eq!((stats().await["records"].clone(), stats().await["pending"].clone()), (0.into(), 2500.into()));
    let deleted = server.make("DELETE", &format!("{NOTES}/records"), json!({"ids": ["r7", "r8", "nosuch"]})).await;
    assert_eq!(deleted, json!({"deleted": 2, "missing": ["nosuch"]}));
    server.kill();
    let server = Process::start(&data, "true", &[]);
    assert_eq!(server.make("GET", &format!("{NOTES}/stats"), Value::Null).await["pending"], 2498);
    server.kill();
}
