//! Answers. Serialised they are the bytes that HTTP and the command line show.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

/// What a search found.
#[derive(Debug, Serialize)]
pub struct SearchAnswer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The visible records that satisfy the filter, in every mode.
    pub total: u64,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
    /// Datasources left out because they are being rebuilt; only with `partial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<Vec<String>>,
    /// Where the time went; never part of the body.
    #[serde(skip)]
    pub timings: Timings,
}

/// A record found.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// The datasource it is in.
    pub datasource: String,
    /// Its id.
    pub id: String,
    /// Comparable within one answer only; `None` in mode filter.
    pub score: Option<f32>,
    /// Its best passage; `None` in mode filter.
    pub passage: Option<String>,
    /// Its present fields, keys sorted.
    pub fields: Box<RawValue>,
    /// Why it was found; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Why a record was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// Its place in the BM25 leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexical: Option<Leg>,
    /// Its place in the vector leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Leg>,
    /// How the legs were joined: `rrf(k=60)`, or absent for one leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fusion: Option<&'static str>,
    /// The filter it satisfies, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// A record's place in one leg.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Leg {
    /// From 1.
    pub rank: usize,
    /// BM25, or the cosine.
    pub score: f32,
}

/// Where a search spent its time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Embedding the query.
    pub embed: Duration,
    /// Finding the candidates.
    pub filter: Duration,
    /// The BM25 leg.
    pub lexical: Duration,
    /// The vector leg.
    pub vector: Duration,
    /// Fusing, and reading the hits.
    pub fuse: Duration,
}

/// A record, as GET shows it.
#[derive(Debug, Serialize)]
pub struct RecordAnswer {
    /// The datasource it is in.
    pub datasource: String,
    /// Its id.
    pub id: String,
    /// Its present fields, keys sorted.
    pub fields: Box<RawValue>,
    /// As it was ingested.
    pub original: Box<RawValue>,
}

/// What an ingest did.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct IngestReport {
    /// Good lines, unchanged ones too.
    pub accepted: u64,
    /// Lines that said what was there already.
    pub unchanged: u64,
    /// Bad lines.
    pub rejected_count: u64,
    /// The first [`MAX_REJECTIONS`] of them.
    pub rejected: Vec<Rejection>,
}

/// So many rejections are listed.
pub const MAX_REJECTIONS: usize = 1000;

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rejection {
    /// Counted from 1, blank lines too.
    pub line: u64,
    /// Why.
    pub error: String,
}

impl IngestReport {
    /// Notes that `line` was refused.
    pub fn reject(&mut self, line: u64, error: impl Into<String>) {
        self.rejected_count += 1;
        if self.rejected.len() < MAX_REJECTIONS {
            self.rejected.push(Rejection { line, error: error.into() });
        }
    }
}

/// What a delete did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct DeleteReport {
    /// Records that are gone.
    pub deleted: u64,
    /// Ids that were not there.
    pub missing: Vec<String>,
}

/// How much a datasource holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasourceStats {
    /// Records, withdrawn ones too.
    pub records: u64,
    /// Passages.
    pub passages: u64,
    /// Records that were accepted and are not found before they are embedded; not among `records`.
    pub pending: u64,
    /// Bytes of the stored originals.
    pub bytes: u64,
    /// The model whose vectors it holds; `None` without vectors.
    pub embedding_model: Option<String>,
}
