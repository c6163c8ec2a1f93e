//! Answers.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;
use ucap_core::Error;
use utoipa::ToSchema;

use super::error_response::Failure;
use super::incoming::close_cursor;
use crate::session::Listed;

/// What every handler returns.
pub(super) type Answer = Result<Response, Failure>;

/// JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value)
        .map_err(|cause| Error::internal("the answer cannot be written as JSON").with_source(cause))?;
    Ok((status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// 200 with JSON.
pub(super) fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// An object of the catalog, with its version as ETag.
pub(super) fn object(status: StatusCode, version: u64, value: &impl Serialize) -> Answer {
    let mut response = json(status, value)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// 201 for what is new, 200 for what was there.
pub(super) fn made(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
    next: Option<String>,
}

/// A page of a list.
pub(super) fn list<T: Serialize>(page: Listed<T>) -> Answer {
    ok(&List { data: page.items, next: page.next.as_deref().map(close_cursor) })
}

/// A page of a list whose cursor is made already.
pub(super) fn list_with_cursor<T: Serialize>(data: Vec<T>, next: Option<String>) -> Answer {
    ok(&List { data, next })
}

/// Something is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deleted {
    /// What it was called.
    id: String,
    /// Always true.
    deleted: bool,
}

/// 200 `{"id","deleted":true}`
pub(super) fn deleted(id: &str) -> Answer {
    ok(&Deleted { id: id.to_owned(), deleted: true })
}
