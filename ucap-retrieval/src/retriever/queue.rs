//! Embedding behind the answer: records that were accepted with `wait=durable` are taken from their queue, embedded and
//! written as all records are. A write says from which place in the queue it comes, and is nothing once something newer
//! has taken that place.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use ucap_core::{Error, ErrorKind, Principal, RequestContext, Result};

use super::ingest::Target;
use super::{EMBEDDED, Retriever};
use crate::datastore::{Deferred, Origin, Written};
use crate::record::read_record;
use crate::settings::Settings;

/// What the permit is for, in the journal.
const WORK: &str = "embedding what waits";
/// Records of one write.
const AT_ONCE: usize = 256;
/// Bytes of one write.
const BYTES_AT_ONCE: usize = 8 << 20;
/// The first pause after a failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The datasources in which records wait: one entry each.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_id: Mutex<BTreeMap<String, Mark>>,
    marked: Notify,
}

/// That records wait in a datasource.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Moves with each record that comes.
    count: u64,
    failures: u32,
    not_before: Instant,
}

impl Waiting {
    fn mark(&self, id: &str) {
        let mut by_id = self.by_id.lock();
        let new = Mark { count: 0, failures: 0, not_before: Instant::now() };
        by_id.entry(id.to_owned()).or_insert(new).count += 1;
        drop(by_id);
        self.marked.notify_one();
    }

    /// The datasource that is due first.
    fn next(&self) -> Option<(String, Mark)> {
        let by_id = self.by_id.lock();
        by_id.iter().min_by_key(|(_, mark)| mark.not_before).map(|(id, mark)| (id.clone(), *mark))
    }

    /// Nothing waits any more, unless something came since `seen`.
    fn done(&self, id: &str, seen: Mark) {
        let mut by_id = self.by_id.lock();
        if by_id.get(id).is_some_and(|mark| mark.count == seen.count) {
            by_id.remove(id);
        }
    }

    fn failed(&self, id: &str) -> Duration {
        let mut by_id = self.by_id.lock();
        let Some(mark) = by_id.get_mut(id) else { return FIRST_PAUSE };
        let pause = FIRST_PAUSE.saturating_mul(1 << mark.failures.min(16)).min(LONGEST_PAUSE);
        mark.failures += 1;
        mark.not_before = Instant::now() + pause;
        pause
    }

    /// The rest of the queue follows at once.
    fn succeeded(&self, id: &str) {
        if let Some(mark) = self.by_id.lock().get_mut(id) {
            (mark.failures, mark.not_before) = (0, Instant::now());
        }
    }
}

impl Retriever {
    /// Lets records wait.
    pub(super) async fn defer(
        &self,
        context: &RequestContext,
        target: &Target,
        records: Vec<Deferred>,
    ) -> Result<Vec<Written>> {
        let written = target.store.queue.defer(context, &target.permit, records, self.queue_bound).await;
        // Whatever came of it: a commit may have happened although it was not told.
        self.waiting.mark(&target.permit.datasource().id);
        written
    }

    /// Looks for records that waited when the process before ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn resume_queues(&self) -> Result<()> {
        let all = self.gate.catalog().snapshot().datasources().cloned().collect();
        for datasource in self.backend.with_queues(all).await? {
            self.waiting.mark(&datasource.id);
        }
        Ok(())
    }

    /// Embeds what waits, and then what comes, for ever: for a task that ends when it is dropped. What fails is logged and
    /// tried again after a pause.
    pub async fn embed_waiting(&self, context: &RequestContext) {
        loop {
            let Some((id, mark)) = self.waiting.next() else {
                self.waiting.marked.notified().await;
                continue;
            };
            if mark.not_before > Instant::now() {
                let pause = tokio::time::sleep_until(mark.not_before);
                tokio::select! {
                    () = pause => {}
                    () = self.waiting.marked.notified() => {}
                }
                continue;
            }
            // It is logged, and its pause is set.
            let _ = self.embed_of(context, &id, mark).await;
        }
    }

    /// Embeds what waits now and returns how much that was: for programs that have no task for it.
    ///
    /// # Errors
    /// What kept the first datasource from being done; the others are tried.
    pub async fn embed_waiting_once(&self, context: &RequestContext) -> Result<u64> {
        let ids: Vec<String> = self.waiting.by_id.lock().keys().cloned().collect();
        let mut done = Ok(0);
        for id in ids {
            let Some(mark) = self.waiting.by_id.lock().get(&id).copied() else { continue };
            let count = self.embed_of(context, &id, mark).await;
            done = done.and_then(|sum: u64| count.map(|count| sum + count));
        }
        done
    }

    async fn embed_of(&self, context: &RequestContext, id: &str, mark: Mark) -> Result<u64> {
        let drained = self.drain(context, id).await;
        match &drained {
            Ok(_) => self.waiting.done(id, mark),
            // It was deleted meanwhile, with its queue.
            Err(error) if error.kind() == ErrorKind::NotFound => self.waiting.done(id, mark),
            Err(error) => {
                let pause = self.waiting.failed(id);
                tracing::warn!(%error, datasource = id, ?pause, "records wait for their embeddings; it is tried again");
            }
        }
        drained
    }

    async fn drain(&self, context: &RequestContext, id: &str) -> Result<u64> {
        let permit = self.gate.system_permit(context, id, WORK).await?;
        let store = self.backend.open(context, permit.datasource()).await?;
        let target = Target { settings: Settings::of(permit.datasource())?, permit, store };
        let (mut embedded, mut after) = (0, 0);
        let done = loop {
            match self.drain_batch(context, &target, &mut after).await {
                Ok(None) => break Ok(()),
                Ok(Some(count)) => embedded += count,
                Err(error) => break Err(error),
            }
            self.waiting.succeeded(id);
        };
        if embedded > 0 {
            self.ages.forget(target.permit.datasource());
            let payload = serde_json::json!({"records": embedded});
            let resource = format!("datasource:{id}");
            self.record_as(context, &Principal::System, EMBEDDED, resource, payload).await?;
        }
        done.map(|()| embedded)
    }

    /// Writes the next batch behind the place `after` and moves that; how many, or `None` at the end.
    async fn drain_batch(&self, context: &RequestContext, target: &Target, after: &mut u64) -> Result<Option<u64>> {
        self.gate.revalidate_permit(context, &target.permit).await.map_err(gone)?;
        let queue = &target.store.queue;
        let batch = queue.queued(context, &target.permit, *after, AT_ONCE, BYTES_AT_ONCE).await?;
        let Some(last) = batch.last().map(|queued| queued.place) else { return Ok(None) };
        let mut records = Vec::with_capacity(batch.len());
        for queued in batch {
            let Deferred { id, body, at, .. } = queued.record;
            match read_record(target.settings.format, &target.settings.schema, body.get().as_bytes()) {
                Ok(record) => records.push((record, Origin { at, queued: Some(queued.place) })),
                // It was read when it was accepted. It stays where it is, counted, and holds up nobody.
                Err(error) => tracing::error!(%error, record = id, "a record that waits can no longer be read"),
            }
        }
        let written = self.commit(context, target, records).await?;
        *after = last;
        Ok(Some(written.iter().filter(|written| **written != Written::Superseded).count() as u64))
    }
}

/// A permit of the system ends with its datasource only.
fn gone(error: Error) -> Error {
    match error.kind() {
        ErrorKind::ScopeExpired => Error::new(ErrorKind::NotFound, "the datasource was deleted").with_source(error),
        _ => error,
    }
}
