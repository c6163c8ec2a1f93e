//! Local embeddings: `sentence-transformers/all-MiniLM-L6-v2` on the CPU.
//!
//! [`LocalEmbedder`] exists at once and loads its weights in the background: [`pull`] finds the files, candle reads them,
//! own threads compute. They compute in 16-bit integers, whose sums are exact.
//!
//! The same text gives the same bytes: whatever else is in the batch, however many threads work, whichever instruction set
//! the processor has. The vectors agree with those of sentence-transformers to a cosine of 0.9999 and better.

mod bert;
mod files;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
mod lanes;
mod loading;
mod pull;
mod tokenizer;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use ucap_core::{EmbeddingModel, Error, ErrorKind, RequestContext, Result};

pub use self::files::{ModelFiles, cache_directory};
pub use self::loading::LoadStatus;
pub use self::pull::{PullEvent, PullOptions, pull};

use self::lanes::Lanes;
use self::loading::Loading;
use crate::embedding::{EmbeddingRequest, EmbeddingResponse};
use crate::model::{ALL_MINILM_L6_V2, Model};
use crate::provider::ModelProvider;
use crate::usage::Usage;

/// Length of a vector.
const DIMENSIONS: usize = 384;
/// Raised whenever a text gets other bytes than before, so that vectors made before and after never meet in one index.
/// `tests/local_model.rs` notices when that is forgotten. (1, which was not written, was `f32` throughout.)
const ARITHMETIC: u32 = 2;

/// How the local model is found and run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LocalOptions {
    /// Where its files are looked for.
    pub pull: PullOptions,
    /// Threads that compute.
    pub threads: NonZeroUsize,
    /// Estimated tokens that may wait in each of the two queues. A query of some words has ten.
    pub queued_tokens: usize,
    /// How long a request without a deadline waits.
    pub patience: Duration,
}

impl LocalOptions {
    /// As many threads as processors, but 4 at most; 262,144 queued tokens (a thousand long passages); 30 seconds.
    pub fn new(pull: PullOptions) -> Self {
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            pull,
            threads: processors.min(NonZeroUsize::MIN.saturating_add(3)),
            queued_tokens: 262_144,
            patience: Duration::from_secs(30),
        }
    }

    /// Computes with this many threads.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Lets this many estimated tokens wait in each queue.
    #[must_use]
    pub fn with_queued_tokens(mut self, tokens: usize) -> Self {
        self.queued_tokens = tokens;
        self
    }

    /// Lets a request without a deadline wait this long.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// The provider `local`: one embedding model in this process. Dropping it ends its threads.
#[derive(Debug)]
pub struct LocalEmbedder {
    lanes: Arc<Lanes>,
    loading: Loading,
    loader: JoinHandle<()>,
    patience: Duration,
}

impl LocalEmbedder {
    /// Returns at once; the model is loaded in the background, and looked for again while it cannot be found.
    ///
    /// # Panics
    /// Outside of a tokio runtime (with I/O and time).
    pub fn start(options: LocalOptions) -> Self {
        let lanes = Arc::new(Lanes::new(options.queued_tokens));
        let (loading, reporter) = loading::channel();
        let patience = options.patience;
        let loader = tokio::spawn(loading::load(options, Arc::clone(&lanes), reporter));
        Self { lanes, loading, loader, patience }
    }

    /// The model's identity.
    pub fn model() -> EmbeddingModel {
        let [.., weights] = &files::FILES;
        let digest = format!("{}+{ARITHMETIC}", weights.sha256);
        EmbeddingModel { id: ALL_MINILM_L6_V2.to_owned(), dimensions: DIMENSIONS, digest }
    }

    /// How far loading has come.
    pub fn status(&self) -> LoadStatus {
        self.loading.status()
    }

    fn check(&self, model: &str, request: &EmbeddingRequest) -> Result<()> {
        if model != ALL_MINILM_L6_V2 {
            return Err(Error::not_found(format!("model `{model}`")).with_param("model"));
        }
        if let Some(dimensions) = request.dimensions.filter(|asked| *asked != DIMENSIONS) {
            let message = format!("{dimensions} dimensions: `{model}` makes vectors of {DIMENSIONS} and no others");
            return Err(Error::invalid("dimensions", message));
        }
        Ok(())
    }

    /// Queues the request and waits for the answer, or for the certainty that there will be none.
    async fn embed_by(
        &self,
        deadline: Instant,
        context: &RequestContext,
        request: EmbeddingRequest,
    ) -> Result<lanes::Embedded> {
        self.loading.check(deadline)?;
        let answer = self.lanes.submit(request.lane, context, request.inputs);
        let answer = answer.map_err(|error| self.loading.unless_ready(error))?;
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the embedding model is being shut down"))
            }),
            error = self.loading.hopeless(deadline) => Err(error),
            () = tokio::time::sleep_until(deadline.into()) => {
                let late = Error::new(ErrorKind::DeadlineExceeded, "the embedding model did not answer by the deadline");
                Err(self.loading.unless_ready(late))
            }
        }
    }
}

impl Drop for LocalEmbedder {
    fn drop(&mut self) {
        self.loader.abort();
        self.lanes.close();
    }
}

#[async_trait]
impl ModelProvider for LocalEmbedder {
    fn id(&self) -> &str {
        "local"
    }

    fn models(&self) -> Vec<Model> {
        vec![Model::embedding("sentence-transformers", Self::model())]
    }

    async fn embed(
        &self,
        context: &RequestContext,
        model: &str,
        request: EmbeddingRequest,
    ) -> Result<EmbeddingResponse> {
        self.check(model, &request)?;
        context.check()?;
        let deadline = context.deadline().unwrap_or_else(|| Instant::now() + self.patience);
        let embedded = self.embed_by(deadline, context, request).await?;
        Ok(EmbeddingResponse::new(Self::model(), embedded.vectors, Usage::of_input(embedded.tokens)))
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
