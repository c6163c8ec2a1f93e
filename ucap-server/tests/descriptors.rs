//! More datasources than the system gives files for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/process.rs"]
mod process;

use process::Process;
use serde_json::json;

const DATASOURCES: usize = 400;
const ROUNDS: usize = 3;
const LIMIT: usize = 1024;

#[tokio::test]
async fn four_hundred_datasources_fit_in_a_thousand_files() {
    let folder = tempfile::tempdir().unwrap();
    // Soft and hard: the server cannot help itself.
    let server = Process::start(&folder.path().join("data"), &format!("ulimit -n {LIMIT}"), &[]);
    assert!(server.log.contains("retrieval.max_open"), "{}", server.log);
    let ids: Vec<String> = (0..DATASOURCES).map(|i| format!("notes-{i:03}")).collect();
    server.notes("d", &ids, json!({"vectors": false})).await;
    for (i, id) in ids.iter().enumerate() {
        let line =
            json!({"id": format!("r{i}"), "body": format!("the walrus sleeps {}", "soundly ".repeat(i % 7)), "n": i});
        let (status, report) = server.lines(&format!("/v1/datasources/{id}/records"), line.to_string()).await;
        assert_eq!((status, report["accepted"].as_u64()), (200, Some(1)), "{report}");
    }
    let ask = async |body| server.make("POST", "/v1/search", body).await;
    let first = ask(json!({"query": "walrus", "mode": "lexical", "limit": DATASOURCES})).await;
    assert_eq!(first["total"], DATASOURCES);
    assert_eq!(first["hits"].as_array().unwrap().len(), DATASOURCES);
    for round in 0..ROUNDS {
        let again = ask(json!({"query": "walrus", "mode": "lexical", "limit": DATASOURCES})).await;
        assert_eq!(again, first, "round {round}");
        let sort = json!([{"field": "n", "order": "desc"}]);
        let sorted = ask(json!({"mode": "filter", "filter": "n >= 10", "sort": sort, "limit": DATASOURCES})).await;
        assert_eq!(sorted["hits"].as_array().unwrap().len(), DATASOURCES - 10);
        assert_eq!(sorted["hits"][0]["id"], format!("r{}", DATASOURCES - 1));
        // Several at once want places of each other.
        let asked = (0..4).map(|_| ask(json!({"query": "walrus", "mode": "lexical", "limit": 1})));
        let answers = futures::future::join_all(asked).await;
        assert!(answers.iter().all(|answer| answer["hits"][0] == first["hits"][0]));
        let files = server.open_files();
        assert!(files < LIMIT * 3 / 4, "{files} files are open");
    }
}

#[tokio::test]
async fn a_soft_limit_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let hard = std::process::Command::new("sh").args(["-c", "ulimit -Hn"]).output().unwrap();
    let hard = String::from_utf8(hard.stdout).unwrap().trim().to_owned();
    let server = Process::start(&folder.path().join("data"), "ulimit -Sn 1024", &[]);
    if hard != "1024" && hard != "unlimited" {
        assert!(server.log.contains(&format!("limit={hard}")), "{}", server.log);
    }
}
