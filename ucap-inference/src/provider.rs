//! The port to whoever runs models.

use std::fmt::Debug;

use async_trait::async_trait;
use ucap_core::{RequestContext, Result};

use crate::embedding::{EmbeddingRequest, EmbeddingResponse};
use crate::model::Model;

/// Runs models: a process of ours, or a service behind a network. One provider may have many models.
///
/// Permission, budgets and routing are the [`Gateway`](crate::Gateway)'s; a provider just does what it is asked.
#[async_trait]
pub trait ModelProvider: Debug + Send + Sync + 'static {
    /// What the configuration calls it, such as `local`.
    fn id(&self) -> &str;

    /// The models it has. The answer does not change, and is given before anything is loaded or connected.
    fn models(&self) -> Vec<Model>;

    /// Turns the inputs into vectors of unit length, one for each, in order. The vector of an input does not depend
    /// on the other inputs of the request.
    ///
    /// # Errors
    /// `NotFound` for a model it does not have, `Unsupported` when the model does not embed, `InvalidInput` when an
    /// input or the dimensions do not suit the model, `ModelUnavailable` when it cannot be reached or is not loaded by
    /// the deadline, `Overloaded` when its queue is full, `DeadlineExceeded` when `context` ends first.
    async fn embed(
        &self,
        context: &RequestContext,
        model: &str,
        request: EmbeddingRequest,
    ) -> Result<EmbeddingResponse>;
}
