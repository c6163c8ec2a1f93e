//! Elementwise functions and reductions over rows. Products and sums are rounded one by one, on every processor.

use super::Level;
use super::tile::ROUNDER;

/// Lanes of a reduction: fixed, so that the order of a sum does not depend on the instruction set.
pub(super) const LANES: usize = 16;

/// `2^x` for `x <= 0`, relative error below 3e-7; at least `2^-60`, which stands for 0 in a softmax.
///
/// Range reduction to [-1/2, 1/2] by the addition of [`ROUNDER`], and the polynomial of degree 5 whose largest relative
/// error there is smallest (7.5e-8, found by Remez exchange).
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let x = if x > -60.0 { x } else { -60.0 };
    let shifted = x + ROUNDER;
    let fraction = x - (shifted - ROUNDER);
    let mut power = 1.327_647_1e-3;
    for coefficient in [9.675_541e-3, 5.550_713e-2, 0.240_221_2, 0.693_146_94, 1.000_000_1] {
        power = fraction * power + coefficient;
    }
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The Gaussian error linear unit, `x Phi(x)` (Hendrycks and Gimpel, arXiv:1606.08415), error below 3e-6: a tenth of what
/// rounding to integers leaves of it.
///
/// `max(x, 0) - u Q(u)` with `u = |x|`, where the tail `Q = 1 - Phi` is the polynomial of degree 12 on [0, 5] for which the
/// largest error of the whole is smallest (1.3e-6, found by Remez exchange); beyond 5 the tail weighs less than that.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let size = if x.abs() < 5.0 { x.abs() } else { 5.0 };
    let place = size * 0.4 - 1.0;
    let mut tail = -9.871_044e-3;
    for coefficient in [
        1.263_867_9e-2,
        3.900_782_8e-2,
        -7.562_938e-2,
        -2.371_552_3e-2,
        0.161_386_36,
        -0.131_193_6,
        -6.489_978e-2,
        0.232_695_5,
        -0.239_700_4,
        0.136_889_5,
        -4.381_82e-2,
        6.210_111_5e-3,
    ] {
        tail = tail * place + coefficient;
    }
    let positive = if x > 0.0 { x } else { 0.0 };
    positive - size * tail
}

/// The sum of `f` over a row, in [`LANES`] interleaved partial sums.
#[inline(always)]
pub(super) fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += f(*value);
    }
    fold(lanes, |a, b| a + b)
}

/// Halves the lanes until one is left.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// A layer normalisation (Ba et al., arXiv:1607.06450) of a sum.
#[derive(Debug)]
pub(in super::super) struct Normalisation {
    /// Factor of each column.
    pub(in super::super) gain: Vec<f32>,
    /// Added to each column.
    pub(in super::super) bias: Vec<f32>,
    /// Added to the variance.
    pub(in super::super) epsilon: f32,
}

impl Normalisation {
    /// `x = LayerNorm(x + residual)`, row by row.
    pub(in super::super) fn add_and_normalise(&self, level: Level, x: &mut [f32], residual: &[f32]) {
        let width = self.gain.len();
        level.run(
            #[inline(always)]
            || {
                for (x, residual) in x.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
                    self.row(x, residual);
                }
            },
        );
    }

    #[inline(always)]
    fn row(&self, x: &mut [f32], residual: &[f32]) {
        for (x, residual) in x.iter_mut().zip(residual) {
            *x += residual;
        }
        let width = x.len() as f32;
        let mean = sum(x, |value| value) / width;
        let variance = sum(x, |value| (value - mean) * (value - mean)) / width;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((x, gain), bias) in x.iter_mut().zip(&self.gain).zip(&self.bias) {
            *x = (*x - mean) * scale * gain + bias;
        }
    }
}

/// Replaces logits in base 2 by `2^(x - max)`; returns their sum and the sum of their squares. What is still to be done for
/// a softmax is to divide by the sum.
#[inline(always)]
pub(super) fn softmax_numerators(logits: &mut [[f32; LANES]]) -> (f32, f32) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in logits.iter() {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let largest = fold(lanes, |a, b| if a > b { a } else { b });
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for chunk in logits {
        for ((value, sum), square) in chunk.iter_mut().zip(&mut sums).zip(&mut squares) {
            *value = exp2(*value - largest);
            *sum += *value;
            *square += *value * *value;
        }
    }
    (fold(sums, |a, b| a + b), fold(squares, |a, b| a + b))
}

/// The mean of `rows` of this width, scaled to unit length. No rows, or a mean of length 0, give zeros.
pub(in super::super) fn unit_mean(level: Level, rows: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    level.run(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(width) {
                for (mean, value) in mean.iter_mut().zip(row) {
                    *mean += value;
                }
            }
            // The number of rows cancels out when the length becomes 1.
            let length = sum(&mean, |value| value * value).sqrt();
            if length > 0.0 {
                for value in &mut mean {
                    *value /= length;
                }
            }
        },
    );
    mean
}
