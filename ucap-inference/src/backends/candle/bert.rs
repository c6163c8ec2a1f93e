//! The BERT encoder (Devlin et al., arXiv:1810.04805) as MiniLM sentence models use it: token states, their mean,
//! unit length (Reimers and Gurevych, arXiv:1908.10084).
//!
//! Sequences are packed one after the other, so that nothing is computed for padding; queries, keys and values come
//! from one product; the weights are transposed and packed once, when they are loaded.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::kernels::attention::HEAD;
use super::kernels::product::{Activation, Linear};
use super::ops::{AddAndNormalise, Attention, UnitMean};

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
    words: Tensor,
    /// Position embeddings with the embedding of the first segment added: sentences have only that one.
    positions: Tensor,
    embedded: AddAndNormalise,
    layers: Vec<Layer>,
    vocabulary: usize,
    longest: usize,
}

#[derive(Debug)]
struct Layer {
    queries_keys_values: Linear,
    attended: Linear,
    after_attention: AddAndNormalise,
    up: Linear,
    down: Linear,
    after_feed_forward: AddAndNormalise,
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
            words: table(config.vocab_size, "word_embeddings")?,
            positions,
            embedded: normalisation(&embeddings.pp("LayerNorm"), &config)?,
            layers,
            vocabulary: config.vocab_size,
            longest: config.max_position_embeddings,
        })
    }

    /// Token ids are below this.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// One vector of unit length for each sequence of token ids. A sequence has at least one token and at most as
    /// many as there are positions.
    pub(super) fn embed(&self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        if let Some(length) = lengths.iter().find(|length| !(1..=self.longest).contains(*length)) {
            bail!("a sequence of {length} tokens: there must be between 1 and {}", self.longest);
        }
        let tokens: usize = lengths.iter().sum();
        let ids = Tensor::from_vec(sequences.concat(), tokens, &Device::Cpu)?;
        let places: Vec<u32> = lengths.iter().flat_map(|length| (0..).take(*length)).collect();
        let places = Tensor::from_vec(places, tokens, &Device::Cpu)?;

        let mut states = self.words.index_select(&ids, 0)?;
        states.inplace_op2(&self.positions.index_select(&places, 0)?, &self.embedded)?;
        for layer in &self.layers {
            states = layer.forward(&states, &lengths)?;
        }
        states.apply_op1_no_bwd(&UnitMean { lengths: &lengths })?.to_vec2()
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

    fn forward(&self, states: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let context = states.apply_op1_no_bwd(&self.queries_keys_values)?.apply_op1_no_bwd(&Attention { lengths })?;
        let attended = context.apply_op1_no_bwd(&self.attended)?;
        attended.inplace_op2(states, &self.after_attention)?;
        let out = attended.apply_op1_no_bwd(&self.up)?.apply_op1_no_bwd(&self.down)?;
        out.inplace_op2(&attended, &self.after_feed_forward)?;
        Ok(out)
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
    let (weights, bias) = (weights.flatten_all()?.to_vec1::<f32>()?, bias.to_vec1::<f32>()?);
    match Linear::pack(&weights, &bias, inputs, activation) {
        Some(layer) => Ok(layer),
        None => bail!("a layer of {inputs} x {} cannot be packed", bias.len()),
    }
}

fn normalisation(from: &VarBuilder, config: &BertConfig) -> Result<AddAndNormalise> {
    Ok(AddAndNormalise {
        gain: from.get(config.hidden_size, "weight")?.to_vec1()?,
        bias: from.get(config.hidden_size, "bias")?.to_vec1()?,
        epsilon: config.layer_norm_eps as f32,
    })
}
