//! The callers' side: finds the provider of a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ucap_core::{Embedder, EmbeddingLane, EmbeddingModel, Error, ErrorKind, RequestContext, Result};

use crate::embedding::{EmbeddingInputs, EmbeddingRequest, EmbeddingResponse, MAX_INPUTS};
use crate::model::Model;
use crate::provider::ModelProvider;

/// Routes calls to the providers by model id. Cheap to clone; clones share the providers.
///
/// Whether the caller may use a model is decided before it is called here.
#[derive(Debug, Clone, Default)]
pub struct Gateway {
    routes: Arc<BTreeMap<String, Route>>,
}

#[derive(Debug, Clone)]
struct Route {
    model: Model,
    provider: Arc<dyn ModelProvider>,
}

impl Gateway {
    /// A gateway without models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the models of `provider`.
    ///
    /// # Errors
    /// `AlreadyExists` when another provider has a model of the same id.
    pub fn with_provider(mut self, provider: Arc<dyn ModelProvider>) -> Result<Self> {
        let routes = Arc::make_mut(&mut self.routes);
        for model in provider.models() {
            if let Some(other) = routes.get(&model.id) {
                let message = format!(
                    "the model `{}` of provider `{}` is already there, of provider `{}`: rename one of them",
                    model.id,
                    provider.id(),
                    other.provider.id()
                );
                return Err(Error::new(ErrorKind::AlreadyExists, message));
            }
            routes.insert(model.id.clone(), Route { model, provider: Arc::clone(&provider) });
        }
        Ok(self)
    }

    /// All models, by id.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.routes.values().map(|route| &route.model)
    }

    /// The model of this id.
    pub fn model(&self, id: &str) -> Option<&Model> {
        self.routes.get(id).map(|route| &route.model)
    }

    /// Embeds with the model of this id.
    ///
    /// # Errors
    /// `NotFound` for an id nobody has, `Unsupported` when the model does not embed, `InvalidInput` for no input or
    /// more than [`MAX_INPUTS`], and the errors of [`ModelProvider::embed`].
    pub async fn embed(
        &self,
        context: &RequestContext,
        model: &str,
        request: EmbeddingRequest,
    ) -> Result<EmbeddingResponse> {
        let (route, _) = self.embedding_route(model)?;
        let inputs = request.inputs.len();
        if inputs == 0 || inputs > MAX_INPUTS {
            let message = format!("{inputs} inputs: send between 1 and {MAX_INPUTS}");
            return Err(Error::invalid("input", message));
        }
        context.check()?;
        let response = route.provider.embed(context, model, request).await?;
        complete(response, inputs)
    }

    /// The port through which retrieval uses one model, for queries and ingest.
    ///
    /// # Errors
    /// `NotFound` for an id nobody has, `Unsupported` when the model does not embed.
    pub fn embedder(&self, model: &str) -> Result<Arc<dyn Embedder>> {
        let (_, identity) = self.embedding_route(model)?;
        Ok(Arc::new(GatewayEmbedder { gateway: self.clone(), model: identity.clone() }))
    }

    fn embedding_route(&self, id: &str) -> Result<(&Route, &EmbeddingModel)> {
        let route = self.routes.get(id).ok_or_else(|| Error::not_found(format!("model `{id}`")).with_param("model"))?;
        let identity = route.model.capabilities.embedding.as_ref().ok_or_else(|| {
            let message = format!("the model `{id}` makes no embeddings: name one that does");
            Error::new(ErrorKind::Unsupported, message).with_param("model")
        })?;
        Ok((route, identity))
    }
}

/// A provider that answers with another number of vectors would attach them to the wrong texts.
fn complete(response: EmbeddingResponse, inputs: usize) -> Result<EmbeddingResponse> {
    let fits = |vector: &Vec<f32>| vector.len() == response.model.dimensions;
    if response.vectors.len() != inputs || !response.vectors.iter().all(fits) {
        let message = format!("the model `{}` answered with vectors that do not fit the inputs", response.model.id);
        return Err(Error::internal(message));
    }
    Ok(response)
}

/// One model of a [`Gateway`] behind the port of the consumers.
#[derive(Debug)]
struct GatewayEmbedder {
    gateway: Gateway,
    model: EmbeddingModel,
}

#[async_trait]
impl Embedder for GatewayEmbedder {
    fn model(&self) -> EmbeddingModel {
        self.model.clone()
    }

    async fn embed(&self, context: &RequestContext, lane: EmbeddingLane, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let part = EmbeddingInputs::Texts(texts.by_ref().take(MAX_INPUTS).collect());
            let request = EmbeddingRequest::new(part).with_lane(lane);
            vectors.extend(self.gateway.embed(context, &self.model.id, request).await?.vectors);
        }
        Ok(vectors)
    }
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
