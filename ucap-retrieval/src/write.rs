//! What is written to a datastore: passages, steps, and records that wait for their embedding.

use serde_json::value::RawValue;
use ucap_core::{Error, ErrorKind, Result};

use crate::record::Record;

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
    /// The record's title, on its first passage, if that says more than the title.
    pub headline: Option<Headline>,
}

/// A title that is embedded by itself beside the passage that begins with it: a record is near to its own title and to
/// questions as short, however long its text is. It is no passage: lexical scores and statistics do not know it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headline {
    /// What is embedded.
    pub text: String,
    /// Its embedding; `None` in a datasource without vectors.
    pub vector: Option<Vec<f32>>,
}

impl NewPassage {
    /// Its embeddings: of its text and of its headline, as far as they are there. The nearest decides.
    pub fn vectors(&self) -> impl Iterator<Item = &[f32]> + Clone {
        let headline = self.headline.as_ref().and_then(|headline| headline.vector.as_deref());
        self.vector.as_deref().into_iter().chain(headline)
    }
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
