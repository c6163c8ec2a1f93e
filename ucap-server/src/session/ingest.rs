//! An ingest in progress.

use ucap_core::{Error, Result};
use ucap_retrieval::hit::IngestReport;
use ucap_retrieval::retriever::{Ingest, Wait};

/// An ingest in progress: takes lines, commits them in batches, reports at the end.
#[derive(Debug)]
pub struct SessionIngest {
    ingest: Ingest,
    number: u64,
}

impl SessionIngest {
    pub(super) fn new(ingest: Ingest) -> Self {
        Self { ingest, number: 0 }
    }

    /// Sets what it waits for.
    #[must_use]
    pub fn with_wait(self, wait: Wait) -> Self {
        Self { ingest: self.ingest.with_wait(wait), ..self }
    }

    /// Takes the next record as JSON. Lines are counted from 1.
    ///
    /// # Errors
    /// What stops the ingest altogether; a bad record is noted in the report.
    pub async fn record(&mut self, json: &[u8]) -> Result<()> {
        self.number += 1;
        self.line(self.number, json).await
    }

    /// Takes the record of line `number`.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn line(&mut self, number: u64, json: &[u8]) -> Result<()> {
        self.number = number;
        self.ingest.line(number, json).await
    }

    /// Notes that line `number` could not be taken.
    pub fn reject(&mut self, number: u64, error: &Error) {
        self.number = number;
        self.ingest.reject(number, error.message());
    }

    /// Commits what is left. Without this call the batch in progress is lost; earlier ones stay.
    ///
    /// # Errors
    /// What keeps the last batch from being committed.
    pub async fn finish(self) -> Result<IngestReport> {
        self.ingest.finish().await
    }
}
