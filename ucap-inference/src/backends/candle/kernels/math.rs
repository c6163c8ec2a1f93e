//! Elementwise functions and reductions over rows.

/// Lanes of a reduction: fixed, so that the order of a sum does not depend on the instruction set.
const LANES: usize = 16;

/// `2^x`, relative error below 3e-7; at most `2^126`, at least `2^-126` (which stands for 0 in a softmax).
///
/// Range reduction to [-1/2, 1/2] by the addition of 1.5 * 2^23, whose low bits are then the rounded integer, and the
/// Taylor polynomial of degree 6.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    const ROUNDER: f32 = 12_582_912.0;
    let x = if x > -126.0 { x } else { -126.0 };
    let x = if x < 126.0 { x } else { 126.0 };
    let shifted = x + ROUNDER;
    let fraction = x - (shifted - ROUNDER);
    let mut power = 1.540_353e-4;
    for coefficient in [1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2, 1.0] {
        power = fraction.mul_add(power, coefficient);
    }
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The Gaussian error linear unit, `x Phi(x)` (Hendrycks and Gimpel, arXiv:1606.08415), in its exact form: by the error
/// function, here formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7).
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / size.mul_add(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let mut tail = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6, 0.0] {
        tail = t.mul_add(tail, coefficient);
    }
    let half_erfc = 0.5 * tail * exp2(size * size * (-0.5 * std::f32::consts::LOG2_E));
    let positive = if x > 0.0 { x } else { 0.0 };
    positive - size * half_erfc
}

/// The sum of `f` over a row, in [`LANES`] interleaved partial sums.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
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

/// `x = LayerNorm(x + residual)` (Ba et al., arXiv:1607.06450) for one row.
#[inline(always)]
pub(in super::super) fn add_and_normalise(x: &mut [f32], residual: &[f32], gain: &[f32], bias: &[f32], epsilon: f32) {
    for (x, residual) in x.iter_mut().zip(residual) {
        *x += residual;
    }
    let width = x.len() as f32;
    let mean = sum(x, |value| value) / width;
    let variance = sum(x, |value| (value - mean) * (value - mean)) / width;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((x, gain), bias) in x.iter_mut().zip(gain).zip(bias) {
        *x = ((*x - mean) * scale).mul_add(*gain, *bias);
    }
}

/// Replaces logits in base 2 by `2^(x - max)` and returns the sum: a softmax that still has to be divided by it.
#[inline(always)]
pub(super) fn softmax_numerators(row: &mut [f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = if *value > *lane { *value } else { *lane };
    }
    let largest = fold(lanes, |a, b| if a > b { a } else { b });
    for value in row.iter_mut() {
        *value = exp2(*value - largest);
    }
    sum(row, |value| value)
}

/// The mean of `rows`, scaled to unit length, into `mean`. No rows, or a mean of length 0, leave zeros.
#[inline(always)]
pub(in super::super) fn unit_mean(rows: &[f32], mean: &mut [f32]) {
    mean.fill(0.0);
    for row in rows.chunks_exact(mean.len()) {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += value;
        }
    }
    // The number of rows cancels out when the length becomes 1.
    let length = sum(mean, |value| value * value).sqrt();
    if length > 0.0 {
        for value in mean.iter_mut() {
            *value /= length;
        }
    }
}
