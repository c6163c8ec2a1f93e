//! What the server says about itself: `/openapi.json`, `/docs`, `/metrics`, and that its logs hold no secrets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{ADMIN, Server};

fn references<'a>(json: &'a Value, found: &mut Vec<&'a str>) {
    match json {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Whether `value` has exactly the keys that `schema` allows, and all that it demands, all the way down.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) {
    let mut schema = schema;
    while let Some(name) = schema["$ref"].as_str() {
        schema = document.pointer(name.trim_start_matches('#')).unwrap();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let object = choices.iter().find(|choice| choice["type"] != "null");
        return if value.is_null() {
        } else {
            conforms(document, object.unwrap(), value, at)
        };
    }
    match value {
        Value::Object(map) if schema["properties"].is_object() => {
            let known = schema["properties"].as_object().unwrap();
            for (key, inner) in map {
                let schema = known.get(key).unwrap_or_else(|| panic!("{at}.{key} is not documented"));
                conforms(document, schema, inner, &format!("{at}.{key}"));
            }
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(required.as_str().unwrap()), "{at} lacks {required}");
            }
        }
        Value::Array(values) if schema["items"].is_object() => {
            values.iter().for_each(|value| conforms(document, &schema["items"], value, &format!("{at}[]")));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_documented() {
    let (server, _) = Server::with_two_domains().await;
    let document = server.call("GET", "/openapi.json", Value::Null, "").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let key = server.make("GET", "/v1/keys", Value::Null).await["data"][0]["id"].as_str().unwrap().to_owned();
    let grant = server.make("GET", "/v1/grants", Value::Null).await["data"][0]["id"].as_str().unwrap().to_owned();
    let embeddings = json!({"model": "local/all-minilm-l6-v2", "input": "x"});
    let question = json!({"resource": "domain:open", "action": "read"});
    let mut checked = BTreeSet::new();
    for (method, template, path, body) in [
        (
            "POST",
            "/v1/search",
            "/v1/search".to_owned(),
            json!({"query": "overflow", "explain": true, "filter": {"exists": "n"}}),
        ),
        ("POST", "/v1/datasources/{id}/query", "/v1/datasources/open-notes/query".to_owned(), json!({"limit": 1})),
        (
            "GET",
            "/v1/datasources/{id}/records/{record}",
            "/v1/datasources/open-notes/records/open%2F1".to_owned(),
            Value::Null,
        ),
        ("GET", "/v1/datasources/{id}/stats", "/v1/datasources/open-notes/stats".to_owned(), Value::Null),
        (
            "POST",
            "/v1/datasources/{id}/records",
            "/v1/datasources/open-notes/records".to_owned(),
            json!([{"id": "x"}, {}]),
        ),
        (
            "DELETE",
            "/v1/datasources/{id}/records",
            "/v1/datasources/open-notes/records".to_owned(),
            json!({"ids": ["x", "y"]}),
        ),
        ("GET", "/v1/domains", "/v1/domains".to_owned(), Value::Null),
        ("GET", "/v1/datasources", "/v1/datasources".to_owned(), Value::Null),
        ("GET", "/v1/datasources/{id}", "/v1/datasources/open-notes".to_owned(), Value::Null),
        ("GET", "/v1/users", "/v1/users".to_owned(), Value::Null),
        ("POST", "/v1/groups", "/v1/groups".to_owned(), json!({"id": "g"})),
        ("GET", "/v1/groups", "/v1/groups".to_owned(), Value::Null),
        ("GET", "/v1/grants/{id}", format!("/v1/grants/{grant}"), Value::Null),
        ("GET", "/v1/keys/{id}", format!("/v1/keys/{key}"), Value::Null),
        (
            "POST",
            "/v1/keys",
            "/v1/keys".to_owned(),
            json!({"user": "ana", "scopes": [{"resource": "domain:*", "actions": ["read"]}]}),
        ),
        ("GET", "/v1/me", "/v1/me".to_owned(), Value::Null),
        ("POST", "/v1/permissions/check", "/v1/permissions/check".to_owned(), question.clone()),
        ("POST", "/v1/permissions/explain", "/v1/permissions/explain".to_owned(), question),
        ("GET", "/v1/models", "/v1/models".to_owned(), Value::Null),
        ("POST", "/v1/embeddings", "/v1/embeddings".to_owned(), embeddings),
        ("GET", "/v1/audit", "/v1/audit".to_owned(), Value::Null),
        ("POST", "/v1/audit/verify", "/v1/audit/verify".to_owned(), Value::Null),
        ("GET", "/healthz", "/healthz".to_owned(), Value::Null),
        ("GET", "/readyz", "/readyz".to_owned(), Value::Null),
        ("GET", "/v1/domains/{id}", "/v1/domains/nosuch".to_owned(), Value::Null),
    ] {
        let reply = server.call(method, &path, body, ADMIN).await;
        let responses = &document["paths"][template][method.to_lowercase()]["responses"];
        let documented = responses.get(reply.status.to_string()).unwrap_or(&responses["default"]);
        assert!(reply.status < 300 || reply.status == 404, "{method} {path}: {}", reply.text);
        conforms(
            &document,
            &documented["content"]["application/json"]["schema"],
            &reply.json(),
            &format!("{method} {template}"),
        );
        checked.insert((method, template));
    }
    assert_eq!(checked.len(), 25);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_is_one_page_that_needs_nothing() {
    let server = Server::start().await;
    let page = server.call("GET", "/docs", Value::Null, "").await;
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    for absent in ["http://", "https://", "<script", "src=", "@import"] {
        assert!(!page.text.contains(absent), "{absent}");
    }
    assert!(page.text.contains("/v1/search") && page.text.contains("SearchAnswer"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_and_name_no_data() {
    let (server, ana) = Server::with_two_domains().await;
    server.call("GET", "/v1/datasources/secret-notes", Value::Null, &ana).await;
    let text = server.call("GET", "/metrics", Value::Null, ADMIN).await.text;
    assert!(
        text.contains("ucap_http_requests_total{route=\"/v1/datasources/{id}\",method=\"GET\",status=\"404\"} 1"),
        "{text}"
    );
    for name in ["secret", "open-notes", "ana"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    server.stop().await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_errors_hold_no_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("ucap_server=trace,ucap_authz=trace,ucap_core=trace,ucap_retrieval=trace");
    let _ = subscriber.with_writer(move || writer.clone()).try_init();
    let (server, ana) = Server::with_two_domains().await;
    let wrong = format!("{}0", &ana[..ana.len() - 1]);
    let mut answers = String::new();
    for key in [ADMIN, &ana, &wrong] {
        for (method, path, body) in [
            ("GET", "/v1/me", Value::Null),
            ("GET", "/v1/keys", Value::Null),
            ("GET", "/v1/audit", Value::Null),
            ("POST", "/v1/search", json!({"query": "x", "nosuch": 1})),
            ("GET", "/v1/datasources/secret-notes", Value::Null),
        ] {
            answers.push_str(&server.call(method, path, body, key).await.text);
        }
    }
    server.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("answered"), "the log was not seen");
    for secret in [ADMIN, &ana, &wrong, ana.rsplit('_').next().unwrap()] {
        assert!(!log.contains(secret) && !answers.contains(secret));
    }
}
