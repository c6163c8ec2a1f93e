//! One datasource's roles, used directly: for checks of their laws.

use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::Value as Json;
use ucap_authz::{Permit, Scope};
use ucap_core::{Action, RequestContext, Result};

use super::embedder::WordEmbedder;
use crate::analysis::{analyze_document, analyze_query};
use crate::bm25::Weights;
use crate::datastore::{
    After, Candidates, CollectionStatistics, Datastore, DatastoreBackend, Deferred, NewPassage, Origin, PageRequest,
    PageRow, QueueBound, Scored, Write, Written,
};
use crate::filter::{Filter, Predicate, resolve};
use crate::query::{SortKey, Withdrawn};
use crate::record::read_record;
use crate::settings::{Settings, Vectors};

/// The roles of one datasource, with permits of the administrator.
#[derive(Debug, Clone)]
pub struct Store {
    /// The roles.
    pub roles: Datastore,
    /// For reading.
    pub read: Permit,
    /// For writing.
    pub write: Permit,
    /// Its settings.
    pub settings: Settings,
    context: RequestContext,
}

impl Store {
    pub(super) async fn open(
        context: &RequestContext,
        backend: &Arc<dyn DatastoreBackend>,
        scope: &Scope,
        id: &str,
    ) -> Result<Self> {
        let (read, write) = (scope.permit(id, Action::Read)?, scope.permit(id, Action::Write)?);
        let roles = backend.open(context, read.datasource()).await?;
        let settings = Settings::of(read.datasource())?;
        Ok(Self { roles, read, write, settings, context: context.clone() })
    }

    /// A step that puts a record: a passage for its title and one for each paragraph of its body, embedded where the datasource has a model; a
    /// vector that the record brings goes with its first passage.
    ///
    /// # Errors
    /// `InvalidInput` for a record that the datasource does not take.
    pub fn put(&self, record: &Json) -> Result<Write> {
        let line = record.to_string();
        let record = read_record(self.settings.format, &self.settings.schema, line.as_bytes())?;
        let embed = |text: &str| matches!(self.settings.vectors, Vectors::Model(_)).then(|| WordEmbedder::vector(text));
        let paragraphs =
            std::iter::once(record.title.as_str()).chain(record.body.split("\n\n")).filter(|text| !text.is_empty());
        let mut passages: Vec<NewPassage> = paragraphs
            .map(|text| NewPassage {
                text: text.to_owned(),
                terms: analyze_document(text, self.settings.language),
                vector: embed(text),
                ..NewPassage::default()
            })
            .collect();
        if record.vector.is_some() && passages.is_empty() {
            passages.push(NewPassage::default());
        }
        if let (Some(first), Some(vector)) = (passages.first_mut(), &record.vector) {
            first.vector = Some(vector.clone());
        }
        let origin = Origin::default();
        Ok(Write::Put { hash: *blake3::hash(line.as_bytes()).as_bytes(), record: Box::new(record), passages, origin })
    }

    /// As [`Store::put`], from `origin`.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_from(&self, record: &Json, origin: Origin) -> Result<Write> {
        let mut write = self.put(record)?;
        if let Write::Put { origin: held, .. } = &mut write {
            *held = origin;
        }
        Ok(write)
    }

    /// Lets records wait, which came at `at`.
    ///
    /// # Errors
    /// What record and store say.
    pub async fn defer(&self, records: &[Json], at: i64) -> Result<Vec<Written>> {
        self.defer_within(records, at, QueueBound::default()).await
    }

    /// As [`Store::defer`], within a bound.
    ///
    /// # Errors
    /// What record and store say.
    pub async fn defer_within(&self, records: &[Json], at: i64, bound: QueueBound) -> Result<Vec<Written>> {
        let deferred = |record: &Json| {
            let line = record.to_string();
            let hash = *blake3::hash(line.as_bytes()).as_bytes();
            let record = read_record(self.settings.format, &self.settings.schema, line.as_bytes())?;
            Ok(Deferred { id: record.id, hash, body: record.original, at })
        };
        let records = records.iter().map(deferred).collect::<Result<_>>()?;
        self.roles.queue.defer(&self.context, &self.write, records, bound).await
    }

    /// What waits: place and id, in order.
    ///
    /// # Errors
    /// What the store says.
    pub async fn queued(&self) -> Result<Vec<(u64, String)>> {
        let queued = self.roles.queue.queued(&self.context, &self.write, 0, usize::MAX, usize::MAX).await?;
        Ok(queued.into_iter().map(|queued| (queued.place, queued.record.id)).collect())
    }

    /// Records and records that wait.
    ///
    /// # Errors
    /// What the store says.
    pub async fn counts(&self) -> Result<(u64, u64)> {
        let stats = self.roles.records.stats(&self.context, &self.read).await?;
        Ok((stats.records, stats.pending))
    }

    /// Writes steps.
    ///
    /// # Errors
    /// What the store says.
    pub async fn write(&self, writes: Vec<Write>) -> Result<Vec<Written>> {
        self.roles.records.write(&self.context, &self.write, writes).await
    }

    /// Puts records in one write.
    ///
    /// # Errors
    /// What the store says.
    pub async fn put_all(&self, records: &[Json]) -> Result<Vec<Written>> {
        let writes = records.iter().map(|record| self.put(record)).collect::<Result<_>>()?;
        self.write(writes).await
    }

    /// Deletes records in one write.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete_all(&self, ids: &[&str]) -> Result<Vec<Written>> {
        self.write(ids.iter().map(|id| Write::Delete((*id).to_owned())).collect()).await
    }

    /// A filter, typed for the datasource.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn predicate(&self, filter: &Json) -> Result<Predicate> {
        resolve(&Filter::from_json(filter)?, &self.settings.schema)
    }

    /// The rows of a filter.
    ///
    /// # Errors
    /// What filter and store say.
    pub async fn candidates(&self, filter: &Json, withdrawn: Withdrawn) -> Result<Arc<Candidates>> {
        self.roles.records.candidates(&self.context, &self.read, &self.predicate(filter)?, withdrawn).await
    }

    /// The rows of all records.
    ///
    /// # Errors
    /// What the store says.
    pub async fn everything(&self) -> Result<Arc<Candidates>> {
        self.roles.records.candidates(&self.context, &self.read, &Predicate::True, Withdrawn::Include).await
    }

    /// The ids in these rows, sorted by bytes; rows that are gone are left out.
    ///
    /// # Errors
    /// What the store says.
    pub async fn ids(&self, rows: &RoaringBitmap) -> Result<Vec<String>> {
        let rows: Vec<u32> = rows.iter().collect();
        let ids = self.roles.records.ids(&self.context, &self.read, &rows).await?;
        let mut ids: Vec<String> = ids.into_iter().flatten().collect();
        ids.sort();
        Ok(ids)
    }

    /// A page of a filter.
    ///
    /// # Errors
    /// What filter and store say.
    pub async fn page(
        &self,
        filter: &Json,
        withdrawn: Withdrawn,
        sort: &[SortKey],
        after: After,
        limit: usize,
    ) -> Result<Vec<PageRow>> {
        let request = PageRequest { predicate: self.predicate(filter)?, withdrawn, sort: sort.to_vec(), after, limit };
        self.roles.records.page(&self.context, &self.read, &request).await
    }

    /// The statistics of a query.
    ///
    /// # Errors
    /// What the store says.
    pub async fn statistics(&self, query: &str) -> Result<CollectionStatistics> {
        let groups = analyze_query(query, self.settings.language);
        self.roles.passages.statistics(&self.context, &self.read, &groups).await
    }

    /// The lexical leg, weighed by the datasource's own statistics.
    ///
    /// # Errors
    /// What the store says.
    pub async fn lexical(&self, query: &str, candidates: &Arc<Candidates>, depth: usize) -> Result<Vec<Scored>> {
        let groups = analyze_query(query, self.settings.language);
        let CollectionStatistics { passages, terms, frequencies } = self.statistics(query).await?;
        let weights = Weights::new(&groups, passages, terms, &frequencies);
        self.roles.passages.lexical(&self.context, &self.read, &groups, &weights, candidates, depth).await
    }

    /// The vector leg.
    ///
    /// # Errors
    /// What the store says.
    pub async fn nearest(&self, query: &[f32], candidates: &Arc<Candidates>, depth: usize) -> Result<Vec<Scored>> {
        self.roles.passages.nearest(&self.context, &self.read, query, candidates, depth).await
    }

    /// Hits as id, the bits of the score and the passage's text: in the order of the scores, then of the ids.
    ///
    /// # Errors
    /// What the store says.
    pub async fn named(&self, hits: &[Scored]) -> Result<Vec<(String, u32, String)>> {
        let rows: Vec<_> = hits.iter().map(|hit| (hit.row, Some(hit.passage))).collect();
        let found = self.roles.records.read(&self.context, &self.read, &rows).await?;
        let mut named: Vec<_> = hits
            .iter()
            .zip(found)
            .filter_map(|(hit, found)| found.map(|found| (hit.score, found.id, found.passage.unwrap_or_default())))
            .collect();
        named.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(named.into_iter().map(|(score, id, passage)| (id, score.to_bits(), passage)).collect())
    }

    /// The context of its calls.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }
}
