//! Backends that are wrong in one way each: the suite must catch every one, or it proves nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use ucap_authz::Permit;
use ucap_core::catalog::Datasource;
use ucap_core::{RequestContext, Result};

use super::{Instance, Subject};
use crate::analysis::TermGroup;
use crate::backends::memory::MemoryBackend;
use crate::bm25::Weights;
use crate::datastore::{
    After, Candidates, CollectionStatistics, Datastore, DatastoreBackend, Deferred, Found, IngestQueue, Origin,
    Original, OriginalStore, PageRequest, PageRow, PassageIndex, QueueBound, Queued, RecordStore, Scored, Write,
    Written,
};
use crate::filter::{Affects, Predicate};
use crate::hit::DatasourceStats;
use crate::query::Withdrawn;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Deleted passages stay in the document frequencies.
    CountsTheDead,
    /// Withdrawn records take part whatever is asked.
    IgnoresWithdrawn,
    /// The last record of a larger write is acknowledged and lost.
    DropsAcknowledged,
    /// The vector leg leaves the candidates.
    ForgetsCandidates,
    /// The lexical leg leaves the candidates.
    ForgetsCandidatesOfWords,
    /// The second page begins one record late.
    SkipsOneRecord,
    /// The last record of a page comes again.
    RepeatsOneRecord,
    /// A permit of another datasource is served with that one's data.
    ServesOtherPermits,
    /// Rows of a filter are kept although the data has changed.
    KeepsOldCandidates,
    /// Records that tie with the last are cut off.
    CutsTies,
    /// Forgetting does nothing, and the generation is not looked at.
    Remembers,
    /// The best passage of equal ones is the last.
    ShowsTheLastPassage,
    /// A score is a little off.
    RoundsScores,
    /// Records go whatever their age.
    ExpiresTheYoung,
    /// The same content again does not make a record younger.
    AgesWhatComesAgain,
    /// A record that had waited is written although something newer came.
    RevivesTheSuperseded,
    /// A delete finds no record that waits.
    LeavesTheWaiting,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 17] = [
        Self::CountsTheDead,
        Self::IgnoresWithdrawn,
        Self::DropsAcknowledged,
        Self::ForgetsCandidates,
        Self::ForgetsCandidatesOfWords,
        Self::SkipsOneRecord,
        Self::RepeatsOneRecord,
        Self::ServesOtherPermits,
        Self::KeepsOldCandidates,
        Self::CutsTies,
        Self::Remembers,
        Self::ShowsTheLastPassage,
        Self::RoundsScores,
        Self::ExpiresTheYoung,
        Self::AgesWhatComesAgain,
        Self::RevivesTheSuperseded,
        Self::LeavesTheWaiting,
    ];
}

/// A backend with this fault.
#[derive(Debug, Clone, Copy)]
pub struct Broken(pub Fault);

impl Subject for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn fresh(&self) -> Result<Box<dyn Instance>> {
        Ok(Box::new(One(Arc::new(BrokenBackend::new(self.0)))))
    }
}

struct One(Arc<BrokenBackend>);

impl Instance for One {
    fn backend(&self) -> Arc<dyn DatastoreBackend> {
        self.0.clone()
    }
}

#[derive(Debug)]
struct BrokenBackend {
    fault: Fault,
    whole: Arc<MemoryBackend>,
    /// Where nothing is ever deleted.
    graveyard: Arc<MemoryBackend>,
    kept: Arc<Mutex<HashMap<String, Arc<Candidates>>>>,
    burials: Arc<AtomicU64>,
}

impl BrokenBackend {
    fn new(fault: Fault) -> Self {
        Self { fault, whole: Arc::default(), graveyard: Arc::default(), kept: Arc::default(), burials: Arc::default() }
    }
}

#[async_trait]
impl DatastoreBackend for BrokenBackend {
    fn name(&self) -> &'static str {
        "broken"
    }

    async fn open(&self, context: &RequestContext, datasource: &Datasource) -> Result<Datastore> {
        let whole = self.whole.open(context, datasource).await?;
        let dead = self.graveyard.open(context, datasource).await?;
        let roles = Arc::new(BrokenRoles {
            fault: self.fault,
            name: format!("{}~{}", datasource.id, datasource.stamp.generation),
            whole,
            dead,
            backend: self.whole.clone(),
            kept: self.kept.clone(),
            burials: self.burials.clone(),
        });
        Ok(Datastore { records: roles.clone(), passages: roles.clone(), originals: roles.clone(), queue: roles })
    }

    async fn forget(&self, context: &RequestContext, datasource: &Datasource) -> Result<()> {
        if self.fault == Fault::Remembers {
            return Ok(());
        }
        self.whole.forget(context, datasource).await
    }

    async fn with_queues(&self, datasources: Vec<Arc<Datasource>>) -> Result<Vec<Arc<Datasource>>> {
        self.whole.with_queues(datasources).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct BrokenRoles {
    fault: Fault,
    name: String,
    whole: Datastore,
    dead: Datastore,
    backend: Arc<MemoryBackend>,
    kept: Arc<Mutex<HashMap<String, Arc<Candidates>>>>,
    burials: Arc<AtomicU64>,
}

impl BrokenRoles {
    /// The datastore that a call goes to.
    async fn store(&self, context: &RequestContext, permit: &Permit) -> Result<Datastore> {
        match self.fault {
            Fault::ServesOtherPermits => self.backend.open(context, permit.datasource()).await,
            _ => Ok(self.whole.clone()),
        }
    }

    fn withdrawn(&self, asked: Withdrawn) -> Withdrawn {
        if self.fault == Fault::IgnoresWithdrawn { Withdrawn::Include } else { asked }
    }

    async fn among(
        &self,
        context: &RequestContext,
        permit: &Permit,
        asked: &Arc<Candidates>,
        fault: Fault,
    ) -> Result<Arc<Candidates>> {
        if self.fault != fault {
            return Ok(Arc::clone(asked));
        }
        self.whole.records.candidates(context, permit, &Predicate::True, Withdrawn::Include).await
    }

    async fn spoiled(
        &self,
        context: &RequestContext,
        permit: &Permit,
        mut hits: Vec<Scored>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        match self.fault {
            Fault::CutsTies => hits.truncate(depth),
            Fault::RoundsScores => hits.iter_mut().for_each(|hit| hit.score = f32::from_bits(hit.score.to_bits() & !7)),
            Fault::ShowsTheLastPassage => {
                for hit in &mut hits {
                    let last = self.whole.records.read(context, permit, &[(hit.row, Some(hit.passage + 1))]).await?;
                    let has_another = last.into_iter().flatten().any(|found| found.passage.is_some());
                    hit.passage += u32::from(has_another);
                }
            }
            _ => {}
        }
        Ok(hits)
    }

    async fn bury(&self, context: &RequestContext, permit: &Permit, writes: &[Write]) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut graves = Vec::new();
        for write in writes {
            let Write::Put { record, hash, passages, .. } = write else { continue };
            let mut record = record.clone();
            record.id = format!("{}#{}", record.id, self.burials.fetch_add(1, Ordering::Relaxed));
            if seen.insert(record.id.clone()) {
                graves.push(Write::Put { record, hash: *hash, passages: passages.clone(), origin: Origin::default() });
            }
        }
        self.dead.records.write(context, permit, graves).await.map(drop)
    }
}

#[async_trait]
impl RecordStore for BrokenRoles {
    async fn write(&self, context: &RequestContext, permit: &Permit, mut writes: Vec<Write>) -> Result<Vec<Written>> {
        if self.fault == Fault::CountsTheDead {
            self.bury(context, permit, &writes).await?;
        }
        let is_lossy = self.fault == Fault::DropsAcknowledged
            && writes.len() > 3
            && matches!(writes.last(), Some(Write::Put { .. }));
        if is_lossy {
            writes.pop();
        }
        let records = self.store(context, permit).await?.records;
        for write in &mut writes {
            let there = records.hashes(context, permit, &[write.id().to_owned()]).await?.remove(0);
            match (self.fault, &mut *write) {
                (Fault::ExpiresTheYoung, Write::Expire(_, until)) => *until = i64::MAX,
                (Fault::AgesWhatComesAgain, Write::Put { hash, origin, .. }) if there == Some(*hash) => {
                    origin.at = i64::MIN;
                }
                (Fault::RevivesTheSuperseded, Write::Put { origin, .. }) => origin.queued = None,
                (Fault::LeavesTheWaiting, Write::Delete(id)) if there.is_none() => id.push_str("\u{1}nobody"),
                _ => {}
            }
        }
        let mut written = records.write(context, permit, writes).await?;
        written.extend(is_lossy.then_some(Written::Created));
        Ok(written)
    }

    async fn hashes(&self, context: &RequestContext, permit: &Permit, ids: &[String]) -> Result<Vec<Option<[u8; 32]>>> {
        self.store(context, permit).await?.records.hashes(context, permit, ids).await
    }

    async fn candidates(
        &self,
        context: &RequestContext,
        permit: &Permit,
        predicate: &Predicate,
        withdrawn: Withdrawn,
    ) -> Result<Arc<Candidates>> {
        let withdrawn = self.withdrawn(withdrawn);
        let fresh =
            self.store(context, permit).await?.records.candidates(context, permit, predicate, withdrawn).await?;
        if self.fault != Fault::KeepsOldCandidates {
            return Ok(fresh);
        }
        let key = format!("{} {predicate:?} {withdrawn:?}", self.name);
        Ok(Arc::clone(self.kept.lock().entry(key).or_insert(fresh)))
    }

    async fn lists_version(&self, context: &RequestContext, permit: &Permit, affects: &Affects) -> Result<bool> {
        self.store(context, permit).await?.records.lists_version(context, permit, affects).await
    }

    async fn page(&self, context: &RequestContext, permit: &Permit, request: &PageRequest) -> Result<Vec<PageRow>> {
        let mut request = request.clone();
        request.withdrawn = self.withdrawn(request.withdrawn);
        let is_later = matches!(request.after, After::Record(..));
        if self.fault == Fault::RepeatsOneRecord
            && let After::Record(sort, _) = &request.after
        {
            request.after = After::From(sort.clone());
        }
        let skipped = usize::from(self.fault == Fault::SkipsOneRecord && is_later);
        request.limit += skipped;
        let page = self.store(context, permit).await?.records.page(context, permit, &request).await?;
        Ok(page.into_iter().skip(skipped).collect())
    }

    async fn read(
        &self,
        context: &RequestContext,
        permit: &Permit,
        rows: &[(u32, Option<u32>)],
    ) -> Result<Vec<Option<Found>>> {
        self.store(context, permit).await?.records.read(context, permit, rows).await
    }

    async fn ids(&self, context: &RequestContext, permit: &Permit, rows: &[u32]) -> Result<Vec<Option<String>>> {
        self.store(context, permit).await?.records.ids(context, permit, rows).await
    }

    async fn oldest(&self, context: &RequestContext, permit: &Permit, limit: usize) -> Result<Vec<(String, i64)>> {
        self.store(context, permit).await?.records.oldest(context, permit, limit).await
    }

    async fn stats(&self, context: &RequestContext, permit: &Permit) -> Result<DatasourceStats> {
        self.store(context, permit).await?.records.stats(context, permit).await
    }
}

#[async_trait]
impl IngestQueue for BrokenRoles {
    async fn defer(
        &self,
        context: &RequestContext,
        permit: &Permit,
        records: Vec<Deferred>,
        bound: QueueBound,
    ) -> Result<Vec<Written>> {
        self.store(context, permit).await?.queue.defer(context, permit, records, bound).await
    }

    async fn queued(
        &self,
        context: &RequestContext,
        permit: &Permit,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Queued>> {
        self.store(context, permit).await?.queue.queued(context, permit, after, limit, bytes).await
    }
}

#[async_trait]
impl PassageIndex for BrokenRoles {
    async fn statistics(
        &self,
        context: &RequestContext,
        permit: &Permit,
        groups: &[TermGroup],
    ) -> Result<CollectionStatistics> {
        let live = self.store(context, permit).await?.passages.statistics(context, permit, groups).await?;
        if self.fault != Fault::CountsTheDead {
            return Ok(live);
        }
        let dead = self.dead.passages.statistics(context, permit, groups).await?;
        Ok(CollectionStatistics { frequencies: dead.frequencies, ..live })
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
        let among = self.among(context, permit, candidates, Fault::ForgetsCandidatesOfWords).await?;
        let passages = self.store(context, permit).await?.passages;
        let hits = passages.lexical(context, permit, groups, weights, &among, depth).await?;
        self.spoiled(context, permit, hits, depth).await
    }

    async fn nearest(
        &self,
        context: &RequestContext,
        permit: &Permit,
        query: &[f32],
        candidates: &Arc<Candidates>,
        depth: usize,
    ) -> Result<Vec<Scored>> {
        let among = self.among(context, permit, candidates, Fault::ForgetsCandidates).await?;
        let hits = self.store(context, permit).await?.passages.nearest(context, permit, query, &among, depth).await?;
        self.spoiled(context, permit, hits, depth).await
    }

    async fn known_vectors(
        &self,
        context: &RequestContext,
        permit: &Permit,
        ids: &[String],
    ) -> Result<HashMap<[u8; 32], Vec<f32>>> {
        self.store(context, permit).await?.passages.known_vectors(context, permit, ids).await
    }
}

#[async_trait]
impl OriginalStore for BrokenRoles {
    async fn get(&self, context: &RequestContext, permit: &Permit, id: &str) -> Result<Option<Original>> {
        self.store(context, permit).await?.originals.get(context, permit, id).await
    }
}
