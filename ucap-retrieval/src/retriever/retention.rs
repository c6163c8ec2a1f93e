//! Retention: records go `retention_days` after they were last ingested, by the way in which all deletes go.
//!
//! Age counts from the last ingest, also of the same content: what a feed still says stays, what it has stopped to say goes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};
use ucap_core::catalog::Datasource;
use ucap_core::{ErrorKind, Principal, RequestContext, Result};

use super::{EXPIRED, Retriever};
use crate::datastore::{Write, Written};

/// What the permit is for, in the journal.
const WORK: &str = "retention";
/// Records of one write.
const AT_ONCE: usize = 1000;

/// When the oldest record of each datasource was ingested, or nothing is older: by id and generation. A datasource that
/// has nothing to delete yet is neither opened nor journaled. One entry a datasource with a retention.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<HashMap<(String, u64), i64>>);

impl Ages {
    /// A record that had waited may be older than all others.
    pub(super) fn forget(&self, datasource: &Datasource) {
        self.0.lock().remove(&key_of(datasource));
    }
}

fn key_of(datasource: &Datasource) -> (String, u64) {
    (datasource.id.clone(), datasource.stamp.generation)
}

impl Retriever {
    /// Deletes all records whose time is over, as the system; returns how many. A datasource where that fails is logged and
    /// left to the next call.
    ///
    /// # Errors
    /// `DeadlineExceeded` when `context` is over.
    pub async fn expire(&self, context: &RequestContext) -> Result<u64> {
        let snapshot = self.gate.catalog().snapshot();
        let kept: Vec<Arc<Datasource>> =
            snapshot.datasources().filter(|held| held.retention_days.is_some()).cloned().collect();
        let keys: HashSet<(String, u64)> = kept.iter().map(|held| key_of(held)).collect();
        self.ages.0.lock().retain(|key, _| keys.contains(key));
        let mut deleted = 0;
        for datasource in kept {
            context.check()?;
            match self.expire_in(context, &datasource).await {
                Ok(count) => deleted += count,
                // It was deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(%error, datasource = datasource.id, "expired records could not be deleted; it is tried again");
                }
            }
        }
        Ok(deleted)
    }

    async fn expire_in(&self, context: &RequestContext, datasource: &Datasource) -> Result<u64> {
        let is_due = |until: i64| self.ages.0.lock().get(&key_of(datasource)).is_none_or(|oldest| *oldest <= until);
        if !self.last_expired(datasource).is_some_and(is_due) {
            return Ok(0);
        }
        let permit = self.gate.system_permit(context, &datasource.id, WORK).await?;
        let datasource = permit.datasource();
        let store = self.backend.open(context, datasource).await?;
        let mut deleted = 0;
        let done = loop {
            // Read anew for each batch: who lengthens or ends the retention saves what is left.
            let Some(until) = self.last_expired(datasource) else { break Ok(()) };
            let asked = self.gate.clock().now().unix_timestamp();
            let oldest = match store.records.oldest(context, &permit, AT_ONCE).await {
                Ok(oldest) => oldest,
                Err(error) => break Err(error),
            };
            let expired: Vec<Write> = oldest
                .iter()
                .take_while(|(_, at)| *at <= until)
                .map(|(id, _)| Write::Expire(id.clone(), until))
                .collect();
            if expired.is_empty() {
                // What comes later is younger than now.
                let oldest = oldest.first().map_or(asked, |(_, at)| *at);
                self.ages.0.lock().insert(key_of(datasource), oldest);
                break Ok(());
            }
            match store.records.write(context, &permit, expired).await {
                Ok(written) => deleted += written.iter().filter(|one| **one == Written::Deleted).count() as u64,
                Err(error) => break Err(error),
            }
            if let Err(error) = context.check() {
                break Err(error);
            }
        };
        if deleted > 0 {
            let payload = serde_json::json!({"deleted": deleted, "retention_days": datasource.retention_days});
            let resource = format!("datasource:{}", datasource.id);
            self.record_as(context, &Principal::System, EXPIRED, resource, payload).await?;
        }
        done.map(|()| deleted)
    }

    /// The Unix second at or before which a record must have been ingested to be over; `None` when none ever is.
    fn last_expired(&self, datasource: &Datasource) -> Option<i64> {
        let snapshot = self.gate.catalog().snapshot();
        let held = snapshot.datasource(&datasource.id)?;
        let days = held.retention_days.filter(|_| held.stamp.generation == datasource.stamp.generation)?;
        let until: OffsetDateTime = self.gate.clock().now().checked_sub(Duration::days(i64::from(days)))?;
        Some(until.unix_timestamp())
    }
}
