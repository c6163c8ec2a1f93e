//! What lies at a documented bound works; what is documented and not built yet says so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{ADMIN, Server};

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_filters_are_answered() {
    let (server, _) = Server::with_two_domains().await;
    server.notes("many", "open").await;
    server.lines("many", "{\"id\":\"a\",\"n\":7}\n{\"id\":\"b\",\"n\":5000}", ADMIN).await;
    let parts: Vec<Value> = (0..999).map(|n| json!({"eq": {"n": n}})).collect();
    let negated: Vec<Value> = (0..998).map(|n| json!({"ne": {"n": n}})).collect();
    for (filter, id) in [(json!({"or": parts}), "a"), (json!({"and": negated}), "b")] {
        let found = server.make("POST", "/v1/datasources/many/query", json!({"filter": filter})).await;
        assert_eq!((found["total"].as_u64(), found["hits"][0]["id"].as_str()), (Some(1), Some(id)));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_does_not_fit_a_datasource_that_came_after() {
    let (server, _) = Server::with_two_domains().await;
    for mode in [json!({"mode": "filter"}), json!({"mode": "lexical", "query": "word"})] {
        server.notes("again", "open").await;
        let lines: String = (0..5).map(|n| format!("{{\"id\":\"{n}\",\"body\":\"word\"}}\n")).collect();
        server.lines("again", &lines, ADMIN).await;
        let mut ask = mode;
        ask["datasources"] = json!(["again"]);
        ask["limit"] = json!(2);
        let first = server.make("POST", "/v1/search", ask.clone()).await;
        ask["cursor"] = first["next"].clone();
        assert_eq!(server.call("POST", "/v1/search", ask.clone(), ADMIN).await.status, 200);
        server.make("DELETE", "/v1/datasources/again", Value::Null).await;
        server.notes("again", "open").await;
        server.lines("again", &lines, ADMIN).await;
        let reply = server.call("POST", "/v1/search", ask, ADMIN).await;
        assert_eq!((reply.status, &*reply.code()), (400, "invalid_cursor"));
        server.make("DELETE", "/v1/datasources/again", Value::Null).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_or_means_nothing_is_refused() {
    let (server, _) = Server::with_two_domains().await;
    let new = json!({"id": "x", "domain": "open", "format": "osv", "retention_days": 0});
    let text = json!({"schema": {"text": ["body", "n"]}});
    for (method, path, body, param) in [
        ("POST", "/v1/datasources", new, "retention_days"),
        ("PATCH", "/v1/datasources/open-notes", json!({"retention_days": 36_501}), "retention_days"),
        ("PATCH", "/v1/datasources/open-notes", text, "schema"),
    ] {
        let reply = server.call(method, path, body, ADMIN).await;
        let error = &reply.json()["error"];
        assert_eq!((reply.status, error["param"].as_str()), (400, Some(param)), "{}", reply.text);
    }
    let same = json!({"schema": {"text": ["body"]}});
    assert_eq!(server.call("PATCH", "/v1/datasources/open-notes", same, ADMIN).await.status, 200);
    assert_eq!(server.call("DELETE", "/v1/domains/open?cascade", Value::Null, ADMIN).await.status, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn affected_versions_of_another_shape_are_refused_and_unparsable_ones_never_an_empty_success() {
    let (server, _) = Server::with_two_domains().await;
    server.make("POST", "/v1/datasources", json!({"id": "adv", "domain": "open", "format": "osv"})).await;
    let package = r#""package":{"ecosystem":"npm","name":"x"}"#;
    let bad = [
        r#""ranges":"no""#,
        r#""versions":"1.0.0""#,
        r#""versions":[1]"#,
        r#""ranges":[{"type":"SEMVER","events":{"introduced":"0"}}]"#,
        r#""ranges":[{"type":"SEMVER","events":[{"introduced":0}]}]"#,
    ];
    let lines: String =
        bad.iter().map(|part| format!("{{\"id\":\"b\",\"affected\":[{{{package},{part}}}]}}\n")).collect();
    let report = server.lines("adv", &lines, ADMIN).await.json();
    assert_eq!((report["accepted"].as_u64(), report["rejected_count"].as_u64()), (Some(0), Some(5)), "{report}");
    let affects = json!({"affects": {"ecosystem": "PyPI", "package": "x", "version": "nope nope"}});
    for datasource in ["adv", "open-notes"] {
        let path = format!("/v1/datasources/{datasource}/query");
        let reply = server.call("POST", &path, json!({"filter": affects}), ADMIN).await;
        assert!(reply.status == 400 && reply.text.contains("PyPI"), "{} {}", reply.status, reply.text);
    }
    server.stop().await;
}
