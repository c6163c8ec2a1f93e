//! The one table from what went wrong to HTTP: status, type and code, in OpenAI's error shape.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use ucap_core::{Error, ErrorKind, Severity};

/// An error on its way to the client.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<u16>,
}

/// How a kind of error looks from outside.
struct Outside {
    status: StatusCode,
    code: &'static str,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u16>,
}

fn outside(kind: ErrorKind) -> Outside {
    use StatusCode as S;
    let (status, code, retry_after) = match kind {
        ErrorKind::InvalidInput => (S::BAD_REQUEST, "invalid_input", None),
        ErrorKind::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", None),
        ErrorKind::Unsupported => (S::BAD_REQUEST, "unsupported", None),
        ErrorKind::TooLarge => (S::PAYLOAD_TOO_LARGE, "too_large", None),
        ErrorKind::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", None),
        ErrorKind::PermissionDenied => (S::FORBIDDEN, "permission_denied", None),
        ErrorKind::NotFound => (S::NOT_FOUND, "not_found", None),
        ErrorKind::AlreadyExists => (S::CONFLICT, "already_exists", None),
        ErrorKind::NotEmpty => (S::CONFLICT, "not_empty", None),
        ErrorKind::Conflict => (S::CONFLICT, "conflict", None),
        ErrorKind::PreconditionFailed => (S::PRECONDITION_FAILED, "precondition_failed", None),
        ErrorKind::ScopeExpired => (S::SERVICE_UNAVAILABLE, "scope_expired", Some(0)),
        ErrorKind::DatasourceRebuilding => (S::SERVICE_UNAVAILABLE, "datasource_rebuilding", Some(10)),
        ErrorKind::ModelUnavailable => (S::SERVICE_UNAVAILABLE, "model_unavailable", Some(5)),
        ErrorKind::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", Some(1)),
        ErrorKind::DeadlineExceeded => (S::SERVICE_UNAVAILABLE, "deadline_exceeded", Some(1)),
        ErrorKind::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", Some(1)),
        // A kind that this match does not know yet is a defect too.
        ErrorKind::Internal | _ => (S::INTERNAL_SERVER_ERROR, "internal", None),
    };
    Outside { status, code, retry_after }
}

/// OpenAI's word for a class of errors.
fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

impl Failure {
    /// An error that only HTTP knows.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, retry_after: None }
    }

    /// The request is wrong at `param`.
    pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Error::invalid(param, message).into()
    }

    /// Names the error more closely than its kind does.
    pub(super) fn with_code(mut self, status: StatusCode, code: &'static str) -> Self {
        if self.status == status {
            self.code = code;
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error);
        match error.kind().severity() {
            Severity::Error => tracing::error!(message = error.message(), ?cause, "a request failed"),
            Severity::Warn => tracing::warn!(message = error.message(), ?cause, "a request was turned away"),
            Severity::Debug => tracing::debug!(message = error.message(), ?cause, "a request was refused"),
        }
        let Outside { status, code, retry_after } = outside(error.kind());
        Self { status, code, message: error.message().to_owned(), param: error.param().map(str::to_owned), retry_after }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Body {
            message: &self.message,
            r#type: error_type(self.status),
            param: self.param.as_deref(),
            code: self.code,
        };
        let body = serde_json::to_vec(&Envelope { error: body }).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ucap\""));
        }
        response
    }
}
