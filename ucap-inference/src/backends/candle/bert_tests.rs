//! A small network with made-up weights, whole, on every instruction set of this processor.

use std::collections::HashMap;

use super::*;

const CONFIG: &str = r#"{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 50, "max_position_embeddings": 90, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "position_embedding_type": "absolute"}"#;

/// The names and shapes of the network's tensors.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![50, 64]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![90, 64]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 64]),
    ];
    let mut add = |name: &str, weight: &[usize], bias: usize| {
        shapes.push((format!("{name}.weight"), weight.to_vec()));
        shapes.push((format!("{name}.bias"), vec![bias]));
    };
    add("embeddings.LayerNorm", &[64], 64);
    for layer in ["encoder.layer.0", "encoder.layer.1"] {
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            add(&format!("{layer}.attention.{name}"), &[64, 64], 64);
        }
        add(&format!("{layer}.attention.output.LayerNorm"), &[64], 64);
        add(&format!("{layer}.intermediate.dense"), &[128, 64], 128);
        add(&format!("{layer}.output.dense"), &[64, 128], 64);
        add(&format!("{layer}.output.LayerNorm"), &[64], 64);
    }
    shapes
}

/// The network with weights in [-1/2, 1/2).
fn network() -> Bert {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut tensors = HashMap::new();
    for (name, shape) in shapes() {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    Bert::load(CONFIG.as_bytes(), std::fs::read(path).unwrap()).unwrap()
}

fn sequences() -> Vec<Vec<u32>> {
    let sequence = |length: usize| (0..length as u32).map(|index| index * 7 % 50).collect();
    [1, 5, 6, 31, 32, 33, 90].map(sequence).to_vec()
}

fn bits(vectors: &[Vec<f32>]) -> Vec<u32> {
    vectors.iter().flatten().map(|value| value.to_bits()).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let mut network = network();
    let mut space = Workspace::default();
    let best = network.embed(&sequences(), &mut space).unwrap();
    assert_eq!(best.len(), sequences().len());
    assert!(best.windows(2).all(|pair| pair[0] != pair[1]));
    for level in Level::detected() {
        network.level = level;
        assert!(bits(&network.embed(&sequences(), &mut space).unwrap()) == bits(&best), "{level:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_leaves_nothing_behind() {
    let network = network();
    let mut space = Workspace::default();
    let expected = network.embed(&sequences(), &mut space).unwrap();
    for wrong in [vec![], vec![1; 91], vec![1, 50]] {
        assert!(network.embed(&[vec![1, 2], wrong.clone()], &mut space).is_err(), "{wrong:?}");
    }
    assert_eq!(network.embed(&[], &mut space).unwrap(), Vec::<Vec<f32>>::new());
    assert_eq!(bits(&network.embed(&sequences(), &mut space).unwrap()), bits(&expected));
}
