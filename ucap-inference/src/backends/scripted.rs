//! The reference provider: deterministic, needs no weights, and misbehaves on request.
//!
//! Texts that share words get similar vectors, so that what is built on embeddings can be tested for sense as well.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use ucap_core::{EmbeddingModel, Error, ErrorKind, RequestContext, Result};

use crate::embedding::{EmbeddingInputs, EmbeddingRequest, EmbeddingResponse};
use crate::model::Model;
use crate::provider::ModelProvider;
use crate::usage::Usage;

/// What the next call meets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The answer.
    Answer,
    /// The answer, after this long (or `DeadlineExceeded`, if the context ends before).
    AnswerAfter(Duration),
    /// An error of this kind.
    Fail(ErrorKind),
    /// An answer that lacks its last vector: what a broken provider might send.
    LoseLastVector,
}

/// A provider with one embedding model whose vectors are a function of the words alone.
///
/// Each call takes one [`Step`] off the script; when none is left, calls are answered.
pub struct ScriptedProvider {
    model: EmbeddingModel,
    script: Mutex<VecDeque<Step>>,
    calls: Mutex<Vec<EmbeddingRequest>>,
}

/// Calls that are remembered.
const MAX_CALLS: usize = 10_000;

impl ScriptedProvider {
    /// A provider of the model `id`, with vectors of this length (at least 1).
    pub fn new(id: impl Into<String>, dimensions: usize) -> Self {
        let model = EmbeddingModel { id: id.into(), dimensions: dimensions.max(1), digest: "scripted-1".to_owned() };
        Self { model, script: Mutex::default(), calls: Mutex::default() }
    }

    /// Appends to the script.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.script.lock().extend(steps);
    }

    /// The requests so far (the first 10,000), in the order of their arrival.
    pub fn calls(&self) -> Vec<EmbeddingRequest> {
        self.calls.lock().clone()
    }

    fn next_step(&self, request: &EmbeddingRequest) -> Step {
        let mut calls = self.calls.lock();
        if calls.len() < MAX_CALLS {
            calls.push(request.clone());
        }
        self.script.lock().pop_front().unwrap_or(Step::Answer)
    }

    fn answer(&self, inputs: &EmbeddingInputs) -> EmbeddingResponse {
        let sentences: Vec<Vec<u64>> = match inputs {
            EmbeddingInputs::Texts(texts) => texts.iter().map(|text| words(text).collect()).collect(),
            EmbeddingInputs::Tokens(all) => {
                all.iter().map(|ids| ids.iter().map(|id| hash(id.to_le_bytes())).collect()).collect()
            }
        };
        let usage = Usage::of_input(sentences.iter().map(|words| words.len() as u64 + 2).sum());
        let vectors = sentences.iter().map(|words| unit_vector(words, self.model.dimensions)).collect();
        EmbeddingResponse::new(self.model.clone(), vectors, usage)
    }
}

impl Debug for ScriptedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedProvider").field("model", &self.model).finish_non_exhaustive()
    }
}

#[async_trait]
impl ModelProvider for ScriptedProvider {
    fn id(&self) -> &str {
        "scripted"
    }

    fn models(&self) -> Vec<Model> {
        vec![Model::embedding("ucap", self.model.clone())]
    }

    async fn embed(
        &self,
        context: &RequestContext,
        model: &str,
        request: EmbeddingRequest,
    ) -> Result<EmbeddingResponse> {
        if model != self.model.id {
            return Err(Error::not_found(format!("model `{model}`")).with_param("model"));
        }
        if let Some(dimensions) = request.dimensions.filter(|asked| *asked != self.model.dimensions) {
            let message = format!("{dimensions} dimensions: this model makes {} and no others", self.model.dimensions);
            return Err(Error::invalid("dimensions", message));
        }
        let step = self.next_step(&request);
        if let Step::AnswerAfter(delay) = step {
            tokio::time::sleep(delay.min(context.remaining_or(delay))).await;
        }
        context.check()?;
        let mut response = self.answer(&request.inputs);
        match step {
            Step::Answer | Step::AnswerAfter(_) => {}
            Step::Fail(kind) => return Err(Error::new(kind, "the script says so")),
            Step::LoseLastVector => drop(response.vectors.pop()),
        }
        Ok(response)
    }
}

/// The hashes of a text's words, lower-cased.
fn words(text: &str) -> impl Iterator<Item = u64> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| hash(word.to_lowercase()))
}

/// FNV-1a (Fowler, Noll and Vo): the same on every machine and in every release.
fn hash(bytes: impl AsRef<[u8]>) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The sum of one pseudo-random vector for each word (and a small one for the sentence), scaled to unit length.
fn unit_vector(words: &[u64], dimensions: usize) -> Vec<f32> {
    let mut vector: Vec<f64> = direction(0, dimensions).map(|value| value / 16.0).collect();
    for word in words {
        for (sum, value) in vector.iter_mut().zip(direction(*word, dimensions)) {
            *sum += value;
        }
    }
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.iter().map(|value| (value / length) as f32).collect()
}

/// Values in [-1, 1) from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); never all zero.
fn direction(seed: u64, dimensions: usize) -> impl Iterator<Item = f64> {
    (1..=dimensions as u64).map(move |index| {
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / (u64::MAX / 2) as f64 - 1.0
    })
}

#[cfg(test)]
#[path = "scripted_tests.rs"]
mod tests;
