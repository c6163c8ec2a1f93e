//! The BERT encoder (Devlin et al., arXiv:1810.04805) as MiniLM sentence models use it: token states, their mean,
//! unit length (Reimers and Gurevych, arXiv:1908.10084).
//!
//! Sequences are packed one after the other, so that nothing is computed for padding; queries, keys and values come
//! from one product; the weights are made integers and packed once, when they are loaded. candle reads them, the
//! [kernels](super::kernels) do the arithmetic, in buffers that each thread keeps.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::kernels::Level;
use super::kernels::attention::{Attention, HEAD};
use super::kernels::math::{Normalisation, unit_mean};
use super::kernels::product::{Activation, Linear, Rows};

/// What `config.json` says about the shape of the network. Other keys have no influence on the result.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BertConfig {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    hidden_act: String,
    position_embedding_type: String,
}

/// The loaded network. Shared by all threads: a forward pass changes nothing in it.
#[derive(Debug)]
pub(super) struct Bert {
    /// One row for each token of the vocabulary.
    words: Vec<f32>,
    /// Position embeddings with the embedding of the first segment added: sentences have only that one.
    positions: Vec<f32>,
    embedded: Normalisation,
    layers: Vec<Layer>,
    width: usize,
    vocabulary: usize,
    longest: usize,
    level: Level,
}

#[derive(Debug)]
struct Layer {
    queries_keys_values: Linear,
    attended: Linear,
    after_attention: Normalisation,
    up: Linear,
    down: Linear,
    after_feed_forward: Normalisation,
}

/// The buffers of one thread. They grow to the largest batch that was computed in them.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// A row for each token: its state between two layers.
    states: Vec<f32>,
    /// Its state between the halves of a layer.
    middle: Vec<f32>,
    /// What the attention gives.
    context: Vec<f32>,
    /// Queries, keys and values, then the feed-forward network's inner values.
    wide: Vec<f32>,
    /// The inputs of a product.
    rows: Rows,
    attention: Attention,
}

impl Bert {
    /// Loads the network from the bytes of `config.json` and `model.safetensors`.
    pub(super) fn load(config: &[u8], weights: Vec<u8>) -> Result<Self> {
        let config: BertConfig = serde_json::from_slice(config).map_err(candle_core::Error::wrap)?;
        if config.hidden_act != "gelu" || config.position_embedding_type != "absolute" {
            bail!("only gelu and absolute positions are supported");
        }
        if config.hidden_size != config.num_attention_heads * HEAD {
            bail!("heads of {HEAD} values are needed");
        }
        let root = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let embeddings = root.pp("embeddings");
        let width = config.hidden_size;
        let table = |rows: usize, name: &str| embeddings.get((rows, width), &format!("{name}.weight"));
        let segment = table(config.type_vocab_size, "token_type_embeddings")?.get(0)?;
        let positions = table(config.max_position_embeddings, "position_embeddings")?.broadcast_add(&segment)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&root.pp(format!("encoder.layer.{index}")), &config))
            .collect::<Result<_>>()?;
        Ok(Self {
            words: values(&table(config.vocab_size, "word_embeddings")?)?,
            positions: values(&positions)?,
            embedded: normalisation(&embeddings.pp("LayerNorm"), &config)?,
            layers,
            width,
            vocabulary: config.vocab_size,
            longest: config.max_position_embeddings,
            level: Level::best(),
        })
    }

    /// Token ids are below this.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// One vector of unit length for each sequence of token ids. A sequence has at least one token and at most as
    /// many as there are positions.
    pub(super) fn embed(&self, sequences: &[Vec<u32>], space: &mut Workspace) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        if let Some(length) = lengths.iter().find(|length| !(1..=self.longest).contains(*length)) {
            bail!("a sequence of {length} tokens: there must be between 1 and {}", self.longest);
        }
        self.look_up(sequences, space)?;
        for layer in &self.layers {
            layer.forward(self.level, &lengths, space);
        }
        let mut rest = space.states.as_slice();
        let mean = |length: &usize| {
            let (sequence, after) = rest.split_at(length * self.width);
            rest = after;
            unit_mean(self.level, sequence, self.width)
        };
        Ok(lengths.iter().map(mean).collect())
    }

    /// The states before the first layer: embeddings of words and positions.
    fn look_up(&self, sequences: &[Vec<u32>], space: &mut Workspace) -> Result<()> {
        let (words, positions) = (self.words.chunks_exact(self.width), self.positions.chunks_exact(self.width));
        space.states.clear();
        space.middle.clear();
        for sequence in sequences {
            for (id, position) in sequence.iter().zip(positions.clone()) {
                let Some(word) = words.clone().nth(*id as usize) else {
                    bail!("token {id} is not in the vocabulary of {}", self.vocabulary);
                };
                space.states.extend_from_slice(word);
                space.middle.extend_from_slice(position);
            }
        }
        self.embedded.add_and_normalise(self.level, &mut space.states, &space.middle);
        Ok(())
    }
}

impl Layer {
    fn load(from: &VarBuilder, config: &BertConfig) -> Result<Self> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        let attention = from.pp("attention");
        Ok(Self {
            queries_keys_values: queries_keys_values(&attention.pp("self"), width)?,
            attended: linear(&attention.pp("output.dense"), width, width, Activation::Identity)?,
            after_attention: normalisation(&attention.pp("output.LayerNorm"), config)?,
            up: linear(&from.pp("intermediate.dense"), width, wide, Activation::Gelu)?,
            down: linear(&from.pp("output.dense"), wide, width, Activation::Identity)?,
            after_feed_forward: normalisation(&from.pp("output.LayerNorm"), config)?,
        })
    }

    /// The states of all tokens, one layer on.
    fn forward(&self, level: Level, lengths: &[usize], space: &mut Workspace) {
        let Workspace { states, middle, context, wide, rows, attention } = space;
        let width = self.attended.outputs();
        rows.fill(level, states, width);
        self.queries_keys_values.apply(level, rows, wide);
        attention.attend(level, wide, lengths, width, context);
        rows.fill(level, context, width);
        self.attended.apply(level, rows, middle);
        self.after_attention.add_and_normalise(level, middle, states);
        rows.fill(level, middle, width);
        self.up.apply(level, rows, wide);
        rows.fill(level, wide, self.up.outputs());
        self.down.apply(level, rows, states);
        self.after_feed_forward.add_and_normalise(level, states, middle);
    }
}

/// The three projections as one layer. Queries are scaled by `log2(e) / sqrt(HEAD)`, which the attention expects.
fn queries_keys_values(from: &VarBuilder, width: usize) -> Result<Linear> {
    let scale = std::f64::consts::LOG2_E / (HEAD as f64).sqrt();
    let weights = |name: &str| from.get((width, width), &format!("{name}.weight"));
    let bias = |name: &str| from.get(width, &format!("{name}.bias"));
    let weights = Tensor::cat(&[(weights("query")? * scale)?, weights("key")?, weights("value")?], 0)?;
    let bias = Tensor::cat(&[(bias("query")? * scale)?, bias("key")?, bias("value")?], 0)?;
    pack(&weights, &bias, width, Activation::Identity)
}

fn linear(from: &VarBuilder, inputs: usize, outputs: usize, activation: Activation) -> Result<Linear> {
    pack(&from.get((outputs, inputs), "weight")?, &from.get(outputs, "bias")?, inputs, activation)
}

fn pack(weights: &Tensor, bias: &Tensor, inputs: usize, activation: Activation) -> Result<Linear> {
    match Linear::pack(&values(weights)?, &values(bias)?, inputs, activation) {
        Some(layer) => Ok(layer),
        None => bail!("a layer of {inputs} x {} cannot be packed", bias.elem_count()),
    }
}

fn normalisation(from: &VarBuilder, config: &BertConfig) -> Result<Normalisation> {
    Ok(Normalisation {
        gain: values(&from.get(config.hidden_size, "weight")?)?,
        bias: values(&from.get(config.hidden_size, "bias")?)?,
        epsilon: config.layer_norm_eps as f32,
    })
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

#[cfg(test)]
#[path = "bert_tests.rs"]
mod tests;
