//! The port through which retrieval asks for embeddings, whoever computes them.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::request_context::RequestContext;

/// Which queue a text waits in: a query never waits behind an ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingLane {
    /// Somebody waits for the answer.
    Query,
    /// Bulk work.
    Ingest,
}

/// What makes two vectors comparable. A datasource remembers the one it was built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingModel {
    /// The id callers say, such as `local/all-minilm-l6-v2`.
    pub id: String,
    /// Length of a vector.
    pub dimensions: usize,
    /// SHA-256 of the weights, hexadecimal; empty for a model whose weights cannot be seen. Behind a `+` the revision of
    /// the arithmetic, where the platform itself computes the vectors.
    pub digest: String,
}

/// Turns texts into vectors.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// The model's identity. Known before its weights are loaded.
    fn model(&self) -> EmbeddingModel;

    /// One vector of unit length for each text, in order.
    ///
    /// # Errors
    /// `ModelUnavailable` when the model is not loaded by the deadline, `Overloaded` when the queue is full,
    /// `DeadlineExceeded` when `context` ends first.
    async fn embed(&self, context: &RequestContext, lane: EmbeddingLane, texts: Vec<String>) -> Result<Vec<Vec<f32>>>;
}

/// The embedder of a platform without a model: lexical search and filters work, what needs a vector says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEmbedder;

#[async_trait]
impl Embedder for NoEmbedder {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { id: "none".to_owned(), dimensions: 1, digest: String::new() }
    }

    async fn embed(&self, _: &RequestContext, _: EmbeddingLane, _: Vec<String>) -> Result<Vec<Vec<f32>>> {
        Err(Error::new(ErrorKind::ModelUnavailable, "this platform has no embedding model; use mode lexical or filter"))
    }
}
