//! Records: `/v1/datasources/{id}/records`, one by one and as streams, and their statistics.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value as Json;
use ucap_core::{Error, ErrorKind};
use ucap_retrieval::retriever::{PutBody, Selection, Wait};
use utoipa::ToSchema;

use super::answer::{Answer, Deleted, deleted, json, made, ok};
use super::error_response::Failure;
use super::incoming::{Incoming, is_json, unsupported_media};
use super::record_stream::{Coding, Framing, MAX_RECORD_BYTES, feed};
use super::route::{Parameter, Route};
use super::search::filter;
use super::shapes::{DeleteReportShape, IngestReportShape, RecordShape, StatsShape};

const COLLECTION: &str = "/v1/datasources/{id}/records";
const RECORD: &str = "/v1/datasources/{id}/records/{record}";
const MAX_DOCUMENT_BYTES: usize = 32 << 20;
const LINES: &[&str] = &["application/x-ndjson", "application/json"];
const BODIES: &[&str] = &["application/json", "text/markdown", "text/plain", "text/html", "application/pdf"];
const WAIT: &[Parameter] = &[Parameter {
    name: "wait",
    r#type: "string",
    description: "`durable` answers when all is durable and embeds behind: until then a record is in no mode and counted as `pending`.",
}];
const TITLE: &[Parameter] =
    &[Parameter { name: "title", r#type: "string", description: "The title of a raw document." }];

/// Which records to delete: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Selected {
    /// These.
    ids: Option<Vec<String>>,
    /// All that satisfy this filter.
    #[schema(value_type = Option<Object>)]
    filter: Option<Json>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, COLLECTION, "data", "Add or replace records, as a stream", ingest)
            .parameters(WAIT)
            .takes_raw(LINES)
            .answers::<IngestReportShape>(200)
            .untimed(),
        Route::new(Method::DELETE, COLLECTION, "data", "Delete records by id or filter", delete_selected)
            .takes::<Selected>()
            .answers::<DeleteReportShape>(200)
            .untimed(),
        Route::new(Method::GET, RECORD, "retrieval", "Read a record", get).answers::<RecordShape>(200),
        Route::new(Method::PUT, RECORD, "data", "Add or replace a record", put)
            .parameters(TITLE)
            .takes_raw(BODIES)
            .answers::<RecordShape>(200)
            .answers::<RecordShape>(201)
            .untimed(),
        Route::new(Method::DELETE, RECORD, "data", "Delete a record", delete).answers::<Deleted>(200),
        Route::new(Method::GET, "/v1/datasources/{id}/stats", "data", "How much a datasource holds", stats)
            .answers::<StatsShape>(200),
    ]
}

async fn ingest(call: Incoming) -> Answer {
    let wait = match call.query(&["wait"])?.get("wait") {
        None => Wait::Found,
        Some("durable") => Wait::Durable,
        Some(_) => return Err(Failure::invalid("wait", "`wait` can only be `durable`")),
    };
    let (framing, coding) = (framing(&call)?, coding(&call)?);
    // The right first: who may not write takes no place from those who may.
    let mut ingest = call.session.ingest(call.path("id")).await?.with_wait(wait);
    let _place = call
        .app
        .try_ingest()
        .ok_or_else(|| Error::new(ErrorKind::Overloaded, "too many ingests run at once; try again in a moment"))?;
    feed(&mut ingest, call.into_body(), framing, coding).await?;
    ok(&ingest.finish().await?)
}

/// How records follow each other, by the content type. What names none is taken for lines.
fn framing(call: &Incoming) -> Result<Framing, Failure> {
    match call.content_type().as_deref() {
        Some(
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines",
        ) => Ok(Framing::Lines),
        Some("text/plain" | "text/x-ndjson") => Ok(Framing::Lines),
        Some(essence) if is_json(essence) => Ok(Framing::Json),
        None => Ok(Framing::Json),
        Some(_) => Err(unsupported_media("send lines as application/x-ndjson or an array as application/json")),
    }
}

fn coding(call: &Incoming) -> Result<Coding, Failure> {
    match call.content_coding().as_deref() {
        None => Ok(Coding::Plain),
        Some("zstd") => Ok(Coding::Zstd),
        Some("gzip" | "x-gzip") => Ok(Coding::Gzip),
        Some(_) => Err(unsupported_media("content-encoding is zstd or gzip")),
    }
}

async fn delete_selected(call: Incoming) -> Answer {
    call.query(&[])?;
    let datasource = call.path("id").to_owned();
    let (body, session) = call.json::<Selected>().await?;
    let selection = match (body.ids, &body.filter) {
        (Some(ids), None) => Selection::Ids(ids),
        (None, Some(json)) => Selection::Filter(filter(json)?),
        _ => return Err(Failure::invalid("ids", "name what to delete either by ids or by filter")),
    };
    ok(&session.delete_records(&datasource, selection).await?)
}

async fn get(call: Incoming) -> Answer {
    call.query(&[])?;
    ok(&call.session.get(call.path("id"), call.path("record")).await?)
}

async fn put(call: Incoming) -> Answer {
    let title = call.query(&["title"])?.get("title").map(str::to_owned);
    if call.content_coding().is_some() {
        return Err(unsupported_media("send the body without content-encoding"));
    }
    let (datasource, record) = (call.path("id").to_owned(), call.path("record").to_owned());
    let session = call.session.clone();
    let body = match call.content_type() {
        Some(essence) if !is_json(&essence) => {
            let content_type = call.full_content_type();
            PutBody::Document { content_type, title, bytes: call.bytes(MAX_DOCUMENT_BYTES).await? }
        }
        _ if title.is_some() => return Err(Failure::invalid("title", "`title` goes with a raw document only")),
        _ => PutBody::Json(call.bytes(MAX_RECORD_BYTES).await?),
    };
    let (new, held) = session.put(&datasource, &record, body).await?;
    json(made(new), &held)
}

async fn delete(call: Incoming) -> Answer {
    call.query(&[])?;
    let record = call.path("record");
    call.session.delete_record(call.path("id"), record).await?;
    deleted(record)
}

async fn stats(call: Incoming) -> Answer {
    call.query(&[])?;
    json(StatusCode::OK, &call.session.stats(call.path("id")).await?)
}
