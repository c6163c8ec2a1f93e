//! ucap inside a web service that knows its users already: `cargo run --example embed_in_axum`, then
//! `curl 'http://127.0.0.1:3000/search/ana?q=memory'`. Each caller gets a session of its own, and finds what it may read.

use std::path::PathBuf;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Json, Router, routing::get};
use serde_json::Value;
use tokio::net::TcpListener;
use ucap_server::Platform;
use ucap_server::core::{Error, ErrorKind, Principal};
use ucap_server::retrieval::{Mode, NewSettings, SearchAnswer, SearchRequest};

/// What the host says of a failure of the platform.
fn failure(error: Error) -> (StatusCode, String) {
    let status = match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

/// Here the user stands in the path; a real host takes it from its own login.
async fn search(
    State(platform): State<Platform>,
    Path(user): Path<String>,
    Query(parameters): Query<Value>,
) -> Result<Json<SearchAnswer>, (StatusCode, String)> {
    let session = platform.session(&Principal::User(user)).map_err(failure)?;
    let query = parameters.get("q").and_then(Value::as_str).unwrap_or_default();
    let request = SearchRequest::new(query).with_mode(Mode::Lexical).with_limit(3);
    session.search(&request).await.map(Json).map_err(failure)
}

async fn service(directory: PathBuf) -> ucap_server::core::Result<Router> {
    let platform = Platform::open(directory).await?;
    let administrator = platform.admin_session().await?;
    administrator.create_user("ana", ["analysts".to_owned()].into()).await?;
    administrator.create_domain("public", "For everybody", true).await?;
    let settings = NewSettings { format: "osv".into(), vectors: Some(false), ..NewSettings::default() };
    administrator.create_datasource("memory-safety", "public", "Memory safety", None, &settings).await?;
    let mut ingest = administrator.ingest("memory-safety").await?;
    for line in include_str!("data/memory-safety.jsonl").lines() {
        ingest.record(line.as_bytes()).await?;
    }
    ingest.finish().await?;
    Ok(Router::new().route("/search/{user}", get(search)).with_state(platform))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = service(std::env::temp_dir().join("embed-in-axum")).await?;
    Ok(axum::serve(TcpListener::bind("127.0.0.1:3000").await?, router).await?)
}

#[tokio::test]
async fn answers_over_http() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let directory = tempfile::tempdir().expect("a temporary folder");
    let router = service(directory.path().join("data")).await.expect("it starts");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (user, expected) in [("ana", "RUSTSEC-2021-0015"), ("nobody", "404 Not Found")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET /search/{user}?q=spreadsheet HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.contains(expected), "{user}: {answer}");
    }
}
