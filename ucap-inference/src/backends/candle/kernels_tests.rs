//! The kernels against plain formulas in f64, and the vector code against the portable code, bit for bit.

use proptest::prelude::*;

use super::attention::{HEAD, attend};
use super::math::{add_and_normalise, exp2, gelu, unit_mean};
use super::product::{Activation, COLUMNS, Linear, ROWS, multiply, multiply_portable};
use super::vectorised;

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

fn linear(seed: u64, inputs: usize, outputs: usize, activation: Activation) -> (Linear, Vec<f32>, Vec<f32>) {
    let (weights, bias) = (noise(seed, inputs * outputs), noise(seed + 1, outputs));
    (Linear::pack(&weights, &bias, inputs, activation).unwrap(), weights, bias)
}

#[test]
fn exp2_and_gelu_follow_their_formulas() {
    for step in -12_600..=12_600 {
        let x = step as f32 / 100.0;
        let expected = f64::from(x).exp2();
        assert!((f64::from(exp2(x)) / expected - 1.0).abs() < 3e-7, "exp2({x})");
    }
    assert_eq!(exp2(-1e30), exp2(-126.0));
    assert_eq!(exp2(f32::NEG_INFINITY), exp2(-126.0));
    assert_eq!((exp2(0.0), exp2(3.0), exp2(-1.0)), (1.0, 8.0, 0.5));
    // x Phi(x), from a table of the normal distribution.
    for (x, expected) in [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_3), (3.0, 2.995_950_3)] {
        assert!((gelu(x) - expected).abs() < 1e-6, "gelu({x}) = {}", gelu(x));
    }
    assert_eq!(gelu(50.0), 50.0);
    assert!(gelu(-50.0).abs() < 1e-6);
}

#[test]
fn packing_refuses_sizes_that_do_not_fit() {
    assert!(Linear::pack(&[0.0; 48], &[0.0; 16], 3, Activation::Identity).is_some());
    assert!(Linear::pack(&[0.0; 47], &[0.0; 16], 3, Activation::Identity).is_none());
    assert!(Linear::pack(&[0.0; 45], &[0.0; 15], 3, Activation::Identity).is_none());
    assert!(Linear::pack(&[], &[0.0; 16], 0, Activation::Identity).is_none());
    assert!(Linear::pack(&[], &[], 3, Activation::Identity).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rows around the tile of 6 and the block of 96, depths around the slice of 384.
    #[test]
    fn a_linear_layer_is_its_formula(seed: u64, rows in 1_usize..130, inputs in 1_usize..900, panels in 1_usize..4) {
        let outputs = panels * COLUMNS;
        let (layer, weights, bias) = linear(seed, inputs, outputs, Activation::Identity);
        let x = noise(seed ^ 7, rows * inputs);
        let mut y = vec![f32::NAN; rows * outputs];
        layer.apply(&x, &mut y);
        for (row, y) in x.chunks(inputs).zip(y.chunks(outputs)) {
            for ((weights, bias), y) in weights.chunks(inputs).zip(&bias).zip(y) {
                let products = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
                let expected = f64::from(*bias) + products.sum::<f64>();
                prop_assert!((f64::from(*y) - expected).abs() < 1e-4, "{y} is not {expected}");
            }
        }
    }

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others(seed: u64, rows in 2_usize..110, chosen: prop::sample::Index) {
        let (inputs, outputs) = (400, 32);
        let (layer, ..) = linear(seed, inputs, outputs, Activation::Gelu);
        let x = noise(seed ^ 7, rows * inputs);
        let mut y = vec![0.0; rows * outputs];
        vectorised(#[inline(always)] || layer.apply(&x, &mut y));
        let row = chosen.index(rows);
        let mut alone = vec![0.0; outputs];
        layer.apply(&x[row * inputs..][..inputs], &mut alone);
        prop_assert_eq!(bits(&y[row * outputs..][..outputs]), bits(&alone));
    }

    #[test]
    fn the_vector_tile_equals_the_portable_one(seed: u64, depth in 0_usize..500) {
        let left: Vec<[f32; ROWS]> = noise(seed, depth * ROWS).as_chunks().0.to_vec();
        let right: Vec<[f32; COLUMNS]> = noise(seed + 1, depth * COLUMNS).as_chunks().0.to_vec();
        let mut sums = [[0.25; COLUMNS]; ROWS];
        let mut portable = sums;
        multiply(&left, &right, &mut sums);
        multiply_portable(&left, &right, &mut portable);
        prop_assert_eq!(bits(sums.as_flattened()), bits(portable.as_flattened()));
    }

    #[test]
    fn vector_code_equals_portable_code_in_every_step(seed: u64, tokens in 1_usize..40) {
        let width = 2 * HEAD;
        let (qkv, residual) = (noise(seed, tokens * 3 * width), noise(seed + 1, tokens * width));
        let run = |context: &mut [f32], mean: &mut [f32]| {
            attend(&qkv, &[tokens], width, context);
            for (row, residual) in context.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
                add_and_normalise(row, residual, &residual[..width], &residual[..width], 1e-12);
                row.iter_mut().for_each(|value| *value = gelu(*value));
            }
            unit_mean(context, mean);
        };
        let mut plain = (vec![0.0; tokens * width], vec![0.0; width]);
        run(&mut plain.0, &mut plain.1);
        let mut vector = (vec![0.0; tokens * width], vec![0.0; width]);
        vectorised(#[inline(always)] || run(&mut vector.0, &mut vector.1));
        prop_assert_eq!(bits(&plain.0), bits(&vector.0));
        prop_assert_eq!(bits(&plain.1), bits(&vector.1));
    }

    #[test]
    fn attention_is_its_formula_and_stays_within_a_sequence(seed: u64, lengths in prop::collection::vec(1_usize..40, 1..4)) {
        let width = 2 * HEAD;
        let tokens: usize = lengths.iter().sum();
        let qkv = noise(seed, tokens * 3 * width);
        let mut context = vec![f32::NAN; tokens * width];
        attend(&qkv, &lengths, width, &mut context);
        let at = |token: usize, column: usize| f64::from(qkv[token * 3 * width + column]);
        let mut start = 0;
        for length in lengths {
            for (query, column) in (start..start + length).flat_map(|query| (0..width).map(move |column| (query, column))) {
                let head = column / HEAD * HEAD;
                let logit = |key| (head..head + HEAD).map(|c| at(query, c) * at(key, width + c)).sum::<f64>();
                let powers: Vec<f64> = (start..start + length).map(|key| logit(key).exp2()).collect();
                let values = (start..start + length).map(|key| at(key, 2 * width + column));
                let expected = powers.iter().zip(values).map(|(p, v)| p * v).sum::<f64>() / powers.iter().sum::<f64>();
                prop_assert!((f64::from(context[query * width + column]) - expected).abs() < 1e-5);
            }
            start += length;
        }
    }

    #[test]
    fn normalisation_has_mean_0_and_variance_1(seed: u64, width in 2_usize..100) {
        let mut x = noise(seed, width);
        let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
        add_and_normalise(&mut x, &noise(seed + 9, width), &ones, &zeros, 1e-12);
        let mean = x.iter().sum::<f32>() / width as f32;
        let variance = x.iter().map(|x| x * x).sum::<f32>() / width as f32;
        prop_assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{} {}", mean, variance);
    }
}

#[test]
fn a_mean_has_unit_length_or_is_zero() {
    let mut mean = [9.0; 2];
    unit_mean(&[3.0, 0.0, 0.0, 4.0], &mut mean);
    assert_eq!(mean, [0.6, 0.8]);
    unit_mean(&[0.0; 4], &mut mean);
    assert_eq!(mean, [0.0; 2]);
    unit_mean(&[], &mut mean);
    assert_eq!(mean, [0.0; 2]);
}
