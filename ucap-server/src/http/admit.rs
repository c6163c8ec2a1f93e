//! What every request passes: an id, a place among those that run, a credential, a deadline; and on the way out the
//! rest of its body, its headers, its line in the log and in the metrics.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use ucap_core::{Error, ErrorKind, RequestContext, mint_id};

use super::body::SharedBody;
use super::error_response::Failure;
use super::etag;
use super::serve::Arrival;
use super::{App, Facts};
use crate::session::Session;

/// The header of the request's id, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whatever is there, is there for everybody.
const WELL_KNOWN: &str = "/.well-known/";

/// Cancels the request's work when its client is gone.
struct CancelOnDrop(RequestContext);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The middleware around every route.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let mut facts = app.facts(&method, request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    facts.open |= request.uri().path().starts_with(WELL_KNOWN);
    let id = request_id(&app, request.headers());
    let mut context = RequestContext::new(&*id);
    if !facts.untimed {
        context = context.with_timeout(app.server().request_timeout());
    }
    let _cancel = CancelOnDrop(context.clone());

    let (parts, body) = request.into_parts();
    let waits = parts.headers.contains_key(EXPECT);
    let known = etag::known(&parts.headers);
    let body = SharedBody::new(body, app.server().idle_timeout());
    let request = Request::from_parts(parts, Body::new(body.clone()));
    let answered = AssertUnwindSafe(answer(&app, context, facts, request, next)).catch_unwind().await;
    let mut response =
        answered.unwrap_or_else(|_| Failure::from(Error::internal("the request met a defect")).into_response());

    response = etag::unless_known(&method, known.as_ref(), response);
    // A client that waits for 100-continue sends no body after a refusal.
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused && !waits && !body.drain().await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let route = facts.template;
    tracing::debug!(%method, route, status = response.status().as_u16(), request = &*id, "answered");
    app.metrics().answered(&method, route, response.status(), started.elapsed());
    response
}

async fn answer(app: &App, context: RequestContext, facts: Facts, mut request: Request, next: Next) -> Response {
    if facts.open {
        return next.run(request).await;
    }
    // `ucap --data` asks within its own process, where nothing arrives.
    let arrival = request.extensions().get::<Arrival>().copied();
    if arrival.is_some_and(|arrival| arrival.is_late) {
        let message = "the server is stopping; send the request again, to another or to this one";
        return Failure::from(Error::new(ErrorKind::Unavailable, message)).into_response();
    }
    let is_elsewhere = facts.administrators && arrival.is_some_and(|arrival| !arrival.is_for_administrators);
    let Some(_running) = app.try_run() else {
        return Failure::from(overloaded()).into_response();
    };
    // A session in the extensions was put there by this process: `ucap --data` asks for itself.
    let session = match request.extensions_mut().remove::<Session>() {
        Some(session) => Ok(session.with_context(context)),
        None => {
            // The body is not `Sync`, so no reference to the request is held over an await.
            let bearer = bearer(request.headers()).map(str::to_owned);
            let wanted = request.uri().path().to_owned();
            app.platform().authenticate_request(context, bearer.as_deref(), &wanted).await
        }
    };
    match session {
        Ok(_) if is_elsewhere => no_route().await.into_response(),
        Ok(session) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Err(error) => Failure::from(error).into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credential) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credential.trim())
}

/// The client's id if it is a sane one, else a new one.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let sane = |text: &&str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| mint_id(app.entropy(), "req_"), str::to_owned)
}

fn overloaded() -> Error {
    Error::new(ErrorKind::Overloaded, "too many requests run at once; try again in a moment")
}

/// What answers a path that is no route.
pub(super) async fn no_route() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "not_found", "there is no such route; see /docs")
}

/// What answers a route's path with a method that it does not have.
pub(super) async fn no_method(method: Method) -> Failure {
    let message = format!("this route does not answer {method}; the header `allow` says which methods it does");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
