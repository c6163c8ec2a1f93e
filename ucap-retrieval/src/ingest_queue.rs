//! Records that were accepted and wait for their embeddings.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::value::RawValue;
use ucap_authz::Permit;
use ucap_core::{Error, ErrorKind, RequestContext, Result};

use crate::datastore::Written;

/// A record that is to wait for its embedding.
#[derive(Debug, Clone)]
pub struct Deferred {
    /// Its id.
    pub id: String,
    /// BLAKE3 of its canonical content.
    pub hash: [u8; 32],
    /// The JSON it came as.
    pub body: Box<RawValue>,
    /// When it came, in Unix seconds.
    pub at: i64,
}

/// A record that waits.
#[derive(Debug, Clone)]
pub struct Queued {
    /// Its place: ascending in the order in which records came, and never used again.
    pub place: u64,
    /// The record.
    pub record: Deferred,
}

/// How much may wait in one datasource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBound {
    /// Records.
    pub records: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
}

impl Default for QueueBound {
    /// 100,000 records, 1 GiB.
    fn default() -> Self {
        Self { records: 100_000, bytes: 1 << 30 }
    }
}

impl QueueBound {
    /// Whether so much may wait.
    ///
    /// # Errors
    /// `Overloaded` when it is too much.
    pub fn check(self, records: u64, bytes: u64) -> Result<()> {
        if records <= self.records && bytes <= self.bytes {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Overloaded,
            "too many records of the datasource wait for their embedding; send the rest later, or without wait=durable",
        ))
    }
}

/// Records that were accepted and wait for their embeddings: durable, counted, and in no leg. A newer write or delete of
/// the same id takes the place of one that waits.
#[async_trait]
pub trait IngestQueue: Debug + Send + Sync + 'static {
    /// Lets `records` wait, all or none, in order; one id at most once. What the datasource has of these ids is gone when it
    /// answers, apart from the same content, which stays and does not wait. It answers when they would survive a power loss.
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Overloaded` when more than `bound` would wait; `Unavailable` when nothing was
    /// written.
    async fn defer(
        &self,
        context: &RequestContext,
        permit: &Permit,
        records: Vec<Deferred>,
        bound: QueueBound,
    ) -> Result<Vec<Written>>;

    /// Those that wait behind the place `after`, in order: at most `limit`, and no more than fit in `bytes` (one at least).
    ///
    /// # Errors
    /// `PermissionDenied` without write; `Unavailable`.
    async fn queued(
        &self,
        context: &RequestContext,
        permit: &Permit,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Queued>>;
}
