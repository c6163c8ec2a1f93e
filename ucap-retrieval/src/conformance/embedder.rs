//! An embedder without a model: texts that share words are near to each other, and always the same.

use async_trait::async_trait;
use ucap_core::{Embedder, EmbeddingLane, EmbeddingModel, RequestContext, Result};

/// Not a multiple of any register's width.
const DIMENSIONS: usize = 20;

/// The model that the suite's datasources are embedded with.
pub fn model() -> EmbeddingModel {
    EmbeddingModel { id: "test/words".to_owned(), dimensions: DIMENSIONS, digest: "conformance".to_owned() }
}

/// The sum of a hash of each word, at unit length.
#[derive(Debug, Clone, Copy, Default)]
pub struct WordEmbedder;

impl WordEmbedder {
    /// The vector of a text.
    pub fn vector(text: &str) -> Vec<f32> {
        let mut sums = [0i32; DIMENSIONS];
        let folded = crate::fold::fold(text);
        // A component that all share keeps the empty text from having no direction.
        sums[0] = 3;
        for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash = blake3::hash(word.as_bytes());
            for (sum, byte) in sums.iter_mut().zip(hash.as_bytes()) {
                // Few levels, so that ties happen.
                *sum += i32::from(byte % 5) - 2;
            }
        }
        let length = sums.iter().map(|sum| (sum * sum) as f32).sum::<f32>().sqrt();
        if length == 0.0 {
            sums[1] = 1;
            return sums.iter().map(|sum| *sum as f32).collect();
        }
        sums.iter().map(|sum| *sum as f32 / length).collect()
    }
}

#[async_trait]
impl Embedder for WordEmbedder {
    fn model(&self) -> EmbeddingModel {
        model()
    }

    async fn embed(&self, context: &RequestContext, _lane: EmbeddingLane, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        context.check()?;
        Ok(texts.iter().map(|text| Self::vector(text)).collect())
    }
}
