//! Bringing records in: line by line, in bounded batches, each committed before the next begins.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ucap_authz::{Permit, Scope};
use ucap_core::{Action, EmbeddingLane, Error, ErrorKind, RequestContext, Result};

use super::{INGESTED, Retriever};
use crate::analysis::{analyze_document, whole_term};
use crate::content::{Condition, ContentHash, Demand, content_hash};
use crate::datastore::{Datastore, Deferred, Headline, NewPassage, Origin, Write, Written};
use crate::hit::{IngestReport, RecordAnswer};
use crate::ingest::chunking::chunk;
use crate::ingest::formats::document::read_document;
use crate::record::{Record, broken, check_id, read_record};
use crate::schema::Format;
use crate::settings::{Settings, Vectors};
use crate::unit_vector::unit_vector;
use crate::value::Value;

/// Lines of one batch.
const BATCH_LINES: usize = 1000;
/// Bytes of one batch.
const BATCH_BYTES: usize = 8 << 20;
/// The longest line.
const MAX_LINE_BYTES: usize = 8 << 20;
/// Names of one record that it is found by.
const MAX_NAMES: usize = 64;
/// Texts of one request to the embedder.
const EMBEDDED_AT_ONCE: usize = 64;

/// A record by itself, as PUT brings it.
#[derive(Debug)]
pub enum PutBody {
    /// As a line of an ingest.
    Json(Vec<u8>),
    /// A document as it is; only for the format `documents`.
    Document {
        /// `text/markdown`, `text/plain` or `text/html`.
        content_type: String,
        /// Overrides the document's own.
        title: Option<String>,
        /// The document.
        bytes: Vec<u8>,
    },
}

/// An ingest under way. Dropping it loses only what was not committed yet.
#[derive(Debug)]
pub struct Ingest {
    retriever: Arc<Retriever>,
    context: RequestContext,
    scope: Scope,
    target: Target,
    wait: Wait,
    batch: Vec<Record>,
    batch_bytes: usize,
    report: IngestReport,
}

/// What an ingest waits for before it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Every record is durable and found in every mode.
    #[default]
    Found,
    /// Every record is durable; those that must be embedded are found in no mode until they are.
    Durable,
}

/// Where records go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) permit: Permit,
    pub(super) store: Datastore,
    pub(super) settings: Settings,
}

/// A record on its way in.
#[derive(Debug, Clone)]
struct Incoming {
    record: Record,
    hash: ContentHash,
    origin: Origin,
    /// The content of its id when it was looked at.
    held: Option<ContentHash>,
}

impl Incoming {
    fn is_unchanged(&self) -> bool {
        self.held == Some(self.hash)
    }

    /// That its content is still there.
    fn demand(&self) -> Demand {
        Demand { id: self.record.id.clone(), condition: Condition::OneOf(vec![self.hash]) }
    }
}

impl Retriever {
    /// Begins an ingest.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Unavailable`.
    pub async fn ingest(self: &Arc<Self>, context: &RequestContext, scope: &Scope, datasource: &str) -> Result<Ingest> {
        let target = self.target(context, scope, datasource).await?;
        Ok(Ingest {
            retriever: Arc::clone(self),
            context: context.clone(),
            scope: scope.clone(),
            target,
            wait: Wait::Found,
            batch: Vec::new(),
            batch_bytes: 0,
            report: IngestReport::default(),
        })
    }

    /// Adds or replaces one record, if all `conditions` hold of the one that is there. Returns whether it is new, and the
    /// record as GET shows it.
    ///
    /// # Errors
    /// `PreconditionFailed` when a condition does not hold: then nothing was changed.
    /// `InvalidInput` for a body that cannot be read or names another id; `Unsupported` for a document in a datasource of
    /// another format or of a type that cannot be read; else as [`Retriever::ingest`].
    pub async fn put(
        &self,
        context: &RequestContext,
        scope: &Scope,
        datasource: &str,
        id: &str,
        body: PutBody,
        conditions: Vec<Condition>,
    ) -> Result<(bool, RecordAnswer)> {
        let target = self.target(context, scope, datasource).await?;
        check_id(id)?;
        let record = match body {
            PutBody::Json(bytes) => {
                let line = with_id(&bytes, id)?;
                read_record(target.settings.format, &target.settings.schema, &line)?
            }
            PutBody::Document { .. } if target.settings.format != Format::Documents => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "datasource `{datasource}` holds {}; send the record as application/json",
                        target.settings.format.name()
                    ),
                ));
            }
            PutBody::Document { content_type, title, bytes } => {
                read_document(id, title.as_deref(), &content_type, &bytes)?
            }
        };
        let (fields, original) = (record.fields_json(), record.original.clone());
        check_vector(&record, &target.settings)?;
        let demands = conditions.into_iter().map(|condition| Demand { id: id.to_owned(), condition }).collect();
        let written = self.commit(context, &target, vec![(record, self.arriving())], demands).await?;
        let is_new = written.first() == Some(&Written::Created);
        let payload = serde_json::json!({"record": id, "created": is_new});
        self.record(context, scope, INGESTED, format!("datasource:{datasource}"), payload).await?;
        let fields = serde_json::value::RawValue::from_string(fields)
            .map_err(|cause| Error::internal("a record cannot be written as JSON").with_source(cause))?;
        Ok((is_new, RecordAnswer { datasource: datasource.to_owned(), id: id.to_owned(), fields, original }))
    }

    async fn target(&self, context: &RequestContext, scope: &Scope, datasource: &str) -> Result<Target> {
        let (permit, store) = self.open(context, scope, datasource, Action::Write).await?;
        let settings = Settings::of(permit.datasource())?;
        Ok(Target { permit, store, settings })
    }

    /// The origin of what comes now and does not wait.
    fn arriving(&self) -> Origin {
        Origin { at: self.gate.clock().now().unix_timestamp(), queued: None }
    }

    /// Writes records of different ids if all demands are met; what is there already is not embedded again.
    pub(super) async fn commit(
        &self,
        context: &RequestContext,
        target: &Target,
        records: Vec<(Record, Origin)>,
        demands: Vec<Demand>,
    ) -> Result<Vec<Written>> {
        let ids: Vec<String> = records.iter().map(|(record, _)| record.id.clone()).collect();
        let held = target.store.records.hashes(context, &target.permit, &ids).await?;
        // What fails already need not be embedded first; what counts is the look under the lock.
        for demand in &demands {
            let place = ids.iter().position(|id| *id == demand.id);
            demand.check(place.and_then(|place| held[place].as_ref()))?;
        }
        let records: Vec<Incoming> = records
            .into_iter()
            .zip(held)
            .map(|((record, origin), held)| Incoming { hash: content_hash(&record.original), record, origin, held })
            .collect();
        let still_there: Vec<Demand> =
            records.iter().filter(|incoming| incoming.is_unchanged()).map(Incoming::demand).collect();
        if !still_there.is_empty() {
            let demands = demands.iter().cloned().chain(still_there).collect();
            match self.derive(context, target, records.clone(), demands, Incoming::is_unchanged).await {
                // Somebody wrote in between: what was spared may be needed now.
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => {}
                answer => return answer,
            }
        }
        self.derive(context, target, records, demands, |_| false).await
    }

    /// Cuts and embeds records, those apart that are `spared`, and writes them.
    async fn derive(
        &self,
        context: &RequestContext,
        target: &Target,
        records: Vec<Incoming>,
        demands: Vec<Demand>,
        spared: fn(&Incoming) -> bool,
    ) -> Result<Vec<Written>> {
        let replaced: Vec<String> = records
            .iter()
            .filter(|incoming| incoming.held.is_some() && !spared(incoming))
            .map(|incoming| incoming.record.id.clone())
            .collect();
        let settings = target.settings.clone();
        let cut = tokio::task::spawn_blocking(move || {
            let passages: Vec<Vec<NewPassage>> = records
                .iter()
                .map(|incoming| if spared(incoming) { Vec::new() } else { passages_of(&incoming.record, &settings) })
                .collect();
            (records, passages)
        });
        let (records, mut passages) = cut
            .await
            .map_err(|cause| Error::internal("cutting records into passages ended early").with_source(cause))?;
        if matches!(target.settings.vectors, Vectors::Model(_)) {
            let known = match replaced.is_empty() {
                true => HashMap::new(),
                false => target.store.passages.known_vectors(context, &target.permit, &replaced).await?,
            };
            self.embed(context, &mut passages, known).await?;
        }
        let put = |(Incoming { record, hash, origin, .. }, passages)| Write::Put {
            record: Box::new(record),
            hash,
            passages,
            origin,
        };
        let writes = records.into_iter().zip(passages).map(put).collect();
        target.store.records.write(context, &target.permit, writes, demands).await
    }

    async fn embed(
        &self,
        context: &RequestContext,
        passages: &mut [Vec<NewPassage>],
        known: HashMap<[u8; 32], Vec<f32>>,
    ) -> Result<()> {
        let mut missing: Vec<(&str, &mut Option<Vec<f32>>)> = Vec::new();
        for NewPassage { text, vector, headline, .. } in passages.iter_mut().flatten() {
            let headline = headline.as_mut().map(|headline| (headline.text.as_str(), &mut headline.vector));
            for (text, vector) in std::iter::once((text.as_str(), vector)).chain(headline) {
                match known.get(blake3::hash(text.as_bytes()).as_bytes()) {
                    Some(held) => *vector = Some(held.clone()),
                    None => missing.push((text, vector)),
                }
            }
        }
        for part in missing.chunks_mut(EMBEDDED_AT_ONCE) {
            let texts = part.iter().map(|(text, _)| (*text).to_owned()).collect();
            let vectors = self.embedder.embed(context, EmbeddingLane::Ingest, texts).await?;
            if vectors.len() != part.len() {
                return Err(Error::internal("the embedder returned another number of vectors than texts"));
            }
            for ((_, missing), vector) in part.iter_mut().zip(vectors) {
                **missing = Some(vector);
            }
        }
        Ok(())
    }
}

impl Ingest {
    /// Sets what it waits for. A datasource that embeds nothing has nothing to wait for.
    #[must_use]
    pub fn with_wait(mut self, wait: Wait) -> Self {
        let is_embedded = matches!(self.target.settings.vectors, Vectors::Model(_));
        self.wait = if is_embedded { wait } else { Wait::Found };
        self
    }

    /// Takes one line; blank ones are skipped, bad ones noted. Commits when a batch is full.
    ///
    /// # Errors
    /// What ends the ingest: `Unavailable`, `ModelUnavailable`, `DeadlineExceeded` … Batches before stay.
    pub async fn line(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if bytes.len() > MAX_LINE_BYTES {
            self.reject(number, format!("the line is longer than {MAX_LINE_BYTES} bytes"));
            return Ok(());
        }
        let settings = &self.target.settings;
        let read = read_record(settings.format, &settings.schema, bytes)
            .and_then(|record| check_vector(&record, settings).map(|()| record));
        match read {
            Ok(record) => {
                self.batch_bytes += bytes.len();
                self.batch.push(record);
            }
            Err(error) => self.reject(number, error.message().to_owned()),
        }
        if self.batch.len() >= BATCH_LINES || self.batch_bytes >= BATCH_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    /// Notes a line that could not even be taken.
    pub fn reject(&mut self, number: u64, error: impl Into<String>) {
        self.report.reject(number, error);
    }

    /// What was done so far.
    pub fn report(&self) -> &IngestReport {
        &self.report
    }

    /// Commits the rest. When it answers, all of it is durable and, unless it was told not to wait for that, found.
    ///
    /// # Errors
    /// As [`Ingest::line`].
    pub async fn finish(mut self) -> Result<IngestReport> {
        self.commit().await?;
        let IngestReport { accepted, unchanged, rejected_count, .. } = self.report;
        let mut payload = serde_json::json!({"accepted": accepted, "unchanged": unchanged, "rejected": rejected_count});
        if self.wait == Wait::Durable {
            payload["wait"] = "durable".into();
        }
        let resource = format!("datasource:{}", self.target.permit.datasource().id);
        self.retriever.record(&self.context, &self.scope, INGESTED, resource, payload).await?;
        Ok(self.report)
    }

    async fn commit(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // Rights are read anew for each batch: a revoked grant stops a long ingest.
        self.retriever.gate.revalidate_permit(&self.context, &self.target.permit).await?;
        let records = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let (records, repeated) = last_of_each(records);
        let count = records.len() as u64;
        let written = match self.wait {
            Wait::Found => {
                let origin = self.retriever.arriving();
                let records = records.into_iter().map(|record| (record, origin)).collect();
                self.retriever.commit(&self.context, &self.target, records, Vec::new()).await?
            }
            Wait::Durable => {
                let at = self.retriever.arriving().at;
                let records = records.into_iter().map(|record| deferred(record, at)).collect();
                self.retriever.defer(&self.context, &self.target, records).await?
            }
        };
        let unchanged = written.iter().filter(|written| **written == Written::Unchanged).count() as u64;
        self.report.accepted += count + repeated.lines;
        self.report.unchanged += unchanged + repeated.unchanged;
        Ok(())
    }
}

fn deferred(record: Record, at: i64) -> Deferred {
    Deferred { hash: content_hash(&record.original), id: record.id, body: record.original, at }
}

/// Lines of a batch whose id comes again later in it.
struct Repeated {
    lines: u64,
    /// Those that say what the line before said.
    unchanged: u64,
}

/// The last record of each id, in the order in which the ids came.
fn last_of_each(records: Vec<Record>) -> (Vec<Record>, Repeated) {
    let mut at: HashMap<Arc<str>, usize> = HashMap::with_capacity(records.len());
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    let mut repeated = Repeated { lines: 0, unchanged: 0 };
    for record in records {
        match at.get(&*record.id) {
            Some(&i) => {
                repeated.lines += 1;
                repeated.unchanged += u64::from(content_hash(&kept[i].original) == content_hash(&record.original));
                kept[i] = record;
            }
            None => {
                at.insert(Arc::from(&*record.id), kept.len());
                kept.push(record);
            }
        }
    }
    (kept, repeated)
}

fn passages_of(record: &Record, settings: &Settings) -> Vec<NewPassage> {
    let chunks = chunk(&record.title, &record.body, &record.sections);
    let mut passages: Vec<NewPassage> = chunks
        .into_iter()
        .map(|chunk| NewPassage {
            terms: analyze_document(&chunk.text, settings.language),
            text: chunk.text,
            ..NewPassage::default()
        })
        .collect();
    // A record is found by the names it goes by, whether or not its text says them.
    if let Some(first) = passages.first_mut() {
        first.keys = names_of(record).into_iter().filter(|name| !first.terms.contains(name)).collect();
        first.terms.extend(first.keys.iter().cloned());
        let title = record.title.trim();
        if matches!(settings.vectors, Vectors::Model(_)) && !title.is_empty() && title != first.text {
            first.headline = Some(Headline { text: title.to_owned(), vector: None });
        }
    }
    // A vector that a record brings stands for the whole record: its first passage carries it.
    if let (Vectors::External(..), Some(vector)) = (&settings.vectors, &record.vector) {
        if passages.is_empty() {
            passages.push(NewPassage::default());
        }
        // Its direction; the original keeps it as it came.
        passages[0].vector = unit_vector(vector);
    }
    passages
}

/// Its id and aliases, as terms.
fn names_of(record: &Record) -> BTreeSet<String> {
    let aliases = record.fields.get("aliases").map(Value::elements).unwrap_or_default();
    let names = aliases.iter().filter_map(Value::as_text).chain([record.id.as_str()]);
    names.filter_map(whole_term).take(MAX_NAMES).collect()
}

fn check_vector(record: &Record, settings: &Settings) -> Result<()> {
    match (&settings.vectors, &record.vector) {
        (Vectors::External(_, dimensions), Some(vector)) if vector.len() != *dimensions => Err(Error::invalid(
            "_vector",
            format!("`_vector` has {} numbers, the datasource wants {dimensions}", vector.len()),
        )),
        (Vectors::External(..), Some(vector)) if vector.iter().all(|x| *x == 0.0) => {
            Err(Error::invalid("_vector", "`_vector` is all zeros: it has no direction by which it could be found"))
        }
        (Vectors::External(_, dimensions), None) => Err(Error::invalid(
            "_vector",
            format!("the datasource wants a `_vector` of {dimensions} numbers with each record"),
        )),
        (Vectors::None | Vectors::Model(_), Some(_)) => {
            Err(Error::invalid("_vector", "`_vector` goes with an external embedding_model only; leave it out"))
        }
        _ => Ok(()),
    }
}

/// The body of a PUT with the id of its path: absent, or the same.
fn with_id(bytes: &[u8], id: &str) -> Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| broken(&String::from_utf8_lossy(bytes), &error).with_param("body"))?;
    match value.get("id") {
        Some(serde_json::Value::String(held)) if held == id => Ok(bytes.to_vec()),
        None if value.is_object() => {
            let id = serde_json::Value::from(id).to_string();
            let rest = bytes.trim_ascii_start().get(1..).unwrap_or_default().trim_ascii_start();
            let comma = if rest.starts_with(b"}") { "" } else { "," };
            Ok([format!("{{\"id\":{id}{comma}").as_bytes(), rest].concat())
        }
        None => Err(Error::invalid("body", "a record is a JSON object")),
        Some(_) => Err(Error::invalid("id", format!("the body has another id than the path, `{id}`; leave it out"))),
    }
}
