//! Calling models.

use ucap_core::{Action, Error, Resource, ResourceKind, Result};
use ucap_inference::{EmbeddingRequest, EmbeddingResponse, Model};

use super::{Call, Session};

impl Session {
    /// The models that the caller may call.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub async fn models(&self) -> Result<Vec<Model>> {
        let call = self.begin("model:*").await?;
        Ok(call.parts.gateway.models().filter(|model| may_call(&call, &model.id)).cloned().collect())
    }

    /// A model that the caller may call.
    ///
    /// # Errors
    /// `NotFound`, also for a model that it may not call.
    pub async fn model(&self, id: &str) -> Result<Model> {
        let call = self.begin(format!("model:{id}")).await?;
        let found = callable(&call, id).cloned();
        call.end(found).await
    }

    /// Embeds with a model that the caller may call.
    ///
    /// # Errors
    /// `NotFound`, also for a model that it may not call; else as [`ucap_inference::Gateway::embed`].
    pub async fn embed(&self, model: &str, request: EmbeddingRequest) -> Result<EmbeddingResponse> {
        let call = self.begin(format!("model:{model}")).await?;
        let answer = match callable(&call, model) {
            Ok(_) => call.parts.gateway.embed(&call.context, model, request).await,
            Err(error) => Err(error),
        };
        call.end(answer).await
    }
}

fn may_call(call: &Call<'_>, id: &str) -> bool {
    call.scope.may(&Resource::one(ResourceKind::Model, id), Action::Execute)
}

fn callable<'a>(call: &'a Call<'_>, id: &str) -> Result<&'a Model> {
    let found = call.parts.gateway.model(id).filter(|_| may_call(call, id));
    found.ok_or_else(|| Error::not_found(format!("model `{id}`")).with_param("model"))
}
