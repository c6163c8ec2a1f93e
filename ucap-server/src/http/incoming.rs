//! A request, as handlers see it: who asks, what its path, query, headers and body say, each read strictly.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts as _, RawPathParams, Request};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ucap_authz::administration::Revision;
use ucap_core::Error;
use ucap_core::catalog::ObjectKind;
use ucap_retrieval::content::Condition;

use super::App;
use super::answer::{Answer, list};
use super::body::read_whole;
use super::error_response::Failure;
use super::etag;
use super::json_body::parse_json;
use crate::session::page::invalid_cursor;
use crate::session::{Listed, PageRequest, Session};

/// A JSON body is at most so long, unless its route says otherwise.
pub(super) const MAX_JSON_BYTES: usize = 1 << 20;
const MAX_LIST: usize = 1000;
const LIST_PARAMETERS: &[&str] = &["limit", "cursor"];
const LIST_CURSOR: &str = "list cursor";

/// A request of an authenticated caller.
pub(super) struct Incoming {
    pub(super) app: App,
    pub(super) session: Session,
    path: Vec<(String, String)>,
    parts: Parts,
    body: Body,
}

impl FromRequest<App> for Incoming {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let session = parts.extensions.remove::<Session>();
        let session = session.ok_or_else(|| Error::internal("a request reached its handler without a session"))?;
        let path = RawPathParams::from_request_parts(&mut parts, app).await;
        let path = path.map_err(|_| Failure::invalid("path", "the path holds bytes that are not UTF-8"))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Self { app: app.clone(), session, path, parts, body })
    }
}

impl Incoming {
    /// The path's parameter `name`, percent-decoded.
    pub(super) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value)
    }

    /// The content type without its parameters, in lower case.
    pub(super) fn content_type(&self) -> Option<String> {
        let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().map(essence).unwrap_or_default())
    }

    /// The content type as it was sent, with its parameters.
    pub(super) fn full_content_type(&self) -> String {
        self.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// The content coding, in lower case; `None` for none.
    pub(super) fn content_coding(&self) -> Option<String> {
        let coding = self.parts.headers.get(CONTENT_ENCODING)?;
        let coding = coding.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        (coding != "identity").then_some(coding)
    }

    /// The query's parameters, of which only `known` ones may be there.
    pub(super) fn query(&self, known: &[&str]) -> Result<Query, Failure> {
        Query::parse(self.parts.uri.query().unwrap_or_default(), known)
    }

    /// The page that a list's query asks for.
    pub(super) fn page(&self) -> Result<PageRequest, Failure> {
        let query = self.query(LIST_PARAMETERS)?;
        let after = query.get("cursor").map(|cursor| self.open_cursor(&query, cursor)).transpose()?;
        Ok(PageRequest { after, limit: query.limit()? })
    }

    /// Answers a page of a list.
    pub(super) fn list<T: Serialize>(&self, page: Listed<T>) -> Answer {
        let query = self.query(LIST_PARAMETERS)?;
        let sealer = &self.app.platform().parts().sealer;
        let close = |id: String| sealer.close(LIST_CURSOR, &self.list_binding(&query), id.as_bytes());
        list(page.items, page.next.map(close))
    }

    fn open_cursor(&self, query: &Query, cursor: &str) -> Result<String, Failure> {
        let sealer = &self.app.platform().parts().sealer;
        let content = sealer.open(LIST_CURSOR, &self.list_binding(query), cursor);
        Ok(content.and_then(|id| String::from_utf8(id).ok()).ok_or_else(invalid_cursor)?)
    }

    /// What a list's cursor is bound to: the caller, the route and every parameter that chooses what is listed.
    fn list_binding(&self, query: &Query) -> Vec<u8> {
        let mut binding = self.session.binding().to_vec();
        let chosen = query.0.iter().filter(|(name, _)| name != "limit" && name != "cursor");
        let mut parts: Vec<&str> = chosen.flat_map(|(name, value)| [&**name, value]).collect();
        parts.push(self.parts.uri.path());
        for part in parts {
            binding.extend((part.len() as u64).to_le_bytes());
            binding.extend(part.as_bytes());
        }
        binding
    }

    /// The states of the object that `If-Match` allows; `None` is any.
    pub(super) fn if_match(&self, kind: ObjectKind) -> Option<Vec<Revision>> {
        etag::revisions(&self.app.platform().parts().sealer, kind, &self.parts.headers)
    }

    /// What `If-Match` and `If-None-Match` demand of a record.
    pub(super) fn record_conditions(&self) -> Vec<Condition> {
        etag::record_conditions(&self.parts.headers)
    }

    /// The body, as it comes.
    pub(super) fn into_body(self) -> Body {
        self.body
    }

    /// The whole body.
    pub(super) async fn bytes(self, most: usize) -> Result<Vec<u8>, Failure> {
        Ok(read_whole(self.body, most).await?)
    }

    /// The body as JSON, with everything else that a handler needs after it.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<(T, Session), Failure> {
        self.json_within(MAX_JSON_BYTES).await
    }

    /// As [`json`](Self::json), with another bound.
    pub(super) async fn json_within<T: DeserializeOwned>(self, most: usize) -> Result<(T, Session), Failure> {
        if self.content_type().is_some_and(|essence| !is_json(&essence)) {
            return Err(unsupported_media("send JSON as application/json"));
        }
        if self.content_coding().is_some() {
            return Err(unsupported_media("send the body without content-encoding"));
        }
        let bytes = read_whole(self.body, most).await?;
        Ok((parse_json(&bytes)?, self.session))
    }
}

/// Whether a content type says JSON.
pub(super) fn is_json(essence: &str) -> bool {
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// 415.
pub(super) fn unsupported_media(advice: &str) -> Failure {
    Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the body is of a type that this route does not take; {advice}"),
    )
}

/// A query string, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str, known: &[&str]) -> Result<Self, Failure> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&&*name) {
                let shown: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
                return Err(Failure::invalid(
                    &*shown,
                    format!("unknown query parameter `{shown}`; known: {}", words(known)),
                ));
            }
            if pairs.iter().any(|(held, _)| *held == name) {
                return Err(Failure::invalid(&*name, format!("the query parameter `{name}` is there twice")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| &**value)
    }

    /// The parameter `limit` of a list.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(PageRequest::default().limit) };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIST).contains(limit));
        limit.ok_or_else(|| Failure::invalid("limit", format!("limit is not a whole number between 1 and {MAX_LIST}")))
    }

    /// A parameter that is `true` or `false`; absent is false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Failure::invalid(name, format!("`{name}` is neither true nor false"))),
        }
    }
}

fn words(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

fn decode(text: &str) -> Result<String, Failure> {
    let text = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| Failure::invalid("query", "the query string holds bytes that are not UTF-8"))
}
