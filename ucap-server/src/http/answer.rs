//! Answers.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;
use ucap_core::Error;
use utoipa::ToSchema;

use super::error_response::Failure;

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

/// As [`json`], with an ETag.
pub(super) fn tagged(status: StatusCode, etag: HeaderValue, value: &impl Serialize) -> Answer {
    let mut response = json(status, value)?;
    response.headers_mut().insert(ETAG, etag);
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

/// A page of a list, with the cursor of the next.
pub(super) fn list<T: Serialize>(data: Vec<T>, next: Option<String>) -> Answer {
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
