//! Running it: health, readiness, metrics, and the API's own documentation.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::answer::{Answer, ok};
use super::documentation::page;
use super::incoming::Incoming;
use super::route::Route;
use ucap_core::{Error, ErrorKind};

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Requests are answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Always `ready`.
    status: &'static str,
    /// `ready`, `loading` or `failed`; without it, filter and lexical search go on.
    embedding_model: &'static str,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/healthz", "operation", "Whether the process lives", health)
            .open()
            .answers::<Health>(200),
        Route::new(Method::GET, "/readyz", "operation", "Whether requests are answered", ready)
            .open()
            .answers::<Readiness>(200),
        Route::new(Method::GET, "/metrics", "operation", "Metrics for Prometheus", metrics)
            .answers_text(200, "text/plain")
            .administrators(),
        Route::new(Method::GET, "/openapi.json", "operation", "This document", openapi)
            .open()
            .answers_text(200, "application/json"),
        Route::new(Method::GET, "/docs", "operation", "This document, for people", docs)
            .open()
            .answers_text(200, "text/html"),
    ]
}

async fn health() -> Answer {
    ok(&Health { status: "ok" })
}

async fn ready(State(app): State<App>) -> Answer {
    if app.is_draining() {
        return Err(Error::new(ErrorKind::Unavailable, "the server is stopping; ask another, or this one again").into());
    }
    ok(&Readiness { status: "ready", embedding_model: app.platform().model_state().as_str() })
}

async fn metrics(call: Incoming) -> Answer {
    call.query(&[])?;
    call.session.demand_platform_admin("metrics").await?;
    let gauges = [
        ("ucap_http_requests_running", "Requests that run.", call.app.running() as f64),
        ("ucap_process_resident_bytes", "Resident memory.", resident_bytes() as f64),
    ];
    Ok(text(PROMETHEUS, call.app.metrics().render(&gauges)))
}

/// What Linux says about this process; 0 elsewhere.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|n| n.trim().parse().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

async fn openapi(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.openapi()).into_response()
}

async fn docs(State(app): State<App>) -> Response {
    let mut response = text(HTML, page(&app.openapi()));
    let fixed =
        [(CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"), (CACHE_CONTROL, "no-cache")];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        let name: HeaderName = name;
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    response
}

fn text(content_type: &'static str, body: String) -> Response {
    ([(CONTENT_TYPE, content_type)], body).into_response()
}
