//! An embedding call: what goes in and what comes out.

use ucap_core::{EmbeddingLane, EmbeddingModel};

use crate::usage::Usage;

/// Inputs of one request at most: the wire's own bound. Bulk work cuts its texts into such requests.
pub const MAX_INPUTS: usize = 2_048;

/// What is to be embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingInputs {
    /// Texts. An empty one is embedded as a sentence without words.
    Texts(Vec<String>),
    /// Token ids of the model's own vocabulary; the provider adds the special tokens that frame a sentence.
    Tokens(Vec<Vec<u32>>),
}

impl EmbeddingInputs {
    /// How many vectors will come back.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A request for vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbeddingRequest {
    /// What is to be embedded.
    pub inputs: EmbeddingInputs,
    /// Which queue it waits in.
    pub lane: EmbeddingLane,
    /// The length that vectors must have; `None` takes the model's own.
    pub dimensions: Option<usize>,
}

impl EmbeddingRequest {
    /// A request of somebody who waits (the query lane), for vectors of the model's own length.
    pub fn new(inputs: EmbeddingInputs) -> Self {
        Self { inputs, lane: EmbeddingLane::Query, dimensions: None }
    }

    /// [`Self::new`] for texts.
    pub fn of_texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new(EmbeddingInputs::Texts(texts.into_iter().map(Into::into).collect()))
    }

    /// Waits in `lane` instead.
    #[must_use]
    pub fn with_lane(mut self, lane: EmbeddingLane) -> Self {
        self.lane = lane;
        self
    }

    /// Asks for vectors of this length; a model that cannot make them refuses.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = Some(dimensions);
        self
    }
}

/// The vectors, and what they cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// The model that answered.
    pub model: EmbeddingModel,
    /// One vector of unit length for each input, in order.
    pub vectors: Vec<Vec<f32>>,
    /// What was consumed.
    pub usage: Usage,
}

impl EmbeddingResponse {
    /// An answer of `model`.
    pub fn new(model: EmbeddingModel, vectors: Vec<Vec<f32>>, usage: Usage) -> Self {
        Self { model, vectors, usage }
    }
}
