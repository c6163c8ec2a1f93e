//! One datasource in memory and the roles it plays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use serde_json::value::RawValue;
use ucap_authz::Permit;
use ucap_core::catalog::Datasource;
use ucap_core::{Action, Error, RequestContext, Result};

use super::ranking::{best, by_evidence, frequency, lexical_score, vector_score};
use crate::analysis::TermGroup;
use crate::bm25::Weights;
use crate::datastore::{
    After, Candidates, CollectionStatistics, Deferred, Found, IngestQueue, NewPassage, Original, OriginalStore,
    PageRequest, PageRow, PassageIndex, QueueBound, Queued, RecordStore, Scored, SortValue, Write, Written, demand,
};
use crate::filter::{Affects, Predicate};
use crate::hit::DatasourceStats;
use crate::query::{SortKey, Withdrawn};
use crate::record::Record;
use crate::settings::{Settings, Vectors};
use crate::sort_order::sort_order;
use crate::value::Value;

/// What lasts while nobody looks.
#[derive(Debug, Default)]
pub(super) struct Held(RwLock<State>);

impl Held {
    /// Whether records wait.
    pub(super) fn has_queue(&self) -> bool {
        !self.0.read().queue.is_empty()
    }

    /// Forgets everything, for those who still hold a role.
    pub(super) fn clear(&self) {
        *self.0.write() = State::default();
    }
}

#[derive(Debug, Default)]
struct State {
    change: u64,
    next_row: u32,
    next_passage: u32,
    rows: BTreeMap<u32, Row>,
    by_id: BTreeMap<String, u32>,
    last_place: u64,
    queue: BTreeMap<u64, Deferred>,
}

#[derive(Debug)]
struct Row {
    record: Record,
    hash: [u8; 32],
    at: i64,
    first_passage: u32,
    passages: Vec<NewPassage>,
}

impl Row {
    fn numbered(&self) -> impl Iterator<Item = (u32, &NewPassage)> {
        (self.first_passage..).zip(&self.passages)
    }

    fn fields(&self) -> Result<Box<RawValue>> {
        RawValue::from_string(self.record.fields_json())
            .map_err(|cause| Error::internal("a record cannot be written as JSON").with_source(cause))
    }

    fn matches(&self, predicate: &Predicate, withdrawn: Withdrawn) -> bool {
        let is_wanted = match withdrawn {
            Withdrawn::Exclude => !self.record.withdrawn,
            Withdrawn::Include => true,
            Withdrawn::Only => self.record.withdrawn,
        };
        is_wanted && predicate.matches(&self.record)
    }
}

impl State {
    fn write(&mut self, write: Write) -> Written {
        let deleted = |is_gone| if is_gone { Written::Deleted } else { Written::Missing };
        match write {
            Write::Put { record, hash, passages, origin } => {
                let waits = self.unqueue(&record.id, origin.queued);
                if origin.queued.is_some() && !waits {
                    return Written::Superseded;
                }
                self.put(*record, hash, passages, origin.at)
            }
            Write::Delete(id) => {
                let waited = self.unqueue(&id, None);
                deleted(self.delete(&id) || waited)
            }
            Write::Expire(id, until) => {
                let is_old = self.by_id(&id).is_some_and(|row| row.at <= until);
                deleted(is_old && self.delete(&id))
            }
        }
    }

    fn put(&mut self, record: Record, hash: [u8; 32], passages: Vec<NewPassage>, at: i64) -> Written {
        if self.keep(&record.id, hash, at) {
            return Written::Unchanged;
        }
        let is_replaced = self.delete(&record.id);
        self.by_id.insert(record.id.clone(), self.next_row);
        let count = passages.len() as u32;
        self.rows.insert(self.next_row, Row { record, hash, at, first_passage: self.next_passage, passages });
        self.next_row += 1;
        self.next_passage += count;
        if is_replaced { Written::Replaced } else { Written::Created }
    }

    /// Whether the same content is there; then it is as young as `at`.
    fn keep(&mut self, id: &str, hash: [u8; 32], at: i64) -> bool {
        let row = self.by_id.get(id).and_then(|row| self.rows.get_mut(row)).filter(|row| row.hash == hash);
        row.map(|row| row.at = row.at.max(at)).is_some()
    }

    fn delete(&mut self, id: &str) -> bool {
        self.by_id.remove(id).is_some_and(|row| self.rows.remove(&row).is_some())
    }

    /// Takes a record out of the queue, from just this place if one is named; whether it was there.
    fn unqueue(&mut self, id: &str, place: Option<u64>) -> bool {
        let held = self.queue.iter().find(|(_, held)| held.id == id).map(|(held, _)| *held);
        held.filter(|held| place.is_none_or(|place| place == *held)).and_then(|held| self.queue.remove(&held)).is_some()
    }

    fn defer(&mut self, record: Deferred) -> Written {
        let waiting = self.queue.values_mut().find(|held| held.id == record.id && held.hash == record.hash);
        if let Some(same) = waiting {
            same.at = same.at.max(record.at);
            return Written::Unchanged;
        }
        let waited = self.unqueue(&record.id, None);
        if self.keep(&record.id, record.hash, record.at) {
            return Written::Unchanged;
        }
        let is_replaced = self.delete(&record.id) || waited;
        self.last_place += 1;
        self.queue.insert(self.last_place, record);
        if is_replaced { Written::Replaced } else { Written::Created }
    }

    fn waiting_bytes(&self) -> u64 {
        self.queue.values().map(|held| held.body.get().len() as u64).sum()
    }

    fn by_id(&self, id: &str) -> Option<&Row> {
        self.rows.get(self.by_id.get(id)?)
    }

    /// The passages of those of `candidates` that still live.
    fn passages<'a>(&'a self, candidates: &'a Candidates) -> impl Iterator<Item = (u32, u32, &'a NewPassage)> {
        let rows = candidates.rows().iter().filter_map(|row| Some((row, self.rows.get(&row)?)));
        rows.flat_map(|(row, held)| held.numbered().map(move |(passage, new)| (row, passage, new)))
    }
}

/// The roles of one datasource.
#[derive(Debug)]
pub(super) struct MemoryDatasource {
    datasource: Datasource,
    settings: Settings,
    held: Arc<Held>,
}

impl MemoryDatasource {
    pub(super) fn new(datasource: Datasource, settings: Settings, held: Arc<Held>) -> Self {
        Self { datasource, settings, held }
    }

    fn demand(&self, permit: &Permit, action: Action) -> Result<()> {
        demand(permit, action, &self.datasource)
    }

    fn has_vectors(&self) -> bool {
        self.settings.vectors != Vectors::None
    }

    fn page_row(&self, row: u32, held: &Row, sort: &[SortKey]) -> PageRow {
        let value = |key: &SortKey| held.record.fields.get(&key.field).map_or(SortValue::Missing, sort_value);
        PageRow { row, id: held.record.id.clone(), sort: sort.iter().map(value).collect() }
    }
}

fn sort_value(value: &Value) -> SortValue {
    match value {
        Value::Text(text) => SortValue::Text(text.clone()),
        Value::Integer(integer) => SortValue::Integer(*integer),
        // Minus zero becomes zero.
        Value::Float(float) => SortValue::Float(float + 0.0),
        Value::Boolean(boolean) => SortValue::Integer(i64::from(*boolean)),
        Value::Timestamp(at) => SortValue::Text(at.to_sortable()),
        Value::Version { key, .. } => SortValue::Bytes(key.as_bytes().to_vec()),
        Value::List(_) => SortValue::Missing,
    }
}

/// Whether a record of a page stands behind the place where the page begins.
fn is_behind(after: &After, sort: &[SortKey], row: &PageRow) -> bool {
    match after {
        After::Start => true,
        After::Record(values, id) => sort_order(sort, &row.sort, values).then_with(|| row.id.cmp(id)).is_gt(),
        After::From(values) => sort_order(sort, &row.sort, values).is_ge(),
        After::Behind(values) => sort_order(sort, &row.sort, values).is_gt(),
    }
}

#[async_trait]
impl RecordStore for MemoryDatasource {
    async fn write(&self, _context: &RequestContext, permit: &Permit, writes: Vec<Write>) -> Result<Vec<Written>> {
        self.demand(permit, Action::Write)?;
        let mut state = self.held.0.write();
        state.change += 1;
        Ok(writes.into_iter().map(|write| state.write(write)).collect())
    }

    async fn hashes(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<Vec<Option<[u8; 32]>>> {
        self.demand(permit, Action::Write)?;
        let state = self.held.0.read();
        Ok(ids.iter().map(|id| state.by_id(id).map(|row| row.hash)).collect())
    }

    async fn candidates(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        predicate: &Predicate,
        withdrawn: Withdrawn,
    ) -> Result<Arc<Candidates>> {
        self.demand(permit, Action::Read)?;
        let state = self.held.0.read();
        let matching = state.rows.iter().filter(|(_, row)| row.matches(predicate, withdrawn));
        let rows: RoaringBitmap = matching.map(|(number, _)| *number).collect();
        Ok(Arc::new(Candidates::new(rows, state.change)))
    }

    async fn lists_version(&self, _context: &RequestContext, permit: &Permit, affects: &Affects) -> Result<bool> {
        self.demand(permit, Action::Read)?;
        let listed = Predicate::Affects(affects.clone());
        Ok(self.held.0.read().rows.values().any(|row| row.matches(&listed, Withdrawn::Include)))
    }

    async fn page(&self, _context: &RequestContext, permit: &Permit, request: &PageRequest) -> Result<Vec<PageRow>> {
        self.demand(permit, Action::Read)?;
        let PageRequest { predicate, withdrawn, sort, after, limit } = request;
        let state = self.held.0.read();
        let matching = state.rows.iter().filter(|(_, row)| row.matches(predicate, *withdrawn));
        let mut page: Vec<PageRow> = matching.map(|(number, row)| self.page_row(*number, row, sort)).collect();
        page.retain(|row| is_behind(after, sort, row));
        page.sort_by(|a, b| -> Ordering { sort_order(sort, &a.sort, &b.sort).then_with(|| a.id.cmp(&b.id)) });
        page.truncate(*limit);
        Ok(page)
    }

    async fn read(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        rows: &[(u32, Option<u32>)],
    ) -> Result<Vec<Option<Found>>> {
        self.demand(permit, Action::Read)?;
        let state = self.held.0.read();
        let found = |(row, passage): &(u32, Option<u32>)| {
            let Some(held) = state.rows.get(row) else { return Ok(None) };
            let text = |wanted: u32| {
                held.numbered().find(|(number, _)| *number == wanted).map(|(_, passage)| passage.text.clone())
            };
            Ok(Some(Found { id: held.record.id.clone(), fields: held.fields()?, passage: passage.and_then(text) }))
        };
        rows.iter().map(found).collect()
    }

    async fn ids(&self, _context: &RequestContext, permit: &Permit, rows: &[u32]) -> Result<Vec<Option<String>>> {
        self.demand(permit, Action::Read)?;
        let state = self.held.0.read();
        Ok(rows.iter().map(|row| state.rows.get(row).map(|row| row.record.id.clone())).collect())
    }

    async fn oldest(&self, _context: &RequestContext, permit: &Permit, limit: usize) -> Result<Vec<(String, i64)>> {
        self.demand(permit, Action::Write)?;
        let state = self.held.0.read();
        let mut all: Vec<(String, i64)> = state.rows.values().map(|row| (row.record.id.clone(), row.at)).collect();
        all.sort_by(|(a, age), (b, other)| age.cmp(other).then_with(|| a.cmp(b)));
        all.truncate(limit);
        Ok(all)
    }

    async fn stats(&self, _context: &RequestContext, permit: &Permit) -> Result<DatasourceStats> {
        self.demand(permit, Action::Read)?;
        let state = self.held.0.read();
        Ok(DatasourceStats {
            records: state.rows.len() as u64,
            passages: state.rows.values().map(|row| row.passages.len() as u64).sum(),
            pending: state.queue.len() as u64,
            bytes: state.rows.values().map(|row| row.record.original.get().len() as u64).sum(),
            embedding_model: self.settings.model().map(str::to_owned),
        })
    }
}

#[async_trait]
impl PassageIndex for MemoryDatasource {
    async fn statistics(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
    ) -> Result<CollectionStatistics> {
        self.demand(permit, Action::Read)?;
        context.check()?;
        let state = self.held.0.read();
        let passages: Vec<&NewPassage> = state.rows.values().flat_map(|row| &row.passages).collect();
        let holders =
            |group: &TermGroup| passages.iter().filter(|passage| frequency(group, passage) > 0).count() as u64;
        Ok(CollectionStatistics {
            passages: passages.len() as u64,
            terms: passages.iter().map(|passage| passage.terms.len() as u64).sum(),
            frequencies: groups.iter().map(holders).collect(),
        })
    }

    async fn lexical(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
        weights: &Weights,
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        self.demand(permit, Action::Read)?;
        context.check()?;
        if groups.len() != weights.groups.len() {
            return Err(Error::internal("the weights of a lexical search belong to other groups"));
        }
        let state = self.held.0.read();
        let scored = state.passages(candidates).filter_map(|(row, passage, new)| {
            Some(Scored { row, passage, score: lexical_score(groups, weights, new)? })
        });
        Ok(by_evidence(scored, depth))
    }

    async fn nearest(
        &self,
        context: &RequestContext,
        permit: &Permit,
        query: &[f32],
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        self.demand(permit, Action::Read)?;
        context.check()?;
        if !self.has_vectors() {
            return Ok(Vec::new());
        }
        let state = self.held.0.read();
        let dimensions =
            state.rows.values().flat_map(|row| &row.passages).find_map(|passage| passage.vector.as_ref()).map(Vec::len);
        let dimensions = match &self.settings.vectors {
            Vectors::External(_, dimensions) => Some(*dimensions),
            Vectors::None | Vectors::Model(_) => dimensions,
        };
        if dimensions.is_some_and(|dimensions| dimensions != query.len()) {
            let message =
                format!("the vector has {} numbers, the datasource's have {}", query.len(), dimensions.unwrap_or(0));
            return Err(Error::invalid("vector", message));
        }
        let scored = state
            .passages(candidates)
            .filter_map(|(row, passage, new)| Some(Scored { row, passage, score: vector_score(query, new)? }));
        Ok(best(scored, depth))
    }

    async fn known_vectors(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<HashMap<[u8; 32], Vec<f32>>> {
        self.demand(permit, Action::Write)?;
        let state = self.held.0.read();
        let passages = ids.iter().filter_map(|id| state.by_id(id)).flat_map(|row| &row.passages);
        let known =
            |passage: &NewPassage| Some((*blake3::hash(passage.text.as_bytes()).as_bytes(), passage.vector.clone()?));
        Ok(passages.filter_map(known).collect())
    }
}

#[async_trait]
impl IngestQueue for MemoryDatasource {
    async fn defer(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        records: Vec<Deferred>,
        bound: QueueBound,
    ) -> Result<Vec<Written>> {
        self.demand(permit, Action::Write)?;
        let mut state = self.held.0.write();
        let more: u64 = records.iter().map(|record| record.body.get().len() as u64).sum();
        bound.check(state.queue.len() as u64 + records.len() as u64, state.waiting_bytes() + more)?;
        state.change += 1;
        Ok(records.into_iter().map(|record| state.defer(record)).collect())
    }

    async fn queued(
        &self,
        _context: &RequestContext,
        permit: &Permit,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Queued>> {
        self.demand(permit, Action::Write)?;
        let state = self.held.0.read();
        let (mut queued, mut held) = (Vec::new(), 0);
        for (place, record) in state.queue.range(after.saturating_add(1)..).take(limit) {
            held += record.body.get().len();
            if held > bytes && !queued.is_empty() {
                break;
            }
            queued.push(Queued { place: *place, record: record.clone() });
        }
        Ok(queued)
    }
}

#[async_trait]
impl OriginalStore for MemoryDatasource {
    async fn get(&self, _context: &RequestContext, permit: &Permit, id: &str) -> Result<Option<Original>> {
        self.demand(permit, Action::Read)?;
        let state = self.held.0.read();
        state.by_id(id).map(|row| Ok(Original { fields: row.fields()?, body: row.record.original.clone() })).transpose()
    }
}
