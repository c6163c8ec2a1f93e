//! Where a command's requests go: to a server, or into the same router in this process. Either way they are the same
//! requests, so the answers are the same bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use tower::ServiceExt as _;
use ucap_core::Principal;

use super::args::Place;
use super::complaint::{Complaint, Outcome};
use crate::config::Config;
use crate::descriptors::within_limit;
use crate::http::router;
use crate::platform::{ADMIN_KEY_FILE, Platform};
use crate::session::Session;

const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
const DEFAULT_DATA: &str = "./ucap-data";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 3986's unreserved characters stay as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One part of a path, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A request.
pub(super) struct Ask {
    method: Method,
    path: String,
    payload: Option<Payload>,
}

struct Payload {
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    bytes: BoxStream<'static, io::Result<Bytes>>,
}

impl Ask {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), payload: None }
    }

    pub(super) fn json(mut self, body: &Json) -> Self {
        let bytes = Bytes::from(body.to_string());
        let bytes = Box::pin(futures::stream::once(async move { Ok(bytes) }));
        self.payload = Some(Payload { content_type: "application/json", content_encoding: None, bytes });
        self
    }

    pub(super) fn stream(
        mut self,
        content_type: &'static str,
        content_encoding: Option<&'static str>,
        bytes: BoxStream<'static, io::Result<Bytes>>,
    ) -> Self {
        self.payload = Some(Payload { content_type, content_encoding, bytes });
        self
    }
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub(super) fn json(&self) -> Outcome<Json> {
        serde_json::from_slice(&self.body).map_err(|_| Complaint::new("the answer is not JSON: is this a ucap server?"))
    }
}

/// The way to a platform.
pub(super) enum Connection {
    /// A server.
    Remote {
        /// Sends.
        client: reqwest::Client,
        /// Without a slash at its end.
        base: String,
        /// The API key.
        key: Option<String>,
    },
    /// A directory.
    Local {
        /// Answers.
        router: Router,
        /// As whom.
        session: Session,
        /// Closed at the end.
        platform: Platform,
    },
}

impl Connection {
    /// `creates`: whether a data directory that does not exist is created. `models`: whether the model may be downloaded.
    pub(super) async fn open(place: &Place, creates: bool, models: bool) -> Outcome<Self> {
        match &place.data {
            Some(directory) => Self::open_local(directory, place.user.as_deref(), creates, models).await,
            None => Self::open_remote(place),
        }
    }

    fn open_remote(place: &Place) -> Outcome<Self> {
        let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let client = client.map_err(|error| Complaint::new(format!("the HTTP client does not start: {error}")))?;
        let key = place.key.clone().or_else(|| place.server.is_none().then(key_of_default_directory).flatten());
        let base = place.server.as_deref().unwrap_or(DEFAULT_SERVER).trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Complaint::usage(format!("the server `{base}` is no URL; write http://HOST:PORT")));
        }
        Ok(Self::Remote { client, base, key })
    }

    async fn open_local(directory: &Path, user: Option<&str>, creates: bool, models: bool) -> Outcome<Self> {
        if !creates && !directory.exists() {
            return Err(Complaint::new(format!(
                "there is no data directory {}; name one that exists",
                directory.display()
            )));
        }
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = Config::load(None, environment)?;
        let mut options = config.platform(directory).with_environment(|name| std::env::var_os(name));
        if !models {
            options.model = options.model.offline();
        }
        let platform = Platform::open_with(within_limit(options)).await?;
        let session = match user {
            Some(user) => platform.session(&Principal::User(user.to_owned()))?,
            None => platform.admin_session().await?,
        };
        Ok(Self::Local { router: router(platform.clone(), config.server), session, platform })
    }

    /// Sends a request; an error answer is a complaint.
    pub(super) async fn send(&self, ask: Ask) -> Outcome<Reply> {
        let reply = self.try_send(ask).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(Complaint::of_reply(&reply)) }
    }

    /// Sends a request.
    pub(super) async fn try_send(&self, ask: Ask) -> Outcome<Reply> {
        match self {
            Self::Remote { client, base, key } => {
                let mut request = client.request(ask.method, format!("{base}{}", ask.path));
                if let Some(key) = key {
                    request = request.bearer_auth(key);
                }
                if let Some(payload) = ask.payload {
                    request = request.header(CONTENT_TYPE, payload.content_type);
                    if let Some(coding) = payload.content_encoding {
                        request = request.header(CONTENT_ENCODING, coding);
                    }
                    request = request.body(reqwest::Body::wrap_stream(payload.bytes));
                }
                let failed = |error: reqwest::Error| Complaint::new(describe(base, error));
                let response = request.send().await.map_err(failed)?;
                Ok(Reply { status: response.status(), body: response.bytes().await.map_err(failed)? })
            }
            Self::Local { router, session, .. } => {
                let mut request = Request::builder().method(ask.method).uri(&ask.path).extension(session.clone());
                let mut body = Body::empty();
                if let Some(payload) = ask.payload {
                    request = request.header(CONTENT_TYPE, payload.content_type);
                    if let Some(coding) = payload.content_encoding {
                        request = request.header(CONTENT_ENCODING, coding);
                    }
                    body = Body::from_stream(payload.bytes);
                }
                let request = request
                    .body(body)
                    .map_err(|error| Complaint::new(format!("the request cannot be made: {error}")))?;
                let Ok(response) = router.clone().oneshot(request).await;
                let status = response.status();
                let body = response.into_body().collect().await;
                let body = body.map_err(|error| Complaint::new(format!("the answer broke off: {error}")))?;
                Ok(Reply { status, body: body.to_bytes() })
            }
        }
    }

    /// Ends it.
    pub(super) async fn close(self) -> Outcome<()> {
        if let Self::Local { platform, .. } = self {
            platform.close().await?;
        }
        Ok(())
    }
}

/// Who may read the administrator's key of the directory that `ucap-server` uses by default may use it.
fn key_of_default_directory() -> Option<String> {
    let path: PathBuf = Path::new(DEFAULT_DATA).join(ADMIN_KEY_FILE);
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|key| !key.is_empty())
}

fn describe(base: &str, error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if error.is_connect() {
        return format!("no server answers at {base} ({reason}); start ucap-server, or name a directory with --data");
    }
    format!("the request to {base} failed: {reason}")
}
