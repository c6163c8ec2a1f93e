//! Cursors and ETags: whose they are, what they fit, and what a condition prevents.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{ADMIN, Reply, Server};

fn etag(reply: &Reply) -> String {
    reply
        .headers
        .get("etag")
        .unwrap_or_else(|| panic!("{}: no ETag: {}", reply.status, reply.text))
        .to_str()
        .unwrap()
        .to_owned()
}

async fn on_condition(server: &Server, method: &str, path: &str, header: (&str, &str), body: Value) -> Reply {
    let request = server.request(method, path, ADMIN).header(header.0, header.1);
    server.send(if body.is_null() { request } else { request.json(&body) }).await
}

fn failed(reply: &Reply) -> bool {
    reply.status == 412 && reply.code() == "precondition_failed"
}

/// Everything that is listed, over one page after another.
async fn listed(server: &Server, path: &str, key: &str) -> Vec<Value> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.call("GET", &format!("{path}?limit=2{cursor}"), Value::Null, key).await.json();
        seen.extend(page["data"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lists_cursor_is_its_callers_and_the_lists() {
    let server = Server::start().await;
    for n in 0..5 {
        server.make("POST", "/v1/domains", json!({"id": format!("d{n}"), "public": true})).await;
        server.notes(&format!("n{n}"), "d0").await;
        server.make("POST", "/v1/groups", json!({"id": format!("g{n}")})).await;
        server.user(&format!("u{n}")).await;
        server.grant("user:u0", &format!("domain:d{n}"), &["read"]).await;
    }
    server.grant("user:u1", "platform", &["admin"]).await;
    let mut keys = vec![ADMIN.to_owned()];
    for (user, scopes) in
        [("u1", Value::Null), ("admin", json!([{"resource": "platform", "actions": ["admin", "read"]}]))]
    {
        let key = server.make("POST", "/v1/keys", json!({"user": user, "scopes": scopes})).await;
        keys.push(key["key"].as_str().unwrap().to_owned());
    }
    let lists =
        ["domains", "datasources", "users", "groups", "grants", "keys", "audit"].map(|name| format!("/v1/{name}"));
    let mut cursors = Vec::new();
    for path in &lists {
        if path != "/v1/audit" {
            let whole = server.make("GET", &format!("{path}?limit=1000"), Value::Null).await;
            assert_eq!(json!(listed(&server, path, ADMIN).await), whole["data"], "{path}");
        }
        for key in &keys {
            let page = server.call("GET", &format!("{path}?limit=2"), Value::Null, key).await.json();
            cursors.push((path, key, page["next"].as_str().unwrap_or_else(|| panic!("{path}: {page}")).to_owned()));
        }
    }
    for (of, whose, cursor) in &cursors {
        for path in &lists {
            for key in &keys {
                let reply = server.call("GET", &format!("{path}?cursor={cursor}"), Value::Null, key).await;
                if (of, whose) == (&path, &key) {
                    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
                } else {
                    let told = (reply.status, reply.code(), reply.json()["error"]["param"].clone());
                    assert_eq!(told, (400, "invalid_cursor".to_owned(), json!("cursor")), "{of} on {path}");
                }
            }
        }
        // Changed, cut, lengthened, or made by hand as they once were.
        let flipped = format!("{}{}", &cursor[..cursor.len() - 2], if cursor.ends_with("AA") { "BA" } else { "AA" });
        for forged in [flipped, cursor[..8].to_owned(), format!("{cursor}AAAA"), "ZDE".to_owned(), "%00".to_owned()] {
            let reply = server.call("GET", &format!("{of}?cursor={forged}"), Value::Null, whose).await;
            assert_eq!((reply.status, &*reply.code()), (400, "invalid_cursor"), "{of} {forged}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_does_not_weigh_in_a_cursor() {
    let mut pages = Vec::new();
    for hidden in [0, 40] {
        let (server, ana) = Server::with_two_domains().await;
        for n in 0..hidden {
            server.make("POST", "/v1/domains", json!({"id": format!("a-hidden-domain-with-a-long-name-{n}")})).await;
        }
        for n in 0..3 {
            server.make("POST", "/v1/domains", json!({"id": format!("p{n}"), "public": true})).await;
        }
        let mut bodies = vec![server.call("GET", "/v1/domains?limit=2", Value::Null, &ana).await];
        bodies.push(server.call("GET", "/v1/audit?limit=1", Value::Null, &ana).await);
        bodies.push(server.call("GET", "/v1/domains/p1", Value::Null, &ana).await);
        let lengths: Vec<(usize, Option<usize>)> = bodies
            .iter()
            .map(|reply| {
                (reply.json()["next"].as_str().map_or(0, str::len), reply.headers.get("etag").map(|etag| etag.len()))
            })
            .collect();
        pages.push(lengths);
        server.stop().await;
    }
    assert_eq!(pages[0], pages[1]);
    assert!(pages[0][0].0 > 0 && pages[0][2].1.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_ends_with_its_user() {
    let server = Server::start().await;
    for n in 0..3 {
        server.make("POST", "/v1/domains", json!({"id": format!("d{n}"), "public": true})).await;
    }
    let old = server.user("ana").await;
    let next = server.call("GET", "/v1/domains?limit=1", Value::Null, &old).await.json()["next"].clone();
    let path = format!("/v1/domains?cursor={}", next.as_str().unwrap());
    assert_eq!(server.call("GET", &path, Value::Null, &old).await.status, 200);
    server.make("DELETE", "/v1/users/ana", Value::Null).await;
    let new = server.user("ana").await;
    assert_eq!(server.call("GET", &path, Value::Null, &new).await.code(), "invalid_cursor");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_begins_from_the_state_that_was_read() {
    let server = Server::start().await;
    let made = server.call("POST", "/v1/domains", json!({"id": "d", "title": "one"}), ADMIN).await;
    let first = etag(&made);
    assert_eq!((made.status, made.json()["version"].as_u64()), (201, Some(1)));
    assert!(first.starts_with("\"1-") && first.ends_with('"'), "{first}");
    let again = server.call("POST", "/v1/domains", json!({"id": "d", "title": "one"}), ADMIN).await;
    assert_eq!((again.status, etag(&again)), (200, first.clone()));
    assert_eq!(etag(&server.call("GET", "/v1/domains/d", Value::Null, ADMIN).await), first);

    let patch = async |tag: &str, title: &str| {
        on_condition(&server, "PATCH", "/v1/domains/d", ("if-match", tag), json!({"title": title})).await
    };
    let changed = patch(&first, "two").await;
    let second = etag(&changed);
    assert_eq!((changed.status, changed.json()["version"].as_u64()), (200, Some(2)));
    let weak = format!("W/{second}");
    for tag in [&*first, "\"1\"", "2", "W/\"2\"", &weak, "\"x\"", "\"\"", "", second.trim_matches('"')] {
        assert!(failed(&patch(tag, "three").await), "{tag}");
    }
    // The version of the body in quotes will do.
    assert_eq!(patch("\"2\"", "two and a half").await.status, 200);
    assert_eq!(patch("*", "three").await.status, 200);
    let third = etag(&server.call("GET", "/v1/domains/d", Value::Null, ADMIN).await);
    assert_eq!(patch(&format!("{first}, {third}"), "four").await.status, 200);
    assert!(failed(&on_condition(&server, "DELETE", "/v1/domains/d", ("if-match", &third), Value::Null).await));
    // Who sees nothing learns nothing from a condition either.
    assert_eq!(on_condition(&server, "PATCH", "/v1/domains/e", ("if-match", "\"x\""), json!({})).await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_tag_does_not_fit_what_was_made_again() {
    let server = Server::start().await;
    server.make("POST", "/v1/domains", json!({"id": "home"})).await;
    let schema = json!({"fields": {"t": {"type": "text"}}, "text": ["t"]});
    for (list, id, body) in [
        ("/v1/domains", "x", json!({"id": "x"})),
        ("/v1/datasources", "x", json!({"id": "x", "domain": "home", "format": "records", "schema": schema})),
        ("/v1/users", "x", json!({"id": "x"})),
        ("/v1/groups", "x", json!({"id": "x"})),
    ] {
        let path = format!("{list}/{id}");
        let old = server.call("POST", list, body.clone(), ADMIN).await;
        server.make("DELETE", &path, Value::Null).await;
        let new = server.call("POST", list, body, ADMIN).await;
        assert_eq!((old.json()["version"].as_u64(), new.json()["version"].as_u64()), (Some(1), Some(1)));
        for method in ["PATCH", "DELETE"] {
            let body = if method == "PATCH" { json!({}) } else { Value::Null };
            let refused = on_condition(&server, method, &path, ("if-match", &etag(&old)), body.clone()).await;
            assert!(failed(&refused), "{method} {path}: {}", refused.text);
            let fits = on_condition(&server, method, &path, ("if-match", &etag(&new)), body).await;
            assert_eq!(fits.status, 200, "{method} {path}: {}", fits.text);
        }
    }
    // Made in one change, a user and its group share a generation; their tags fit themselves only.
    server.make("POST", "/v1/users", json!({"id": "u", "groups": ["team"]})).await;
    let group = etag(&server.call("GET", "/v1/groups/team", Value::Null, ADMIN).await);
    assert!(failed(&on_condition(&server, "DELETE", "/v1/users/u", ("if-match", &group), Value::Null).await));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_sent_again() {
    let (server, ana) = Server::with_two_domains().await;
    let path = "/v1/datasources/open-notes";
    let seen = server.call("GET", path, Value::Null, ADMIN).await;
    let tag = etag(&seen);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let reply = on_condition(&server, "GET", path, ("if-none-match", &known), Value::Null).await;
        assert_eq!((reply.status, &*reply.text, etag(&reply)), (304, "", tag.clone()), "{known}");
        assert!(reply.headers.contains_key("x-request-id"));
    }
    assert_eq!(on_condition(&server, "GET", path, ("if-none-match", "\"x\""), Value::Null).await.text, seen.text);
    assert_eq!(
        on_condition(&server, "GET", "/v1/datasources/none", ("if-none-match", "*"), Value::Null).await.status,
        404
    );
    // A change makes it unknown, and so does a right that shows more of it.
    let change = on_condition(&server, "PATCH", path, ("if-none-match", &tag), json!({"title": "new"})).await;
    assert_eq!(change.status, 200);
    assert_eq!(on_condition(&server, "GET", path, ("if-none-match", &tag), Value::Null).await.status, 200);
    server.grant("user:ana", "datasource:secret-notes", &["read"]).await;
    let path = "/v1/datasources/secret-notes";
    let narrow = server.call("GET", path, Value::Null, &ana).await;
    assert_eq!(narrow.json()["domain"], Value::Null);
    server.grant("user:ana", "domain:secret", &["read"]).await;
    let request = server.request("GET", path, &ana).header("if-none-match", etag(&narrow));
    let wide = server.send(request).await;
    assert_eq!((wide.status, wide.json()["domain"].as_str()), (200, Some("secret")));
    server.stop().await;
}

const RECORDS: &str = "/v1/datasources/open-notes/records";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_changed_from_the_content_that_was_read() {
    let (server, _) = Server::with_two_domains().await;
    let path = format!("{RECORDS}/r");
    let put = async |header: (&str, &str), body: &str| {
        on_condition(&server, "PUT", &path, header, json!({"body": body})).await
    };
    assert!(failed(&put(("if-match", "*"), "one").await), "there is none yet");
    let made = put(("if-none-match", "*"), "one").await;
    let first = etag(&made);
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(failed(&put(("if-none-match", "*"), "two").await), "there is one");
    let got = server.call("GET", &path, Value::Null, ADMIN).await;
    assert_eq!((etag(&got), &got.text), (first.clone(), &made.text));
    for known in [first.clone(), format!("W/{first}"), "*".to_owned()] {
        let reply = on_condition(&server, "GET", &path, ("if-none-match", &known), Value::Null).await;
        assert_eq!((reply.status, &*reply.text, etag(&reply)), (304, "", first.clone()));
    }

    let changed = put(("if-match", &first), "two").await;
    let second = etag(&changed);
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_ne!(first, second);
    let weak = format!("W/{second}");
    for tag in [&*first, &weak, "\"x\"", "2", "\"\""] {
        assert!(failed(&put(("if-match", tag), "three").await), "{tag}");
        let gone = on_condition(&server, "DELETE", &path, ("if-match", tag), Value::Null).await;
        assert!(failed(&gone), "{tag}");
    }
    assert!(failed(&put(("if-none-match", &second), "three").await));
    assert_eq!(server.call("GET", &path, Value::Null, ADMIN).await.json()["fields"]["body"], "two");
    assert_eq!(put(("if-match", &format!("{first}, {second}")), "one").await.status, 200);
    assert_eq!(etag(&server.call("GET", &path, Value::Null, ADMIN).await), first, "equal content, equal tag");
    assert_eq!(on_condition(&server, "DELETE", &path, ("if-match", &first), Value::Null).await.status, 200);
    // Of what is not there no condition is asked; what is hidden answers as missing.
    for path in [&*path, "/v1/datasources/none/records/r"] {
        let reply = on_condition(&server, "DELETE", path, ("if-match", &first), Value::Null).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_with_one_tag_one_wins() {
    let (server, _) = Server::with_two_domains().await;
    let path = format!("{RECORDS}/counter");
    let mut tag = etag(&server.call("PUT", &path, json!({"n": 0, "body": "round 0"}), ADMIN).await);
    for round in 1..=5 {
        let send = |writer: usize| {
            let body = json!({"n": round * 100 + writer, "body": format!("round {round} of writer {writer}")});
            on_condition(&server, "PUT", &path, ("if-match", &tag), body)
        };
        let replies = futures::future::join_all((0..8).map(send)).await;
        let won: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert_eq!((won.len(), replies.iter().filter(|reply| failed(reply)).count()), (1, 7));
        let held = server.call("GET", &path, Value::Null, ADMIN).await;
        assert_eq!((&held.text, etag(&held)), (&won[0].text, etag(won[0])));
        tag = etag(&held);
    }
    let made = futures::future::join_all((0..8).map(|n| {
        let path = format!("{RECORDS}/once");
        let server = &server;
        async move { on_condition(server, "PUT", &path, ("if-none-match", "*"), json!({"n": n})).await.status }
    }));
    let mut made = made.await;
    made.sort_unstable();
    assert_eq!(made, [201, 412, 412, 412, 412, 412, 412, 412]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_which_routes_obey_conditions() {
    let server = Server::start().await;
    let document = server.make("GET", "/openapi.json", Value::Null).await;
    let headers = |path: &str, method: &str| -> Vec<String> {
        let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
        let of_header = parameters.iter().filter(|parameter| parameter["in"] == "header");
        of_header.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let record = "/v1/datasources/{id}/records/{record}";
    for path in [
        "/v1/domains/{id}",
        "/v1/datasources/{id}",
        "/v1/users/{id}",
        "/v1/groups/{id}",
        "/v1/grants/{id}",
        "/v1/keys/{id}",
        record,
    ] {
        assert_eq!(headers(path, "get"), ["If-None-Match"], "{path}");
        assert_eq!(headers(path, "delete"), ["If-Match"], "{path}");
        let responses = &document["paths"][path];
        assert!(
            responses["get"]["responses"]["304"].is_object() && responses["delete"]["responses"]["412"].is_object()
        );
        assert!(responses["get"]["responses"]["200"]["headers"]["ETag"].is_object(), "{path}");
        if path != record {
            assert_eq!(headers(path, "patch"), ["If-Match"], "{path}");
        }
    }
    assert_eq!(headers(record, "put"), ["If-Match", "If-None-Match"]);
    assert_eq!(headers("/v1/domains", "get"), [""; 0]);
    server.stop().await;
}
