//! Ask a model, within your limits: providers behind one gateway.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ucap_core::RequestContext;
//! use ucap_inference::{EmbeddingRequest, Gateway, ScriptedProvider};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // With the feature `candle`: LocalEmbedder::start(LocalOptions::new(PullOptions::new(cache))).
//! let provider = Arc::new(ScriptedProvider::new("test/words", 64));
//! let gateway = Gateway::new().with_provider(provider)?;
//!
//! let context = RequestContext::new("request-1");
//! let request = EmbeddingRequest::of_texts(["a heap overflow", "an overflow on the heap", "sqlmap"]);
//! let answer = gateway.embed(&context, "test/words", request).await?;
//!
//! let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
//! let [first, second, third] = answer.vectors.as_slice() else { unreachable!() };
//! assert!(cosine(first, second) > cosine(first, third));
//! println!("{} tokens", answer.usage.input_tokens);
//! # Ok::<(), ucap_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! [`ModelProvider`] is the port to whoever runs models; `backends` holds those that are compiled in, the
//! [`ScriptedProvider`] first: the deterministic reference, which tests use. [`Gateway`] is the callers' side; through
//! [`Gateway::embedder`] it is also the `Embedder` that retrieval uses. The feature `candle` adds
//! `LocalEmbedder`, embeddings computed in this process, and `pull`, which finds the model's files.

mod backends;
mod embedding;
mod gateway;
mod model;
mod provider;
mod usage;

pub use backends::scripted::{ScriptedProvider, Step};
pub use embedding::{EmbeddingInputs, EmbeddingRequest, EmbeddingResponse, MAX_INPUTS};
pub use gateway::Gateway;
pub use model::{ALL_MINILM_L6_V2, Capabilities, Model};
pub use provider::ModelProvider;
pub use usage::Usage;

#[cfg(feature = "candle")]
pub use backends::candle::{
    LoadStatus, LocalEmbedder, LocalOptions, ModelFiles, PullEvent, PullOptions, cache_directory, pull,
};
