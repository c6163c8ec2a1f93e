//! Connections and places: HTTP/2, the share of one writer, a second listener, and the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use reqwest::Version;
use serde_json::{Value, json};
use support::{ADMIN, Server};
use tokio::task::JoinHandle;
use ucap_server::config::ServerConfig;

/// An ingest whose body does not end before `sender` is dropped.
struct Upload {
    sender: UnboundedSender<Result<Vec<u8>, std::io::Error>>,
    answer: JoinHandle<reqwest::Result<reqwest::Response>>,
}

impl Upload {
    /// Answers when the server has committed a batch of it: then the ingest runs.
    async fn begin(server: &Server, datasource: &str, key: &str, prefix: &str) -> Self {
        let (sender, body) = unbounded();
        let request = server.request("POST", &format!("/v1/datasources/{datasource}/records"), key);
        let request = request.header("content-type", "application/x-ndjson").body(reqwest::Body::wrap_stream(body));
        let answer = tokio::spawn(request.send());
        let batch: String = (0..1001).map(|n| format!("{{\"id\":\"{prefix}/{n}\"}}\n")).collect();
        sender.unbounded_send(Ok(batch.into_bytes())).unwrap();
        let last = format!("/v1/datasources/{datasource}/records/{prefix}%2F999");
        while server.call("GET", &last, Value::Null, ADMIN).await.status != 200 {}
        Self { sender, answer }
    }

    async fn end(self) -> u16 {
        drop(self.sender);
        self.answer.await.unwrap().unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_writer_leaves_places_to_the_others() {
    let config = ServerConfig { max_ingests: NonZeroUsize::new(8).unwrap(), ..ServerConfig::default() };
    assert_eq!(config.ingests_of_one(), 2);
    let (server, ana) = Server::with_two_domains_on(config).await;
    server.grant("user:ana", "domain:open", &["write"]).await;
    let stalled =
        [Upload::begin(&server, "open-notes", &ana, "a").await, Upload::begin(&server, "open-notes", &ana, "b").await];
    let refused = server.lines("open-notes", "{\"id\":\"c\"}", &ana).await;
    assert_eq!((refused.status, &*refused.code()), (503, "overloaded"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(server.lines("open-notes", "{\"id\":\"c\"}", ADMIN).await.status, 200);
    for upload in stalled {
        assert_eq!(upload.end().await, 200);
    }
    assert_eq!(server.lines("open-notes", "{\"id\":\"c\"}", &ana).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_until_the_last_request_has_ended() {
    let (mut server, _) = Server::with_two_domains().await;
    let upload = Upload::begin(&server, "open-notes", ADMIN, "a").await;
    assert_eq!(server.call("GET", "/readyz", Value::Null, "").await.status, 200);
    server.tell_to_stop();
    // The signal is on its way: until it has come, requests are answered as before.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let ask = async |path: &str| {
        let request = client.get(format!("http://{}{path}", server.address)).bearer_auth(ADMIN);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
    };
    while ask("/readyz").await.0 == 200 {}
    for path in ["/readyz", "/v1/me"] {
        let (status, headers, body) = ask(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["error"]["code"].as_str()), (503, Some("unavailable")), "{path}");
        assert_eq!(headers["retry-after"], "1");
    }
    assert_eq!(ask("/healthz").await.0, 200);
    assert_eq!(upload.end().await, 200, "what ran has ended in order");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_can_have_a_listener_of_their_own() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ServerConfig { admin_listen: Some(anywhere), ..ServerConfig::default() };
    let server = Server::start_with(config).await;
    let base = format!("http://{}", server.admin_address.as_ref().unwrap());
    let here = async |method: &str, path: &str, key: &str| {
        let reply = server.call(method, path, Value::Null, key).await;
        (reply.status, reply.text)
    };
    let there = async |method: &str, path: &str, key: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let response = server.client.request(method, format!("{base}{path}")).bearer_auth(key).json(&body).send();
        response.await.unwrap().status().as_u16()
    };
    assert_eq!(there("POST", "/v1/users", ADMIN, json!({"id": "ana"})).await, 201);
    assert_eq!(there("POST", "/v1/domains", ADMIN, json!({"id": "d", "public": true})).await, 201);
    let missing = here("GET", "/v1/nosuch", ADMIN).await;
    assert_eq!(missing.0, 404);
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/v1/users"),
        ("HEAD", "/v1/users"),
        ("POST", "/v1/users"),
        ("PUT", "/v1/users"),
        ("GET", "/v1/users/ana"),
        ("DELETE", "/v1/users/ana"),
        ("GET", "/v1/groups"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/domains"),
        ("POST", "/v1/datasources"),
        ("POST", "/v1/audit/verify"),
    ] {
        let answer = here(method, path, ADMIN).await;
        if method == "HEAD" {
            assert_eq!(answer.0, 404);
        } else {
            assert_eq!(answer, missing, "{method} {path}: as any path that is no route");
        }
        assert_eq!(here(method, path, "").await.0, 401, "{method} {path}");
    }
    for path in ["/v1/domains/d", "/v1/domains", "/v1/keys", "/v1/me", "/v1/grants", "/v1/audit", "/healthz"] {
        assert_eq!(here("GET", path, ADMIN).await.0, 200, "{path}");
        assert_eq!(there("GET", path, ADMIN, Value::Null).await, 200, "{path}");
    }
    for path in ["/metrics", "/v1/users", "/v1/users/ana", "/v1/groups"] {
        assert_eq!(there("GET", path, ADMIN, Value::Null).await, 200, "{path}");
        assert_eq!(there("GET", path, "nonsense", Value::Null).await, 401, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_without_asking() {
    let (server, ana) = Server::with_two_domains().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let post =
        |path: &str, key: &str| client.post(format!("http://{}{path}", server.address)).bearer_auth(key.to_owned());
    let search = json!({"query": "overflow", "explain": true});
    let plain = server.call("POST", "/v1/search", search.clone(), &ana).await;
    let found = post("/v1/search", &ana).json(&search).send().await.unwrap();
    assert_eq!((found.version(), found.status().as_u16()), (Version::HTTP_2, 200));
    assert!(found.headers().contains_key("server-timing"));
    assert_eq!(found.text().await.unwrap(), plain.text);

    // A stream of several MiB, in pieces that know nothing of lines; and searches beside it on the same connection.
    let lines: Vec<u8> = (0..4000)
        .flat_map(|n| format!("{{\"id\":\"h2/{n}\",\"body\":\"{}\"}}\n", "word ".repeat(240)).into_bytes())
        .collect();
    assert!(lines.len() > 4 << 20, "{}", lines.len());
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = lines.chunks(30_011).map(|piece| Ok(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let records = "/v1/datasources/open-notes/records";
    let ingest = post(records, ADMIN).header("content-type", "application/x-ndjson").body(body).send();
    let beside = async {
        for _ in 0..5 {
            assert_eq!(post("/v1/search", &ana).json(&search).send().await.unwrap().status(), 200);
        }
    };
    let (report, ()) = tokio::join!(ingest, beside);
    let report = report.unwrap();
    assert_eq!((report.version(), report.status().as_u16()), (Version::HTTP_2, 200));
    let report: Value = report.json().await.unwrap();
    assert_eq!((report["accepted"].as_u64(), report["rejected_count"].as_u64()), (Some(4000), Some(0)), "{report}");

    // Refused before their end, uploads are answered, not reset; the connection goes on.
    for (path, key, status) in [
        ("/v1/search", "", 401),
        ("/v1/search", &*ana, 413),
        (records, &*ana, 403),
        ("/v1/datasources/secret-notes/records", &*ana, 404),
    ] {
        let request = post(path, key).header("content-type", "application/json").body("x".repeat(8 << 20));
        let refused = request.send().await.unwrap();
        assert_eq!((refused.version(), refused.status().as_u16()), (Version::HTTP_2, status), "{path}");
        let body: Value = refused.json().await.unwrap();
        assert!(body["error"]["code"].is_string(), "{body}");
    }
    assert_eq!(post("/v1/search", &ana).json(&search).send().await.unwrap().status(), 200);
    server.stop().await;
}

/// Every file of the data directory is its owner's alone, or lies in a directory that is (tantivy makes its own).
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    fn check(path: &std::path::Path, seen: &mut Vec<String>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let name = entry.path().display().to_string();
            if entry.file_type().unwrap().is_dir() {
                assert_eq!(mode, 0o700, "{name}");
                check(&entry.path(), seen);
            } else {
                assert!(mode == 0o600 || name.contains("/lexical/"), "{name}: {mode:o}");
                seen.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let (server, _) = Server::with_two_domains().await;
    let directory = server.platform.path().to_owned();
    let mut seen = Vec::new();
    check(&directory, &mut seen);
    for name in
        ["catalog.db", "catalog.db-wal", "records.db", "manifest.json", "peppers", "cursor.key", "LOCK", "FORMAT"]
    {
        assert!(seen.iter().any(|held| held == name), "{name}: {seen:?}");
    }
    // Closed, it has written what waited in memory: segments of vectors too.
    server.platform.close().await.unwrap();
    check(&directory, &mut seen);
    assert!(seen.iter().any(|held| held.ends_with(".seg")), "{seen:?}");
}
