//! The dot product in plain Rust: the definition of a vector score, which faster forms repeat bit for bit.
//!
//! It is formed in one order on every machine: [`LANES`] partial sums (four registers of eight lanes), multiplied and
//! added with two roundings, never fused, then added up as a fixed tree. Zeros behind the end change nothing.

/// Partial sums.
pub(crate) const LANES: usize = 32;

/// The dot product of two vectors of equal length.
pub(crate) fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let lane = |lane: usize| (sums[lane] + sums[lane + 8]) + (sums[lane + 16] + sums[lane + 24]);
    let half = |index: usize| lane(index) + lane(index + 4);
    (half(0) + half(2)) + (half(1) + half(3))
}
