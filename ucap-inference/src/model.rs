//! What a provider says about a model.

use ucap_core::EmbeddingModel;

/// The id of the embedding model that every platform has.
pub const ALL_MINILM_L6_V2: &str = "local/all-minilm-l6-v2";

/// A model that can be called, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The id callers say, such as `local/all-minilm-l6-v2`.
    pub id: String,
    /// Who made or serves it; `owned_by` on the wire.
    pub owner: String,
    /// What it can do. What is not declared here answers `Unsupported`.
    pub capabilities: Capabilities,
}

/// What a model can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// It turns texts into vectors, with this identity.
    pub embedding: Option<EmbeddingModel>,
}

impl Model {
    /// A model of `owner` that embeds, and does nothing else. Its id is that of `embedding`.
    pub fn embedding(owner: impl Into<String>, embedding: EmbeddingModel) -> Self {
        Self {
            id: embedding.id.clone(),
            owner: owner.into(),
            capabilities: Capabilities { embedding: Some(embedding) },
        }
    }
}
