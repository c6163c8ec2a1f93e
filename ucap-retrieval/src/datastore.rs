//! Where a datasource lives: the three roles a datastore plays, and the backend that hands them out.
//!
//! A role is used with a [`Permit`], never with a bare name. Implementors demand that the permit allows the action and is
//! of the datasource they were opened for.

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use roaring::RoaringBitmap;
use serde_json::value::RawValue;
use ucap_authz::Permit;
use ucap_core::catalog::Datasource;
use ucap_core::{Action, Error, ErrorKind, RequestContext, Result};

use crate::analysis::TermGroup;
use crate::bm25::Weights;
use crate::filter::{Affects, Predicate};
use crate::hit::DatasourceStats;
pub use crate::ingest_queue::{Deferred, IngestQueue, QueueBound, Queued};
use crate::query::{SortKey, Withdrawn};
use crate::record::Record;

/// Opens datasources in one kind of datastore.
#[async_trait]
pub trait DatastoreBackend: Debug + Send + Sync + 'static {
    /// The name in configuration and messages.
    fn name(&self) -> &'static str;

    /// The datastore of a datasource, made when it is missing. Law: what was committed is there, in every role.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened, `DatasourceRebuilding` while a derived index is made anew.
    async fn open(&self, context: &RequestContext, datasource: &Datasource) -> Result<Datastore>;

    /// Removes everything that a datasource has; it is gone when this answers.
    ///
    /// # Errors
    /// `Unavailable` when something could not be removed.
    async fn forget(&self, context: &RequestContext, datasource: &Datasource) -> Result<()>;

    /// Those of `datasources` in which records may wait for their embeddings, found without opening them.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn with_queues(&self, datasources: Vec<Arc<Datasource>>) -> Result<Vec<Arc<Datasource>>>;

    /// Writes what waits in memory and closes everything.
    ///
    /// # Errors
    /// `Unavailable` when something could not be written; nothing that was acknowledged is lost.
    async fn close(&self) -> Result<()>;
}

/// The roles of one datasource.
#[derive(Debug, Clone)]
pub struct Datastore {
    /// Structured: the source of truth.
    pub records: Arc<dyn RecordStore>,
    /// Text and vectors.
    pub passages: Arc<dyn PassageIndex>,
    /// What was ingested, as it was.
    pub originals: Arc<dyn OriginalStore>,
    /// What was accepted and waits: a part of the records' role.
    pub queue: Arc<dyn IngestQueue>,
}

/// Demands that `permit` allows `action` on the datasource of this generation.
///
/// # Errors
/// `PermissionDenied`.
pub fn demand(permit: &Permit, action: Action, datasource: &Datasource) -> Result<()> {
    let held = permit.datasource();
    if permit.allows(action) && held.id == datasource.id && held.stamp.generation == datasource.stamp.generation {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!("the permit does not allow {} on datasource `{}`", action.as_str(), datasource.id),
    ))
}

/// A passage to be written.
#[derive(Debug, Clone, Default)]
pub struct NewPassage {
    /// What is indexed and shown.
    pub text: String,
    /// Terms under which it is found though its text does not hold them: the record's id and aliases. No white space.
    pub keys: Vec<String>,
    /// All its terms: those of its text, then the keys.
    pub terms: Vec<String>,
    /// Its embedding; `None` in a datasource without vectors.
    pub vector: Option<Vec<f32>>,
}

/// One step of a write.
#[derive(Debug)]
pub enum Write {
    /// Adds a record or replaces the one of its id.
    Put {
        /// The record.
        record: Box<Record>,
        /// BLAKE3 of its canonical content.
        hash: [u8; 32],
        /// Its passages.
        passages: Vec<NewPassage>,
        /// Where it comes from, and when.
        origin: Origin,
    },
    /// Deletes the record of this id, if it is there or waits.
    Delete(String),
    /// Deletes the record of this id, if it was ingested last at this instant (Unix seconds) or before.
    Expire(String, i64),
}

impl Write {
    /// The id it is about.
    pub fn id(&self) -> &str {
        match self {
            Self::Put { record, .. } => &record.id,
            Self::Delete(id) | Self::Expire(id, _) => id,
        }
    }
}

/// Where a record that is written comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// When it was ingested, in Unix seconds. Its age counts from the latest time, also of the same content.
    pub at: i64,
    /// Its place in the queue; `None` for one that did not wait. It is written only while it stands there.
    pub queued: Option<u64>,
}

/// What a write did, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A new record.
    Created,
    /// Another record of the id was replaced.
    Replaced,
    /// The same content was there.
    Unchanged,
    /// A record was deleted.
    Deleted,
    /// There was nothing to delete.
    Missing,
    /// It had waited, and something newer came meanwhile: nothing was written.
    Superseded,
}

/// The rows that a filter leaves, at one state of the data.
#[derive(Debug)]
pub struct Candidates {
    rows: RoaringBitmap,
    change: u64,
    prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Candidates {
    /// These rows, at the state after `change`.
    pub fn new(rows: RoaringBitmap, change: u64) -> Self {
        Self { rows, change, prepared: OnceLock::new() }
    }

    /// The rows; numbers mean something to their store only.
    pub fn rows(&self) -> &RoaringBitmap {
        &self.rows
    }

    /// The state: it moves with every write.
    pub fn change(&self) -> u64 {
        self.change
    }

    /// What a backend derives from the rows once, to use with every query that shares the filter; `None` when another
    /// type was prepared before.
    pub fn prepared<T: Any + Send + Sync>(&self, prepare: impl FnOnce() -> T) -> Option<&T> {
        self.prepared.get_or_init(|| Box::new(prepare())).downcast_ref()
    }
}

/// A value to sort by. A missing one comes last, whatever the order.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum SortValue {
    /// Not there.
    Missing,
    /// Of an integer or boolean field.
    Integer(i64),
    /// Of a float field; minus zero is zero.
    Float(f64),
    /// Of a text, keyword or timestamp field: compared by bytes.
    Text(String),
    /// Of a version field: its key.
    Bytes(Vec<u8>),
}

/// Where a page begins in one datasource.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    /// At the beginning.
    Start,
    /// Behind the record of these sort values and this id.
    Record(Vec<SortValue>, String),
    /// At the first record whose sort values are these or later.
    From(Vec<SortValue>),
    /// Behind all records of these sort values.
    Behind(Vec<SortValue>),
}

/// A page of a filter's records.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Which records.
    pub predicate: Predicate,
    /// Whether withdrawn ones take part.
    pub withdrawn: Withdrawn,
    /// In which order; then by id.
    pub sort: Vec<SortKey>,
    /// Where to begin.
    pub after: After,
    /// How many.
    pub limit: usize,
}

/// A record of a page.
#[derive(Debug, Clone)]
pub struct PageRow {
    /// Its row.
    pub row: u32,
    /// Its id.
    pub id: String,
    /// Its sort values, one for each key.
    pub sort: Vec<SortValue>,
}

/// A record as it is read for an answer.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its fields, as answers show them.
    pub fields: Box<RawValue>,
    /// The text of the passage that was asked for.
    pub passage: Option<String>,
}

/// Structured records: the source of truth of a datasource.
#[async_trait]
pub trait RecordStore: Debug + Send + Sync + 'static {
    /// Makes `writes` last, all or none, in order; one id at most once. It answers when they would survive a power loss
    /// and every leg of a search finds them (or no longer does).
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Unavailable` when nothing was written.
    async fn write(&self, context: &RequestContext, permit: &Permit, writes: Vec<Write>) -> Result<Vec<Written>>;

    /// The content hashes of these ids, in order; `None` where there is no record.
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Unavailable`.
    async fn hashes(&self, context: &RequestContext, permit: &Permit, ids: &[String]) -> Result<Vec<Option<[u8; 32]>>>;

    /// The rows that satisfy `predicate`.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn candidates(
        &self,
        context: &RequestContext,
        permit: &Permit,
        predicate: &Predicate,
        withdrawn: Withdrawn,
    ) -> Result<Arc<Candidates>>;

    /// Whether a record lists the very string that `affects` could not parse.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn lists_version(&self, context: &RequestContext, permit: &Permit, affects: &Affects) -> Result<bool>;

    /// A page in order of the sort keys, then of the ids' bytes.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn page(&self, context: &RequestContext, permit: &Permit, request: &PageRequest) -> Result<Vec<PageRow>>;

    /// What stands in these rows, in order, with the text of one passage each; `None` where the row is gone.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn read(
        &self,
        context: &RequestContext,
        permit: &Permit,
        rows: &[(u32, Option<u32>)],
    ) -> Result<Vec<Option<Found>>>;

    /// The ids in these rows, in order; `None` where the row is gone.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn ids(&self, context: &RequestContext, permit: &Permit, rows: &[u32]) -> Result<Vec<Option<String>>>;

    /// The records that were ingested longest ago, at most `limit`: id and Unix seconds, oldest first, then by id.
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Unavailable`.
    async fn oldest(&self, context: &RequestContext, permit: &Permit, limit: usize) -> Result<Vec<(String, i64)>>;

    /// How much there is.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn stats(&self, context: &RequestContext, permit: &Permit) -> Result<DatasourceStats>;
}

/// What BM25 needs to know of a collection: sums over datasources weigh a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionStatistics {
    /// Live passages.
    pub passages: u64,
    /// Their terms together.
    pub terms: u64,
    /// Live passages that hold each group.
    pub frequencies: Vec<u64>,
}

/// A record found by a leg, with its best passage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Its row.
    pub row: u32,
    /// The best passage; of equal ones the first.
    pub passage: u32,
    /// The record's score: in the vector leg that of its best passage, in the lexical leg its passages' together (the
    /// best in full, each further one a quarter of the one before, four at most).
    pub score: f32,
}

/// Text and vectors of a datasource's passages. Statistics and scores know live passages only.
#[async_trait]
pub trait PassageIndex: Debug + Send + Sync + 'static {
    /// The statistics of all live passages.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `DeadlineExceeded`; `Overloaded`.
    async fn statistics(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
    ) -> Result<CollectionStatistics>;

    /// The records among `candidates` with the highest BM25 scores: at least `depth` of them (or all), and all that tie
    /// with the last. Best first; in no order where scores are equal.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `DeadlineExceeded`; `Overloaded`.
    async fn lexical(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
        weights: &Weights,
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>>;

    /// The records among `candidates` whose vectors have the highest dot product with `query`: exact, as
    /// [`PassageIndex::lexical`] in number and order. Empty in a datasource without vectors.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `InvalidInput` when `query` has another length; `DeadlineExceeded`; `Overloaded`.
    async fn nearest(
        &self,
        context: &RequestContext,
        permit: &Permit,
        query: &[f32],
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>>;

    /// The vectors that the records of these ids have now, by BLAKE3 of the passage's text: what a replaced record keeps
    /// need not be embedded again.
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Unavailable`.
    async fn known_vectors(
        &self,
        context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<HashMap<[u8; 32], Vec<f32>>>;
}

/// A record as it was ingested.
#[derive(Debug, Clone)]
pub struct Original {
    /// Its fields, as answers show them.
    pub fields: Box<RawValue>,
    /// The JSON it came as.
    pub body: Box<RawValue>,
}

/// What was ingested, as it was.
#[async_trait]
pub trait OriginalStore: Debug + Send + Sync + 'static {
    /// The record of this id, withdrawn or not.
    ///
    /// # Errors
    /// `PermissionDenied` without read; `Unavailable`.
    async fn get(&self, context: &RequestContext, permit: &Permit, id: &str) -> Result<Option<Original>>;
}
