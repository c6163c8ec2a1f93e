//! The wire: error shapes, headers, bodies, and what a bad client meets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::Write as _;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use support::{ADMIN, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use ucap_server::config::ServerConfig;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_but_the_open_ones_demands_a_credential() {
    let server = Server::start().await;
    let document = server.call("GET", "/openapi.json", Value::Null, "").await.json();
    let mut closed = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "");
        for (method, operation) in methods.as_object().unwrap() {
            let open = operation["security"] == json!([]);
            for key in ["", "ucap_live_nonsense", "\u{7f}"] {
                let request = server.request(&method.to_uppercase(), &path, "");
                let request = if key.is_empty() {
                    request
                } else {
                    request.header("authorization", format!("Bearer {key}").into_bytes())
                };
                let Ok(request) = request.build() else { continue };
                let status = server.client.execute(request).await.unwrap().status().as_u16();
                assert_eq!(status, if open { 200 } else { 401 }, "{method} {path} {key:?}");
            }
            closed += usize::from(!open);
        }
    }
    assert!(closed > 40, "{closed}");
    assert_eq!(server.call("GET", "/v1/nosuch", Value::Null, "").await.status, 401);
    assert_eq!(server.call("GET", "/.well-known/agent-card.json", Value::Null, "").await.code(), "not_found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_shape() {
    let (server, _) = Server::with_two_domains().await;
    let search = |body: &str| ("POST", "/v1/search".to_owned(), body.to_owned(), "application/json");
    for ((method, path, body, content_type), status, code, names) in [
        (search("{\"query\":"), 400, "invalid_input", "JSON"),
        (search("[\"x\"]"), 400, "invalid_input", "object"),
        (search("\"x\""), 400, "invalid_input", "object"),
        (search(""), 400, "invalid_input", "empty"),
        (search("{\"query\":\"x\"} x"), 400, "invalid_input", "JSON"),
        (search("{\"limt\":1}"), 400, "invalid_input", "limt"),
        (search("{\"query\":\"x\",\"sort\":[{\"feild\":\"n\"}]}"), 400, "invalid_input", "feild"),
        (search("{\"query\":\"x\",\"query\":\"y\"}"), 400, "invalid_input", "query"),
        (search("{\"query\":\"x\",\"limit\":-1}"), 400, "invalid_input", "limit"),
        (search("{\"query\":\"x\",\"cursor\":\"AAAA\"}"), 400, "invalid_cursor", "cursor"),
        (search("{\"query\":\"x\",\"datasources\":[\"nosuch\"]}"), 404, "not_found", "nosuch"),
        (("POST", "/v1/search?x=1".to_owned(), "{}".to_owned(), "application/json"), 400, "invalid_input", "`x`"),
        (
            ("POST", "/v1/search".to_owned(), "query=x".to_owned(), "application/x-www-form-urlencoded"),
            415,
            "unsupported_media_type",
            "JSON",
        ),
        (("GET", "/v1/nosuch".to_owned(), String::new(), ""), 404, "not_found", "route"),
        (("PUT", "/v1/search".to_owned(), "{}".to_owned(), "application/json"), 405, "method_not_allowed", "PUT"),
        (("POST", "/v1/chat/completions".to_owned(), "{}".to_owned(), "application/json"), 404, "not_found", "route"),
        (("GET", "/v1/domains?limit=0".to_owned(), String::new(), ""), 400, "invalid_input", "limit"),
        (("GET", "/v1/domains?limit=1001".to_owned(), String::new(), ""), 400, "invalid_input", "limit"),
        (("GET", "/v1/domains?cursor=%21".to_owned(), String::new(), ""), 400, "invalid_cursor", "cursor"),
        (("GET", "/v1/domains/%FF".to_owned(), String::new(), ""), 400, "invalid_input", "path"),
        (
            (
                "POST",
                "/v1/datasources/open-notes/records?wait=found".to_owned(),
                "{}".to_owned(),
                "application/x-ndjson",
            ),
            400,
            "invalid_input",
            "durable",
        ),
        (
            ("POST", "/v1/datasources/open-notes/records".to_owned(), "{}".to_owned(), "image/png"),
            415,
            "unsupported_media_type",
            "ndjson",
        ),
        (
            (
                "POST",
                "/v1/datasources".to_owned(),
                "{\"id\":\"z\",\"domain\":\"open\",\"format\":\"osv\",\"datastores\":{}}".to_owned(),
                "application/json",
            ),
            400,
            "unsupported",
            "datastores",
        ),
        (("DELETE", "/v1/domains/open".to_owned(), String::new(), ""), 409, "not_empty", "cascade"),
        (
            ("POST", "/v1/domains".to_owned(), "{\"id\":\"open\",\"title\":\"other\"}".to_owned(), "application/json"),
            409,
            "already_exists",
            "open",
        ),
        (
            (
                "POST",
                "/v1/grants".to_owned(),
                "{\"subject\":\"user:a\",\"resource\":\"domain:nosuch\",\"actions\":[\"read\"]}".to_owned(),
                "application/json",
            ),
            404,
            "not_found",
            "nosuch",
        ),
    ] {
        let mut request = server.request(method, &path, ADMIN).body(body.clone());
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let reply = server.send(request).await;
        assert_eq!((reply.status, &*reply.code()), (status, code), "{method} {path} {body}: {}", reply.text);
        assert!(reply.message().contains(names), "{method} {path} {body}: {names}: {}", reply.text);
        assert!(reply.headers.contains_key("x-request-id"));
        if status == 405 {
            assert!(reply.headers["allow"].to_str().unwrap().contains("POST"), "{:?}", reply.headers);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_have_versions() {
    let server = Server::start().await;
    let made = server.call("POST", "/v1/domains", json!({"id": "d", "title": "one"}), ADMIN).await;
    assert_eq!((made.status, made.headers["etag"].to_str().unwrap()), (201, "\"1\""));
    assert_eq!(server.call("POST", "/v1/domains", json!({"id": "d", "title": "one"}), ADMIN).await.status, 200);
    let patch = |tag: &str, title: &str| {
        server.request("PATCH", "/v1/domains/d", ADMIN).header("if-match", tag).json(&json!({"title": title}))
    };
    let changed = server.send(patch("\"1\"", "two")).await;
    assert_eq!(
        (changed.status, changed.json()["version"].as_u64(), changed.headers["etag"].to_str().unwrap()),
        (200, Some(2), "\"2\"")
    );
    for tag in ["\"1\"", "1", "W/\"2\"", "\"x\""] {
        let reply = server.send(patch(tag, "three")).await;
        assert_eq!((reply.status, &*reply.code()), (412, "precondition_failed"), "{tag}");
    }
    assert_eq!(server.send(patch("*", "three")).await.status, 200);
    let gone = server.call("DELETE", "/v1/domains/d", Value::Null, ADMIN).await;
    assert_eq!(gone.json(), json!({"id": "d", "deleted": true}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_added_and_never_change_their_type() {
    let (server, _) = Server::with_two_domains().await;
    let patch =
        |schema: Value| server.request("PATCH", "/v1/datasources/open-notes", ADMIN).json(&json!({"schema": schema}));
    let added = server.send(patch(json!({"fields": {"team": {"type": "keyword"}}}))).await;
    assert_eq!(added.status, 200, "{}", added.text);
    assert_eq!(added.json()["schema"]["fields"]["team"]["type"], "keyword");
    assert_eq!(server.send(patch(json!({"fields": {"n": {"type": "text"}}}))).await.status, 400);
    assert_eq!(server.lines("open-notes", "{\"id\":\"t\",\"team\":\"red\"}", ADMIN).await.json()["accepted"], 1);
    let found = server.make("POST", "/v1/datasources/open-notes/query", json!({"filter": "team = 'red'"})).await;
    assert_eq!(found["hits"][0]["id"], "t");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let server = Server::start().await;
    for n in 0..7 {
        server.make("POST", "/v1/domains", json!({"id": format!("d{n}")})).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.make("GET", &format!("/v1/domains?limit=3{cursor}"), Value::Null).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|domain| domain["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..7).map(|n| format!("d{n}")).collect::<Vec<_>>());
    // The journal too, newest first, without gaps.
    let whole = server.make("GET", "/v1/audit?limit=1000", Value::Null).await["data"].clone();
    let first = server.make("GET", "/v1/audit?limit=4", Value::Null).await;
    let next = first["next"].as_str().unwrap();
    let second = server.make("GET", &format!("/v1/audit?limit=4&cursor={next}"), Value::Null).await;
    let both: Vec<_> = [&first, &second].iter().flat_map(|page| page["data"].as_array().unwrap().clone()).collect();
    assert_eq!(both, whole.as_array().unwrap()[..8]);
    assert_eq!(server.make("POST", "/v1/audit/verify", Value::Null).await["valid"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_in_every_framing_and_coding() {
    let (server, _) = Server::with_two_domains().await;
    let zstd = |text: &str| {
        // A frame with one raw block (RFC 8878, 3.1.1): no compressor needed.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, u8::try_from(text.len()).unwrap()];
        frame.extend(&((text.len() as u32) << 3 | 1).to_le_bytes()[..3]);
        frame.extend(text.as_bytes());
        frame
    };
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let lines = "{\"id\":\"a\"}\n\n{\"id\":\"b\",\"nosuch\":1}\n{\"id\":\"c\"}";
    let array = "[{\"id\":\"a\"}, {\"id\":\"b\",\"nosuch\":1},\n{\"id\":\"c\"}]";
    let single = "{\n  \"id\": \"a\"\n}";
    for (what, content_type, coding, body, accepted, rejected) in [
        ("lines", "application/x-ndjson", None, lines.as_bytes().to_vec(), 2, vec![3]),
        ("lines sent as json", "application/json", None, lines.as_bytes().to_vec(), 2, vec![3]),
        ("an array", "application/json", None, array.as_bytes().to_vec(), 2, vec![2]),
        ("one record", "application/json", None, single.as_bytes().to_vec(), 1, vec![]),
        ("gzip", "application/x-ndjson", Some("gzip"), gzip(lines), 2, vec![3]),
        (
            "two gzip members",
            "application/x-ndjson",
            Some("gzip"),
            [gzip("{\"id\":\"a\"}\n"), gzip("{\"id\":\"c\"}\n")].concat(),
            2,
            vec![],
        ),
        ("zstd", "application/json", Some("zstd"), zstd(array), 2, vec![2]),
        ("nothing", "application/x-ndjson", None, vec![], 0, vec![]),
    ] {
        let mut request = server
            .request("POST", "/v1/datasources/open-notes/records", ADMIN)
            .header("content-type", content_type)
            .body(body);
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        let reply = server.send(request).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text);
        let report = reply.json();
        let lines: Vec<_> = report["rejected"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rejection| rejection["line"].as_u64().unwrap())
            .collect();
        assert_eq!((report["accepted"].as_u64(), lines), (Some(accepted), rejected), "{what}: {report}");
    }
    let broken = server
        .request("POST", "/v1/datasources/open-notes/records", ADMIN)
        .header("content-type", "application/x-ndjson");
    assert_eq!(
        server.send(broken.header("content-encoding", "gzip").body("no gzip at all, but long enough")).await.status,
        400
    );
    let strange = server
        .request("POST", "/v1/datasources/open-notes/records", ADMIN)
        .header("content-type", "application/x-ndjson");
    assert_eq!(server.send(strange.header("content-encoding", "br").body("x")).await.status, 415);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_id_is_put_read_and_deleted() {
    let (server, _) = Server::with_two_domains().await;
    for id in ["e/é \u{4e2d}", "a%2Fb", "?#&+", "...", "x y"] {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/datasources/open-notes/records/{encoded}");
        let put = server.call("PUT", &path, json!({"id": id, "body": "text"}), ADMIN).await;
        assert_eq!(put.status, 201, "{id}: {}", put.text);
        assert_eq!(server.call("PUT", &path, json!({"id": id, "body": "text"}), ADMIN).await.status, 200);
        let got = server.call("GET", &path, Value::Null, ADMIN).await;
        assert_eq!((got.json()["id"].as_str(), got.text), (Some(id), put.text));
        assert_eq!(server.call("DELETE", &path, Value::Null, ADMIN).await.json(), json!({"id": id, "deleted": true}));
        assert_eq!(server.call("GET", &path, Value::Null, ADMIN).await.status, 404);
    }
    server.stop().await;
}

/// A URL parser takes `%2E%2E` for a way up; who writes the request itself reaches the record.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_two_dots_is_an_id() {
    let (server, _) = Server::with_two_domains().await;
    assert_eq!(server.lines("open-notes", "{\"id\":\"..\"}", ADMIN).await.json()["accepted"], 1);
    let request = format!(
        "GET /v1/datasources/open-notes/records/%2E%2E HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
    );
    assert!(raw(&server, request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_answered_and_not_reset() {
    let (server, ana) = Server::with_two_domains().await;
    let big = "x".repeat(8 << 20);
    for (key, path, status) in [
        ("", "/v1/search", 401),
        (&*ana, "/v1/search", 413),
        (&*ana, "/v1/datasources/open-notes/records", 403),
        (&*ana, "/v1/datasources/secret-notes/records", 404),
    ] {
        let request = server.request("POST", path, key).header("content-type", "application/json").body(big.clone());
        assert_eq!(server.send(request).await.status, status, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_stores_no_partial_line() {
    let (server, _) = Server::with_two_domains().await;
    let head = format!(
        "POST /v1/datasources/open-notes/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/x-ndjson\r\ncontent-length: 100000\r\n\r\n"
    );
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"{\"id\":\"whole\"}\n{\"id\":\"partial\"").await.unwrap();
    drop(stream);
    for _ in 0..20 {
        let found =
            server.make("POST", "/v1/datasources/open-notes/query", json!({"filter": {"eq": {"id": "partial"}}})).await;
        assert_eq!(found["total"], 0);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_let_go() {
    let config = ServerConfig { idle_timeout_ms: NonZeroUsize::new(100).unwrap(), ..ServerConfig::default() };
    let server = Server::start_with(config).await;
    assert_eq!(raw(&server, b"GET /healthz HT").await, "");
    let head =
        format!("POST /v1/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\ncontent-length: 10\r\n\r\n{{");
    assert!(raw(&server, head.as_bytes()).await.starts_with("HTTP/1.1 400"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_turned_away() {
    let config = ServerConfig { max_ingests: NonZeroUsize::new(1).unwrap(), ..ServerConfig::default() };
    let server = Server::start_with(config).await;
    server.make("POST", "/v1/domains", json!({"id": "d"})).await;
    server.notes("n", "d").await;
    let (sender, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let first =
        server.request("POST", "/v1/datasources/n/records", ADMIN).header("content-type", "application/x-ndjson");
    let first = tokio::spawn(first.body(reqwest::Body::wrap_stream(body)).send());
    // A full batch is committed while the stream goes on: once it is found, the ingest runs.
    let batch: String = (0..1001).map(|n| format!("{{\"id\":\"a{n}\"}}\n")).collect();
    sender.unbounded_send(Ok(batch.into_bytes())).unwrap();
    while server.make("POST", "/v1/datasources/n/query", json!({"limit": 1})).await["total"] != 1000 {}
    let refused = server.lines("n", "{\"id\":\"b\"}", ADMIN).await;
    assert_eq!(
        (refused.status, &*refused.code(), refused.headers["retry-after"].to_str().unwrap()),
        (503, "overloaded", "1")
    );
    drop(sender);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(server.lines("n", "{\"id\":\"b\"}", ADMIN).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_as_documented() {
    let (server, ana) = Server::with_two_domains().await;
    let search = |id: &str| {
        server.request("POST", "/v1/search", &ana).header("x-request-id", id).json(&json!({"query": "overflow"}))
    };
    let reply = server.send(search("my-id.1")).await;
    assert_eq!(reply.headers["x-request-id"], "my-id.1");
    let timing = reply.headers["server-timing"].to_str().unwrap();
    assert!(
        ["embed;dur=", "filter;dur=", "lexical;dur=", "vector;dur=", "fuse;dur="]
            .iter()
            .all(|part| timing.contains(part)),
        "{timing}"
    );
    let minted = server.send(search("bad id\u{20}")).await;
    assert!(minted.headers["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert_eq!(minted.text, reply.text);
    let head = server.call("HEAD", "/v1/datasources/open-notes", Value::Null, &ana).await;
    assert_eq!((head.status, &*head.text), (200, ""));
    assert!(head.headers.contains_key("etag"));
    let unauthenticated = server.call("GET", "/v1/me", Value::Null, "").await;
    assert!(unauthenticated.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    server.stop().await;
}
