//! The kernels against plain formulas in f64, and every instruction set against the portable code, bit for bit.

use proptest::prelude::*;

use super::attention::{Attention, HEAD};
use super::math::{Normalisation, exp2, gelu, unit_mean};
use super::product::{Activation, Linear, Rows};
use super::tile::{COLUMNS, LONGEST, Pair, ROWS, Step, multiply, quantise};
use super::{Level, Set};

/// `count` values in [-1, 1), a function of the seed.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

fn linear(seed: u64, inputs: usize, outputs: usize, activation: Activation) -> (Linear, Vec<f32>, Vec<f32>) {
    let (weights, bias) = (noise(seed, inputs * outputs), noise(seed + 1, outputs));
    (Linear::pack(&weights, &bias, inputs, activation).unwrap(), weights, bias)
}

fn apply(level: Level, layer: &Linear, x: &[f32], inputs: usize) -> Vec<f32> {
    let (mut rows, mut y) = (Rows::default(), Vec::new());
    rows.fill(level, x, inputs);
    layer.apply(level, &rows, &mut y);
    y
}

fn attend(level: Level, qkv: &[f32], lengths: &[usize], width: usize) -> Vec<f32> {
    let mut context = Vec::new();
    Attention::default().attend(level, qkv, lengths, width, &mut context);
    context
}

/// The distribution function of the normal distribution, by the power series of the error function: |x| <= 6.
fn phi(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 + sum / std::f64::consts::PI.sqrt()
}

#[test]
fn exp2_and_gelu_follow_their_formulas() {
    for step in 0..=6_000 {
        let x = -step as f32 / 100.0;
        assert!((f64::from(exp2(x)) / f64::from(x).exp2() - 1.0).abs() < 3e-7, "exp2({x})");
    }
    assert_eq!(exp2(f32::NEG_INFINITY), exp2(-60.0));
    assert_eq!(1.0 + exp2(-60.0), 1.0, "nothing beside the largest of a softmax");
    for step in -6_000..=6_000 {
        let x = step as f32 / 1_000.0;
        let expected = f64::from(x) * phi(f64::from(x));
        assert!((f64::from(gelu(x)) - expected).abs() < 3e-6, "gelu({x}) = {} is not {expected}", gelu(x));
    }
    assert_eq!(gelu(0.0), 0.0);
    assert!((gelu(1e6) - 1e6).abs() < 1.0 && gelu(-1e6).abs() < 3e-6);
}

#[test]
fn packing_refuses_sizes_that_do_not_fit() {
    let fits = |weights: usize, outputs: usize, inputs: usize| {
        Linear::pack(&vec![0.0; weights], &vec![0.0; outputs], inputs, Activation::Identity).is_some()
    };
    assert!(fits(128, 32, 4) && fits(256, 64, 4));
    assert!(!fits(127, 32, 4), "a weight is missing");
    assert!(!fits(64, 16, 4), "half a panel");
    assert!(!fits(96, 32, 3), "half a pair");
    assert!(!fits(0, 32, 0) && !fits(0, 0, 4));
    assert!(fits(32 * LONGEST, 32, LONGEST) && !fits(32 * (LONGEST + 2), 32, LONGEST + 2));
}

/// What the absence of overflow rests on: a vector of integers is shorter than 2^15.
fn assert_quantised(row: &[f32]) {
    let mut integers = vec![0; row.len()];
    let unit = quantise(row, &mut integers);
    let squares: i64 = integers.iter().map(|integer| i64::from(*integer).pow(2)).sum();
    assert!(squares < 1 << 30, "{squares}: {} values from {:?}", row.len(), &row[..2]);
    for (integer, value) in integers.iter().zip(row) {
        let error = f32::from(*integer) * unit - value;
        assert!(error.abs() <= 0.51 * unit + 1e-12, "{value} became {integer} times {unit}");
    }
}

#[test]
fn no_vector_of_integers_is_too_long() {
    for count in [2, 32, 384, 1_536, LONGEST] {
        for scale in [1e-20, 1e-13, 1e-9, 1.0, 1e12] {
            let mut row: Vec<f32> = noise(count as u64, count).iter().map(|value| value * scale).collect();
            assert_quantised(&row);
            assert_quantised(&vec![scale; count]); // all alike: each could be rounded up
            assert_quantised(&vec![-scale; count]);
            row.iter_mut().skip(1).for_each(|value| *value *= 1e-3); // one that stands out
            assert_quantised(&row);
        }
    }
    assert_quantised(&[0.0; 32]);
}

#[test]
fn the_longest_products_do_not_wrap() {
    let inputs = 1_536;
    let layer = Linear::pack(&vec![1.0; inputs * 32], &[0.0; 32], inputs, Activation::Identity).unwrap();
    for level in Level::detected() {
        for y in apply(level, &layer, &vec![1.0; inputs], inputs) {
            // Values that are all alike are all rounded the same way: 816.497 becomes 816, on both sides.
            assert!((y / inputs as f32 - 1.0).abs() < 2e-3, "{level:?}: {y}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rows around the tile of 6 and the block of 96, depths around the slice of 384.
    #[test]
    fn a_linear_layer_is_its_formula(seed: u64, rows in 1_usize..130, steps in 1_usize..450, panels in 1_usize..4) {
        let (inputs, outputs) = (2 * steps, panels * COLUMNS);
        let (layer, weights, bias) = linear(seed, inputs, outputs, Activation::Identity);
        let x = noise(seed ^ 7, rows * inputs);
        let y = apply(Level::best(), &layer, &x, inputs);
        prop_assert_eq!(y.len(), rows * outputs);
        for (row, y) in x.chunks(inputs).zip(y.chunks(outputs)) {
            for ((weights, bias), y) in weights.chunks(inputs).zip(&bias).zip(y) {
                let products = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
                let expected = f64::from(*bias) + products.sum::<f64>();
                // Rounding leaves an error of 0.4 such parts on average.
                let part = length(row) * length(weights) / 32_000.0;
                prop_assert!((f64::from(*y) - expected).abs() < 4.0 * part + 1e-5, "{y} is not {expected}");
            }
        }
    }

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others(seed: u64, rows in 2_usize..110, chosen: prop::sample::Index) {
        let (inputs, outputs) = (400, 32);
        let (layer, ..) = linear(seed, inputs, outputs, Activation::Gelu);
        let x = noise(seed ^ 7, rows * inputs);
        let y = apply(Level::best(), &layer, &x, inputs);
        let row = chosen.index(rows);
        let alone = apply(Level::best(), &layer, &x[row * inputs..][..inputs], inputs);
        prop_assert_eq!(bits(&y[row * outputs..][..outputs]), bits(&alone));
    }

    /// Any integers, also such as `quantise` never makes.
    #[test]
    fn every_tile_equals_the_portable_one(seed: u64, depth in 0_usize..300, extreme: bool) {
        let integer = |value: f32| if extreme { if value < 0.0 { i16::MIN } else { i16::MAX } } else { (value * 32_767.0) as i16 };
        let pair = |values: &[f32; 2]| values.map(integer);
        let rows: Vec<Pair> = noise(seed, ROWS * depth * 2).as_chunks().0.iter().map(pair).collect();
        let rows: [&[Pair]; ROWS] = std::array::from_fn(|row| &rows[row * depth..][..depth]);
        let panel: Vec<Pair> = noise(seed + 1, depth * COLUMNS * 2).as_chunks().0.iter().map(pair).collect();
        let panel: &[Step] = panel.as_chunks().0;
        let start = [[-7; COLUMNS]; ROWS];
        let mut portable = start;
        multiply(Level(Set::Portable), rows, panel, &mut portable);
        for level in Level::detected() {
            let mut sums = start;
            multiply(level, rows, panel, &mut sums);
            prop_assert_eq!(sums, portable, "{:?}", level);
        }
    }

    #[test]
    fn every_level_equals_the_portable_one_in_every_step(seed: u64, tokens in 1_usize..70) {
        let width = 2 * HEAD;
        let (layer, ..) = linear(seed, width, 4 * width, Activation::Gelu);
        let (qkv, residual) = (noise(seed, tokens * 3 * width), noise(seed + 1, tokens * width));
        let normalisation = Normalisation { gain: noise(seed, width), bias: noise(seed + 3, width), epsilon: 1e-12 };
        let run = |level: Level| {
            let mut x = attend(level, &qkv, &[tokens], width);
            normalisation.add_and_normalise(level, &mut x, &residual);
            let y = apply(level, &layer, &x, width);
            [bits(&unit_mean(level, &y, 4 * width)), bits(&x), bits(&y)]
        };
        let portable = run(Level(Set::Portable));
        for level in Level::detected() {
            prop_assert!(run(level) == portable, "{:?}", level);
        }
    }

    #[test]
    fn attention_is_its_formula_and_stays_within_a_sequence(seed: u64, lengths in prop::collection::vec(1_usize..80, 1..4)) {
        let width = 2 * HEAD;
        let tokens: usize = lengths.iter().sum();
        let qkv = noise(seed, tokens * 3 * width);
        let context = attend(Level::best(), &qkv, &lengths, width);
        let at = |token: usize, column: usize| f64::from(qkv[token * 3 * width + column]);
        let mut start = 0;
        for length in lengths {
            for (query, column) in (start..start + length).flat_map(|query| (0..width).map(move |column| (query, column))) {
                let head = column / HEAD * HEAD;
                let logit = |key| (head..head + HEAD).map(|c| at(query, c) * at(key, width + c)).sum::<f64>();
                let powers: Vec<f64> = (start..start + length).map(|key| logit(key).exp2()).collect();
                let values = (start..start + length).map(|key| at(key, 2 * width + column));
                let expected = powers.iter().zip(values).map(|(p, v)| p * v).sum::<f64>() / powers.iter().sum::<f64>();
                let found = f64::from(context[query * width + column]);
                prop_assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
            }
            start += length;
        }
    }

    #[test]
    fn a_buffer_remembers_nothing(seed: u64, before in 1_usize..80, tokens in 1_usize..80) {
        let width = 2 * HEAD;
        let (mut attention, mut context) = (Attention::default(), Vec::new());
        attention.attend(Level::best(), &noise(seed, before * 3 * width), &[before], width, &mut context);
        let qkv = noise(seed + 1, tokens * 3 * width);
        attention.attend(Level::best(), &qkv, &[tokens], width, &mut context);
        prop_assert_eq!(bits(&context), bits(&attend(Level::best(), &qkv, &[tokens], width)));

        let (layer, ..) = linear(seed, width, width, Activation::Identity);
        let (mut rows, mut y) = (Rows::default(), Vec::new());
        for count in [before, tokens] {
            rows.fill(Level::best(), &noise(seed + 2, count * width), width);
            layer.apply(Level::best(), &rows, &mut y);
        }
        prop_assert_eq!(bits(&y), bits(&apply(Level::best(), &layer, &noise(seed + 2, tokens * width), width)));
    }

    #[test]
    fn normalisation_has_mean_0_and_variance_1(seed: u64, width in 2_usize..100) {
        let mut x = noise(seed, width);
        let normalisation = Normalisation { gain: vec![1.0; width], bias: vec![0.0; width], epsilon: 1e-12 };
        normalisation.add_and_normalise(Level::best(), &mut x, &noise(seed + 9, width));
        let mean = x.iter().sum::<f32>() / width as f32;
        let variance = x.iter().map(|x| x * x).sum::<f32>() / width as f32;
        prop_assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{} {}", mean, variance);
    }
}

#[test]
fn a_mean_has_unit_length_or_is_zero() {
    let level = Level::best();
    assert_eq!(unit_mean(level, &[3.0, 0.0, 0.0, 4.0], 2), [0.6, 0.8]);
    assert_eq!(unit_mean(level, &[0.0; 4], 2), [0.0; 2]);
    assert_eq!(unit_mean(level, &[], 2), [0.0; 2]);
}
