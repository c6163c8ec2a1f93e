//! What callers see, over HTTP: two users, hidden and missing, revocation, lists, the journal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{ADMIN, Server};

fn ids(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The path and the body of a request about a datasource.
type Path = Box<dyn Fn(&str) -> String>;
type Body = Box<dyn Fn(&str) -> Value>;

#[tokio::test(flavor = "multi_thread")]
async fn hidden_answers_as_missing_byte_for_byte() {
    let (server, ana) = Server::with_two_domains().await;
    let record = |datasource: &str| format!("/v1/datasources/{datasource}/records/secret%2F1");
    let asks: Vec<(&str, Path, Body)> = vec![
        ("GET", Box::new(|d| format!("/v1/datasources/{d}")), Box::new(|_| Value::Null)),
        ("PATCH", Box::new(|d| format!("/v1/datasources/{d}")), Box::new(|_| json!({"title": "x"}))),
        (
            "PATCH",
            Box::new(|d| format!("/v1/datasources/{d}")),
            Box::new(|_| json!({"schema": {"fields": {"n": {"type": "text"}}}})),
        ),
        ("DELETE", Box::new(|d| format!("/v1/datasources/{d}")), Box::new(|_| Value::Null)),
        ("GET", Box::new(|d| format!("/v1/datasources/{d}/stats")), Box::new(|_| Value::Null)),
        (
            "POST",
            Box::new(|d| format!("/v1/datasources/{d}/query")),
            Box::new(|_| json!({"filter": {"exists": "nosuch"}})),
        ),
        ("POST", Box::new(|d| format!("/v1/datasources/{d}/records")), Box::new(|_| json!([{"id": "x"}]))),
        ("DELETE", Box::new(|d| format!("/v1/datasources/{d}/records")), Box::new(|_| json!({"ids": ["secret/1"]}))),
        ("GET", Box::new(record), Box::new(|_| Value::Null)),
        ("PUT", Box::new(record), Box::new(|_| json!({"id": "secret/1", "body": "x"}))),
        ("DELETE", Box::new(record), Box::new(|_| Value::Null)),
        ("POST", Box::new(|_| "/v1/search".to_owned()), Box::new(|d| json!({"query": "overflow", "datasources": [d]}))),
        (
            "POST",
            Box::new(|_| "/v1/permissions/check".to_owned()),
            Box::new(|d| json!({"resource": format!("datasource:{d}"), "action": "read"})),
        ),
        (
            "POST",
            Box::new(|_| "/v1/permissions/explain".to_owned()),
            Box::new(|d| json!({"resource": format!("datasource:{d}"), "action": "read"})),
        ),
        (
            "POST",
            Box::new(|_| "/v1/grants".to_owned()),
            Box::new(|d| json!({"subject": "user:ana", "resource": format!("datasource:{d}"), "actions": ["read"]})),
        ),
    ];
    for (method, path, body) in asks {
        let mut seen = Vec::new();
        for name in ["secret-notes", "nosuch-notes"] {
            let reply = server.call(method, &path(name), body(name), &ana).await;
            seen.push((reply.status, reply.text.replace(name, "NAME")));
        }
        assert_eq!(seen[0], seen[1], "{method} {}", path("NAME"));
        assert!(matches!(seen[0].0, 404 | 403 | 200), "{method} {}: {:?}", path("NAME"), seen[0]);
    }
    // What the journal holds of both is the same too, but for the name.
    let audit = server.call("GET", "/v1/audit?limit=1000", Value::Null, &ana).await.json();
    let count = |name: &str| {
        let named = |entry: &&Value| entry["resource"].as_str().is_some_and(|resource| resource.contains(name));
        audit["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(named)
            .map(|entry| format!("{}{}", entry["kind"], entry["decision"]))
            .collect::<Vec<_>>()
    };
    assert!(!count("secret-notes").is_empty());
    assert_eq!(count("secret-notes"), count("nosuch-notes"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_see_two_answers_and_a_revoked_one_nothing() {
    let (server, ana) = Server::with_two_domains().await;
    let search = json!({"query": "overflow note", "limit": 100});
    let hits = |key: String| {
        let (server, search) = (&server, search.clone());
        async move { server.call("POST", "/v1/search", search, &key).await.json() }
    };
    let seen = hits(ana.clone()).await;
    assert_eq!((seen["total"].as_u64(), seen["hits"].as_array().unwrap().len()), (Some(5), 5), "{seen}");
    assert!(seen["hits"].as_array().unwrap().iter().all(|hit| hit["datasource"] == "open-notes"));
    assert_eq!(hits(ADMIN.to_owned()).await["total"], 10);

    // A datasource of its own does not show its domain.
    let bea = server.user("bea").await;
    let grant = server.grant("user:bea", "datasource:secret-notes", &["read"]).await;
    assert_eq!(hits(bea.clone()).await["total"], 5);
    let datasources = server.call("GET", "/v1/datasources", Value::Null, &bea).await.json();
    assert_eq!(ids(&datasources, "data"), ["secret-notes"]);
    assert_eq!(datasources["data"][0]["domain"], Value::Null);
    assert_eq!(ids(&server.call("GET", "/v1/domains", Value::Null, &bea).await.json(), "data"), Vec::<String>::new());
    assert_eq!(server.call("GET", "/v1/domains/secret", Value::Null, &bea).await.status, 404);

    server.make("DELETE", &format!("/v1/grants/{grant}"), Value::Null).await;
    let now = hits(bea.clone()).await;
    assert_eq!((now["total"].as_u64(), now["hits"].as_array().unwrap().len()), (Some(0), 0));

    // Keys end, and with a user its keys.
    let keys = server.call("GET", "/v1/keys", Value::Null, &bea).await.json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
    assert!(keys["data"][0].get("key").is_none());
    server.make("DELETE", "/v1/users/bea", Value::Null).await;
    assert_eq!(server.call("GET", "/v1/me", Value::Null, &bea).await.code(), "unauthenticated");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_routes_tell_others_nothing() {
    let (server, ana) = Server::with_two_domains().await;
    for (method, path, body) in [
        ("GET", "/metrics", Value::Null),
        ("GET", "/v1/users", Value::Null),
        ("GET", "/v1/users/admin", Value::Null),
        ("GET", "/v1/users/nosuch", Value::Null),
        ("GET", "/v1/groups", Value::Null),
        ("GET", "/v1/grants", Value::Null),
        ("GET", "/v1/grants/nosuch", Value::Null),
        ("POST", "/v1/audit/verify", Value::Null),
        ("POST", "/v1/users", json!({"id": "x"})),
        ("POST", "/v1/groups", json!({"id": "x"})),
        ("POST", "/v1/domains", json!({"id": "x"})),
        ("POST", "/v1/datasources", json!({"id": "x", "domain": "secret", "format": "osv"})),
        ("POST", "/v1/datasources", json!({"id": "x", "domain": "nosuch", "format": "osv"})),
        ("POST", "/v1/keys", json!({"user": "admin", "name": "x"})),
        ("POST", "/v1/keys", json!({"user": "nosuch", "name": "x"})),
        ("POST", "/v1/grants", json!({"subject": "user:ana", "resource": "domain:secret", "actions": ["read"]})),
        (
            "POST",
            "/v1/permissions/check",
            json!({"subject": "user:admin", "resource": "domain:secret", "action": "read"}),
        ),
        (
            "POST",
            "/v1/permissions/check",
            json!({"subject": "user:admin", "resource": "domain:nosuch", "action": "read"}),
        ),
    ] {
        let reply = server.call(method, path, body, &ana).await;
        assert_eq!((reply.status, &*reply.code()), (403, "permission_denied"), "{method} {path}: {}", reply.text);
    }
    let entries = server.call("GET", "/v1/audit?limit=1000", Value::Null, &ana).await.json();
    assert!(entries["data"].as_array().unwrap().iter().all(|entry| entry["principal"] == "user:ana"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domains_administrator_manages_what_is_inside() {
    let (server, _) = Server::with_two_domains().await;
    let boss = server.user("boss").await;
    server.grant("user:boss", "domain:open", &["admin"]).await;
    let grant = json!({"subject": "user:x", "resource": "datasource:open-notes", "actions": ["read"]});
    assert_eq!(server.call("POST", "/v1/grants", grant.clone(), &boss).await.status, 201);
    assert_eq!(server.call("POST", "/v1/grants", grant, &boss).await.status, 200);
    let hidden = json!({"subject": "user:x", "resource": "domain:secret", "actions": ["read"]});
    assert_eq!(server.call("POST", "/v1/grants", hidden, &boss).await.code(), "not_found");
    let grants = server.call("GET", "/v1/grants", Value::Null, &boss).await.json();
    assert!(
        grants["data"].as_array().unwrap().iter().all(|grant| grant["resource"].as_str().unwrap().contains("open"))
    );
    // admin implies neither read nor write
    assert_eq!(server.call("GET", "/v1/datasources/open-notes/records/open%2F1", Value::Null, &boss).await.status, 403);
    assert_eq!(server.lines("open-notes", "{\"id\":\"x\"}", &boss).await.status, 403);
    assert_eq!(server.call("GET", "/v1/users", Value::Null, &boss).await.status, 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_always_administers_and_the_directory_can_mend() {
    let server = Server::start().await;
    let grants = server.make("GET", "/v1/grants", Value::Null).await;
    let first = grants["data"][0]["id"].as_str().unwrap().to_owned();
    let reply = server.call("DELETE", &format!("/v1/grants/{first}"), Value::Null, ADMIN).await;
    assert_eq!((reply.status, &*reply.code()), (409, "conflict"));
    assert_eq!(server.call("DELETE", "/v1/users/admin", Value::Null, ADMIN).await.status, 409);
    // With another administrator `admin` may go, and the directory still opens a session that administers.
    let root = server.user("root2").await;
    server.grant("user:root2", "platform", &["read", "write", "execute", "admin"]).await;
    assert_eq!(server.call("DELETE", "/v1/users/admin", Value::Null, &root).await.status, 200);
    let session = server.platform.admin_session().await.unwrap();
    assert_eq!(session.principal().to_string(), "user:root2");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_and_called_by_right() {
    let (server, ana) = Server::with_two_domains().await;
    let body = json!({"model": "local/all-minilm-l6-v2", "input": ["one", "two"], "encoding_format": "base64"});
    assert_eq!(server.call("GET", "/v1/models", Value::Null, &ana).await.json()["data"], json!([]));
    for model in ["local/all-minilm-l6-v2", "local/nosuch"] {
        let reply = server.call("POST", "/v1/embeddings", json!({"model": model, "input": "x"}), &ana).await;
        assert_eq!((reply.status, &*reply.code()), (404, "model_not_found"));
        assert_eq!(
            server.call("GET", &format!("/v1/models/{model}"), Value::Null, &ana).await.code(),
            "model_not_found"
        );
    }
    server.grant("user:ana", "model:*", &["execute"]).await;
    assert_eq!(
        ids(&server.call("GET", "/v1/models", Value::Null, &ana).await.json(), "data"),
        ["local/all-minilm-l6-v2"]
    );
    assert_eq!(
        server.call("GET", "/v1/models/local/all-minilm-l6-v2", Value::Null, &ana).await.json()["object"],
        "model"
    );
    let answer = server.call("POST", "/v1/embeddings", body, &ana).await.json();
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    let floats = server
        .call("POST", "/v1/embeddings", json!({"model": "local/all-minilm-l6-v2", "input": "one"}), &ana)
        .await
        .json();
    use base64::Engine as _;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let plain: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(decoded, plain);
    for input in [json!(""), json!(["a", ""]), json!([]), json!({}), json!([1, "a"]), json!([-1])] {
        let reply = server
            .call("POST", "/v1/embeddings", json!({"model": "local/all-minilm-l6-v2", "input": input}), &ana)
            .await;
        assert_eq!(reply.status, 400, "{input}: {}", reply.text);
        assert!(reply.message().contains("input"), "{}", reply.text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_ask_about_groups_and_everybody() {
    let (server, ana) = Server::with_two_domains().await;
    let chief = server.user("chief").await;
    server.grant("user:chief", "domain:open", &["admin"]).await;
    let grant = server.grant("group:team", "domain:open", &["read"]).await;
    server.grant("group:idp/staff", "datasource:open-notes", &["write"]).await;
    let ask = async |key: &str, subject: &str, resource: &str, action: &str| {
        let question = json!({"subject": subject, "resource": resource, "action": action});
        let check = server.call("POST", "/v1/permissions/check", question.clone(), key).await;
        let explain = server.call("POST", "/v1/permissions/explain", question, key).await;
        assert_eq!(check.status, explain.status);
        if check.status == 200 {
            assert_eq!(check.json()["allowed"], explain.json()["allowed"]);
        }
        explain
    };
    for key in [ADMIN, &chief] {
        for (subject, action, allowed) in [
            ("group:team", "read", true),
            ("group:team", "write", false),
            ("group:idp/staff", "write", true),
            ("group:other", "read", false),
            ("public", "read", false),
        ] {
            let answer = ask(key, subject, "datasource:open-notes", action).await;
            assert_eq!((answer.status, &answer.json()["allowed"]), (200, &json!(allowed)), "{subject} {action}");
        }
    }
    let why = ask(&chief, "group:team", "datasource:open-notes", "read").await.json();
    assert_eq!(
        why["reasons"],
        json!([{"kind": "grant", "id": grant, "effect": "allow", "subject": "group:team", "resource": "domain:open"}])
    );
    // What is public is everybody's; a deny for the group takes it from its members.
    server.make("PATCH", "/v1/domains/open", json!({"public": true})).await;
    for subject in ["public", "group:other"] {
        let answer = ask(&chief, subject, "datasource:open-notes", "read").await.json();
        assert_eq!(
            answer,
            json!({"allowed": true, "reasons": [{"kind": "public_domain", "domain": "open"}]}),
            "{subject}"
        );
    }
    let deny = json!({"subject": "group:other", "resource": "domain:open", "actions": ["read"], "effect": "deny"});
    server.make("POST", "/v1/grants", deny).await;
    assert_eq!(ask(&chief, "group:other", "datasource:open-notes", "read").await.json()["allowed"], false);
    // Only administrators of the resource are told; hidden answers as missing.
    for subject in ["group:team", "public"] {
        assert_eq!(ask(&ana, subject, "datasource:open-notes", "read").await.code(), "permission_denied");
        let [hidden, missing] = ["secret-notes", "nosuch-notes"].map(|name| (name, format!("datasource:{name}")));
        let mut told = Vec::new();
        for (name, resource) in [hidden, missing] {
            let answer = ask(&chief, subject, &resource, "read").await;
            told.push((answer.status, answer.text.replace(name, "NAME")));
        }
        assert_eq!((told[0].0, &told[0]), (404, &told[1]));
    }
    assert_eq!(ask(ADMIN, "everybody", "datasource:open-notes", "read").await.status, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_to_administrators_can_be_taken_back() {
    let (server, ana) = Server::with_two_domains().await;
    let all = ["read", "write", "execute", "admin"];
    let deny = json!({"subject": "public", "resource": "domain:secret", "actions": all, "effect": "deny"});
    let grant = server.make("POST", "/v1/grants", deny).await["id"].as_str().unwrap().to_owned();
    for (method, path, status) in [
        ("GET", "/v1/domains/secret".to_owned(), 200),
        ("GET", "/v1/datasources/secret-notes".to_owned(), 200),
        ("GET", format!("/v1/grants/{grant}"), 200),
        // It is denied nevertheless.
        ("DELETE", "/v1/domains/secret?cascade=true".to_owned(), 403),
        ("GET", "/v1/datasources/secret-notes/records/x".to_owned(), 403),
        ("GET", "/v1/domains/nosuch".to_owned(), 404),
    ] {
        assert_eq!(server.call(method, &path, Value::Null, ADMIN).await.status, status, "{method} {path}");
    }
    let domains = server.call("GET", "/v1/domains", Value::Null, ADMIN).await.json();
    assert_eq!(ids(&domains, "data"), ["open", "secret"]);
    for key in [ADMIN, &ana] {
        let found = server.call("POST", "/v1/search", json!({"mode": "filter", "limit": 100}), key).await.json();
        let hits = found["hits"].as_array().unwrap();
        assert!(!hits.is_empty() && hits.iter().all(|hit| hit["datasource"] == "open-notes"), "{found}");
    }
    assert_eq!(server.call("DELETE", &format!("/v1/grants/{grant}"), Value::Null, ADMIN).await.status, 200);
    assert_eq!(server.call("DELETE", "/v1/domains/secret?cascade=true", Value::Null, ADMIN).await.status, 200);
    server.stop().await;
}
