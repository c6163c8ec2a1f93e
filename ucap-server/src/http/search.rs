//! Search: `POST /v1/search` and `POST /v1/datasources/{id}/query`.

use std::time::Duration;

use http::Method;
use http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use ucap_core::{Error, ErrorKind};
use ucap_retrieval::filter::Filter;
use ucap_retrieval::hit::{SearchAnswer, Timings};
use ucap_retrieval::query::{DEFAULT_LIMIT, Mode, SearchRequest, SortKey, Withdrawn};
use utoipa::ToSchema;

use super::answer::{Answer, ok};
use super::error_response::Failure;
use super::incoming::Incoming;
use super::json_body::objects;
use super::route::Route;
use super::shapes::SearchAnswerShape;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// A search.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SearchBody {
    /// What is looked for: at most 8 KiB; empty or absent is no query.
    query: Option<String>,
    /// Hits of a page: 1 to 1000, default 10.
    limit: Option<usize>,
    /// `hybrid` (default), `lexical`, `vector` or `filter`.
    mode: Option<String>,
    /// Which records take part: an object such as `{"gte":{"severity":7}}`, or text such as `severity >= 7`.
    #[schema(value_type = Option<Object>)]
    filter: Option<Json>,
    /// In which domains; absent is all, an empty list none.
    domains: Option<Vec<String>>,
    /// In which datasources; absent is all, an empty list none.
    datasources: Option<Vec<String>>,
    /// In which order; only with mode filter.
    #[serde(deserialize_with = "objects")]
    sort: Option<Vec<SortBody>>,
    /// `exclude` (default), `include` or `only`.
    withdrawn: Option<String>,
    /// The query's embedding, given instead of computed.
    vector: Option<Vec<f32>>,
    /// Whether hits say why they were found.
    explain: Option<bool>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Whether to answer without datasources that are being rebuilt.
    partial: Option<bool>,
}

/// A field to sort by.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SortBody {
    /// The field.
    field: String,
    /// `asc` (default) or `desc`; a missing value comes last either way.
    order: Option<String>,
}

/// A search in one datasource, by filter alone.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueryBody {
    /// Hits of a page: 1 to 1000, default 10.
    limit: Option<usize>,
    /// Which records: an object or text.
    #[schema(value_type = Option<Object>)]
    filter: Option<Json>,
    /// In which order.
    #[serde(deserialize_with = "objects")]
    sort: Option<Vec<SortBody>>,
    /// `exclude` (default), `include` or `only`.
    withdrawn: Option<String>,
    /// Whether hits say why they were found.
    explain: Option<bool>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Whether to answer while the datasource is being rebuilt.
    partial: Option<bool>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/search", "retrieval", "Search what you may read", search)
            .takes::<SearchBody>()
            .answers::<SearchAnswerShape>(200),
        Route::new(
            Method::POST,
            "/v1/datasources/{id}/query",
            "retrieval",
            "Records of one datasource, by filter",
            query,
        )
        .takes::<QueryBody>()
        .answers::<SearchAnswerShape>(200),
    ]
}

async fn search(call: Incoming) -> Answer {
    call.query(&[])?;
    let (body, session) = call.json::<SearchBody>().await?;
    answer(&session.search(&body.request()?).await?)
}

async fn query(call: Incoming) -> Answer {
    call.query(&[])?;
    let datasource = call.path("id").to_owned();
    let (body, session) = call.json::<QueryBody>().await?;
    let QueryBody { limit, filter, sort, withdrawn, explain, cursor, partial } = body;
    let body = SearchBody { limit, filter, sort, withdrawn, explain, cursor, partial, ..SearchBody::default() };
    let mut request = body.request()?;
    request.mode = Mode::Filter;
    request.datasources = Some(vec![datasource]);
    answer(&session.search(&request).await?)
}

impl SearchBody {
    /// The request that it stands for.
    pub(super) fn request(self) -> Result<SearchRequest, Failure> {
        let mut request = SearchRequest::default();
        request.query = self.query;
        request.limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        request.mode = self.mode.as_deref().map(Mode::parse).transpose()?.unwrap_or_default();
        request.filter = self.filter.as_ref().map(filter).transpose()?;
        request.domains = self.domains;
        request.datasources = self.datasources;
        request.sort = self.sort.into_iter().flatten().map(SortBody::key).collect::<Result<_, _>>()?;
        request.withdrawn = self.withdrawn.as_deref().map(Withdrawn::parse).transpose()?.unwrap_or_default();
        request.vector = self.vector;
        request.explain = self.explain.unwrap_or(false);
        request.cursor = self.cursor;
        request.partial = self.partial.unwrap_or(false);
        Ok(request)
    }
}

impl SortBody {
    fn key(self) -> Result<SortKey, Failure> {
        let descending = match self.order.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Failure::invalid("sort", "the order of a sort is asc or desc")),
        };
        Ok(SortKey { field: self.field, descending })
    }
}

/// A filter, as an object or as text.
pub(super) fn filter(json: &Json) -> Result<Filter, Failure> {
    let filter = match json {
        Json::String(text) => Filter::from_text(text),
        json => Filter::from_json(json),
    };
    filter.map_err(|error| if error.param().is_some() { error } else { error.with_param("filter") }.into())
}

fn answer(found: &SearchAnswer) -> Answer {
    let mut response = ok(found)?;
    let value = HeaderValue::from_str(&timing(&found.timings))
        .map_err(|cause| Error::new(ErrorKind::Internal, "the timings cannot be written").with_source(cause))?;
    response.headers_mut().insert(SERVER_TIMING, value);
    Ok(response)
}

/// [Server Timing](https://www.w3.org/TR/server-timing/), in milliseconds.
fn timing(timings: &Timings) -> String {
    let part = |name: &str, took: Duration| format!("{name};dur={:.3}", took.as_secs_f64() * 1000.0);
    let Timings { embed, filter, lexical, vector, fuse } = *timings;
    [part("embed", embed), part("filter", filter), part("lexical", lexical), part("vector", vector), part("fuse", fuse)]
        .join(", ")
}
