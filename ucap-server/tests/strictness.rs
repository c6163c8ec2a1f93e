//! JSON of requests: what is wrong is refused, at its place, in the words of JSON.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{ADMIN, Reply, Server};

async fn post(server: &Server, path: &str, body: &str) -> Reply {
    let request = server.request("POST", path, ADMIN).header("content-type", "application/json");
    server.send(request.body(body.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_at_its_place() {
    let (server, _) = Server::with_two_domains().await;
    let deep = |levels: usize| {
        format!(r#"{{"mode":"filter","filter":{}{{"exists":"n"}}{}}}"#, r#"{"not":"#.repeat(levels), "}".repeat(levels))
    };
    let lists = |levels: usize| format!(r#"{{"query":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let (search, key, grant) = ("/v1/search", "/v1/keys", "/v1/grants");
    let cases: Vec<(&str, String, &str, &str)> = vec![
        // Keys that are there twice, at any depth.
        (search, r#"{"mode":"filter","mode":"lexical"}"#.into(), "mode", "twice"),
        (search, r#"{"mode":"filter","filter":{"eq":{"n":1},"eq":{"n":2}}}"#.into(), "filter.eq", "`eq`"),
        (search, r#"{"mode":"filter","filter":{"and":[{"eq":{"n":1}},{"eq":{"n":1,"n":2}}]}}"#.into(), "filter.and[1].eq.n", "`n`"),
        (search, r#"{"mode":"filter","sort":[{"field":"n","\u0066ield":"id"}]}"#.into(), "sort[0].field", "`field`"),
        ("/v1/datasources", r#"{"id":"z","domain":"open","format":"records","schema":{"fields":{"a":{"type":"text"},"a":{"type":"float"}},"text":[]}}"#.into(), "schema.fields.a", "`a`"),
        (key, r#"{"user":"ana","scopes":[{"resource":"platform","resource":"domain:open","actions":[]}]}"#.into(), "scopes[0].resource", "twice"),
        ("/v1/embeddings", r#"{"model":"x","input":"a","input":"b"}"#.into(), "input", "twice"),
        // Lists where objects belong.
        (search, r#"{"mode":"filter","sort":[["n","desc"]]}"#.into(), "sort[0]", "a list, and should be an object"),
        (key, r#"{"user":"ana","scopes":[["platform",["read"]]]}"#.into(), "scopes[0]", "a list, and should be an object"),
        (grant, r#"["user:ana","domain:open",["read"],null,null]"#.into(), "body", "not a JSON object"),
        // Valid JSON is never called invalid.
        (search, r#"{"query":"x","limit":1e400}"#.into(), "limit", "out of range"),
        (search, r#"{"mode":"filter","filter":{"gt":{"n":-1e999}}}"#.into(), "filter.gt.n", "out of range"),
        (search, format!(r#"{{"query":"x","limit":1{}}}"#, "0".repeat(400)), "limit", "out of range"),
        (search, r#"{"mode":"vector","vector":[1e39]}"#.into(), "vector[0]", "out of range"),
        (search, r#"{"mode":"vector","vector":[0,-1e400]}"#.into(), "vector[1]", "out of range"),
        (search, deep(33), "filter", "nests more than 32 deep"),
        (search, deep(126), "filter", "nests more than 32 deep"),
        (search, deep(100_000), "filter", "nests more than 32 deep"),
        (search, lists(50_000), "query", "nests more than 100 deep"),
        (search, r#"{"query":"\ud800"}"#.into(), "query", "stands for no character"),
        // Types, in the words of JSON.
        (search, r#"{"query":7}"#.into(), "query", "`query` is the number 7, and should be a string"),
        (search, r#"{"query":"x","limit":-1}"#.into(), "limit", "the number -1, and should be a whole number, not below 0"),
        (search, r#"{"query":"x","limit":1.5}"#.into(), "limit", "the number 1.5"),
        (search, r#"{"query":"x","explain":"yes"}"#.into(), "explain", "a string, and should be true or false"),
        (search, r#"{"query":"x","domains":"open"}"#.into(), "domains", "a string, and should be a list"),
        (search, r#"{"query":"x","domains":[null]}"#.into(), "domains[0]", "null, and should be a string"),
        (grant, r#"{"subject":"user:a","resource":"domain:open","actions":["read"],"expires_at":"tomorrow"}"#.into(), "expires_at", "RFC 3339"),
        (grant, r#"{"subject":"user:a","resource":"domain:open","actions":["read"],"expires_at":5}"#.into(), "expires_at", "the number 5, and should be a string"),
        (search, r#"{"quary":"x"}"#.into(), "quary", "`query`"),
        ("/v1/domains", "{}".into(), "id", "`id` is missing"),
        // And what is no JSON is called so.
        (search, r#"{"query":"x","limit":01}"#.into(), "body", "not valid JSON"),
        (search, r#"{"query":"x",}"#.into(), "body", "not valid JSON"),
        (search, r#"{"query":"x"} {}"#.into(), "body", "not valid JSON"),
        (search, "[".repeat(50_000), "body", "not valid JSON"),
        ("/v1/search?a=1", "{}".into(), "a", "known: none"),
    ];
    for (path, body, param, says) in cases {
        let reply = post(&server, path, &body).await;
        let shown = body.chars().take(120).collect::<String>();
        assert_eq!((reply.status, &*reply.code()), (400, "invalid_input"), "{shown}: {}", reply.text);
        assert_eq!(reply.json()["error"]["param"], *param, "{shown}: {}", reply.text);
        assert!(reply.message().contains(says), "{shown}: {}", reply.text);
    }
    let bytes = server.request("POST", search, ADMIN).header("content-type", "application/json");
    assert!(server.send(bytes.body(b"{\"query\":\"\xff\"}".to_vec())).await.message().contains("UTF-8"));
    // What looks alike and is right.
    for body in [
        r#"{"mode":"filter","filter":{"and":[{"eq":{"n":1}},{"eq":{"n":1}}]}}"#.to_owned(),
        r#"{"mode":"filter","filter":{"eq":{"n":1e3}},"sort":[{"field":"n"},{"field":"id"}]}"#.to_owned(),
        r#"{"query":"{\"a\":1,\"a\":[[[1e999","mode":"lexical"}"#.to_owned(),
        deep(31),
    ] {
        let reply = post(&server, search, &body).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_json_is_not_called_broken() {
    let (server, _) = Server::with_two_domains().await;
    let deep = format!("{{\"id\":\"c\",\"body\":{}1{}}}", "[".repeat(300), "]".repeat(300));
    let lines = format!("{{\"id\":\"a\",\"n\":1e400}}\n{{\"id\":\"b\",}}\n{deep}");
    let report = server.lines("open-notes", &lines, ADMIN).await.json();
    let errors: Vec<&str> =
        report["rejected"].as_array().unwrap().iter().map(|line| line["error"].as_str().unwrap()).collect();
    assert_eq!(errors.len(), 3, "{report}");
    assert!(errors[0].contains("out of range") && !errors[0].contains("broken"), "{errors:?}");
    assert!(errors[1].contains("broken JSON"), "{errors:?}");
    assert!(errors[2].contains("nest too deep") && !errors[2].contains("broken"), "{errors:?}");
    let path = "/v1/datasources/open-notes/records/a";
    let request = server.request("PUT", path, ADMIN).header("content-type", "application/json");
    let reply = server.send(request.body("{\"n\":1e400}")).await;
    assert!(reply.status == 400 && reply.message().contains("out of range"), "{}", reply.text);
    server.stop().await;
}

/// Words that only a Rust programmer knows.
const RUST: [&str; 24] = [
    "usize",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "i32",
    "i64",
    "f32",
    "f64",
    "struct ",
    "enum",
    "tuple",
    "sequence",
    "variant",
    "OffsetDateTime",
    "Option<",
    "Vec<",
    "Some(",
    "None",
    "::",
    "[]",
    "serde",
    "deserialize",
];

/// The fields of a schema, and of the objects in it, as paths such as `sort[0].field`.
fn fields<'a>(document: &'a Value, schema: &'a Value, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let schema = resolved(document, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = [prefix, std::slice::from_ref(name)].concat();
        found.push(path.clone());
        let field = resolved(document, field);
        let items = resolved(document, &field["items"]);
        if items["properties"].is_object() {
            let path = [&path[..], &["0".to_owned()]].concat();
            found.push(path.clone());
            fields(document, items, &path, found);
        }
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')).and_then(|path| document.pointer(path));
    let one_of = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string()));
    match (named, one_of) {
        (Some(named), _) => named,
        (None, Some(one)) => resolved(document, one),
        (None, None) => schema,
    }
}

fn with(path: &[String], value: &Value) -> Value {
    match path.split_first() {
        None => value.clone(),
        Some((name, rest)) if name == "0" => json!([with(rest, value)]),
        Some((name, rest)) => json!({name: with(rest, value)}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_speaks_rust() {
    let (server, _) = Server::with_two_domains().await;
    let document = server.call("GET", "/openapi.json", Value::Null, "").await.json();
    let wrong = [
        json!(null),
        json!(true),
        json!(7),
        json!(-7),
        json!(1.5),
        json!(1e300),
        json!("no such thing"),
        json!([]),
        json!([[]]),
        json!([null]),
        json!([1, "x"]),
        json!([{}]),
        json!({}),
        json!({"a": 1}),
        json!({"a": {"b": []}}),
    ];
    let (mut asked, mut refused) = (0, 0);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "open-notes").replace("{record}", "open%2F1");
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut paths = vec![vec!["no_such_key".to_owned()]];
            fields(&document, schema, &[], &mut paths);
            if !schema.is_object() {
                continue;
            }
            for field in &paths {
                for value in &wrong {
                    let body = with(field, value);
                    let reply = server.call(&method.to_uppercase(), &path, body.clone(), ADMIN).await;
                    asked += 1;
                    if reply.status < 400 {
                        continue;
                    }
                    refused += 1;
                    assert!(reply.status < 500, "{method} {path} {body}: {}", reply.text);
                    let message = reply.message().replace("no such thing", "");
                    let rust = RUST.iter().find(|word| message.contains(**word));
                    assert_eq!(rust, None, "{method} {path} {body}: {message}");
                }
            }
        }
    }
    assert!(asked > 800 && refused > 700, "{asked} {refused}");
    server.stop().await;
}
