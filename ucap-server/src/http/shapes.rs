//! The shapes of answers that `ucap-retrieval` serialises itself, here for `/openapi.json` only. A test in
//! `tests/openapi.rs` holds real answers to them.
#![expect(dead_code, reason = "they describe; nothing makes them")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

/// What a search found.
#[derive(ToSchema)]
#[schema(as = SearchAnswer)]
pub(super) struct SearchAnswerShape {
    /// Best first.
    hits: Vec<HitShape>,
    /// The visible records that satisfy the filter, in every mode.
    total: u64,
    /// The cursor of the next page; null at the end.
    #[schema(required)]
    next: Option<String>,
    /// Datasources left out because they are being rebuilt; only with `partial`.
    unavailable: Option<Vec<String>>,
}

/// A record found.
#[derive(ToSchema)]
#[schema(as = Hit)]
pub(super) struct HitShape {
    datasource: String,
    id: String,
    /// Comparable within one answer only; null in mode filter.
    #[schema(required)]
    score: Option<f32>,
    /// The best passage; null in mode filter.
    #[schema(required)]
    passage: Option<String>,
    /// The record's present fields, keys sorted.
    #[schema(value_type = Object)]
    fields: BTreeMap<String, Json>,
    /// Only with `explain`.
    why: Option<WhyShape>,
}

/// Why a record was found.
#[derive(ToSchema)]
#[schema(as = Why)]
pub(super) struct WhyShape {
    lexical: Option<LegShape>,
    vector: Option<LegShape>,
    /// How the legs were joined.
    fusion: Option<String>,
    /// The filter it satisfies, as text.
    filter: Option<String>,
}

/// A record's place in one leg.
#[derive(ToSchema)]
#[schema(as = Leg)]
pub(super) struct LegShape {
    /// From 1.
    rank: u64,
    /// BM25, or the cosine.
    score: f32,
}

/// A record.
#[derive(ToSchema)]
#[schema(as = Record)]
pub(super) struct RecordShape {
    datasource: String,
    id: String,
    /// Its present fields, keys sorted.
    #[schema(value_type = Object)]
    fields: BTreeMap<String, Json>,
    /// As it was ingested.
    #[schema(value_type = Object)]
    original: Json,
}

/// What an ingest did.
#[derive(ToSchema)]
#[schema(as = IngestReport)]
pub(super) struct IngestReportShape {
    /// Good lines, unchanged ones too.
    accepted: u64,
    /// Lines that said what was there already.
    unchanged: u64,
    /// Bad lines.
    rejected_count: u64,
    /// The first 1,000 of them.
    rejected: Vec<RejectionShape>,
}

/// A line that was refused.
#[derive(ToSchema)]
#[schema(as = Rejection)]
pub(super) struct RejectionShape {
    /// From 1, blank lines too.
    line: u64,
    error: String,
}

/// What a delete did.
#[derive(ToSchema)]
#[schema(as = DeleteReport)]
pub(super) struct DeleteReportShape {
    /// Records that are gone.
    deleted: u64,
    /// Ids that were not there.
    missing: Vec<String>,
}

/// How much a datasource holds.
#[derive(ToSchema)]
#[schema(as = Stats)]
pub(super) struct StatsShape {
    /// Records, withdrawn ones too.
    records: u64,
    passages: u64,
    /// Records that were accepted with `wait=durable` and are not found before they are embedded.
    pending: u64,
    /// Bytes of the stored originals.
    bytes: u64,
    /// null without vectors.
    #[schema(required)]
    embedding_model: Option<String>,
}

/// The error of every route.
#[derive(ToSchema, Serialize)]
#[schema(as = Error)]
pub(super) struct ErrorShape {
    error: ErrorBodyShape,
}

/// What went wrong.
#[derive(ToSchema, Serialize)]
#[schema(as = ErrorBody)]
pub(super) struct ErrorBodyShape {
    /// For people.
    message: String,
    /// OpenAI's class of errors.
    r#type: String,
    /// The field of the request that is wrong.
    #[schema(required)]
    param: Option<String>,
    /// For programs.
    code: String,
}
