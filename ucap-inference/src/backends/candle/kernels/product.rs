//! Matrix products: a register tile of 6 rows by 16 columns over weights that were packed once.

#[cfg(target_arch = "x86_64")]
use super::has_avx2;
use super::math::gelu;

/// Rows of a register tile.
pub(super) const ROWS: usize = 6;
/// Columns of a register tile: two AVX2 registers.
pub(super) const COLUMNS: usize = 16;
/// Inner steps done before the next panel: a panel of this depth (24 KiB) stays in the first-level cache.
const DEPTH: usize = 384;
/// Rows that go through all panels before the next rows: their packed form stays in the second-level cache.
const BLOCK: usize = 16 * ROWS;

/// A row of the packed left side: one value for each of the tile's rows.
pub(super) type Left = [f32; ROWS];
/// A row of a panel, or of the tile's sums.
pub(super) type Right = [f32; COLUMNS];
/// The sums of one tile.
pub(super) type Tile = [Right; ROWS];

/// What is done to a row of the product before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Activation {
    /// Nothing.
    Identity,
    /// [`gelu`].
    Gelu,
}

/// The weights and bias of a linear layer, `y = activation(x W + b)`, packed into panels of 16 columns.
#[derive(Debug)]
pub(in super::super) struct Linear {
    panels: Vec<Right>,
    bias: Vec<Right>,
    inputs: usize,
    activation: Activation,
}

impl Linear {
    /// Packs `weights`, which lie as PyTorch stores them: one row of `inputs` values for each output.
    /// The number of outputs is a multiple of 16 (`None` otherwise, or when the sizes disagree).
    pub(in super::super) fn pack(weights: &[f32], bias: &[f32], inputs: usize, activation: Activation) -> Option<Self> {
        let outputs = bias.len();
        if inputs == 0 || outputs == 0 || !outputs.is_multiple_of(COLUMNS) || weights.len() != inputs * outputs {
            return None;
        }
        let mut panels = vec![[0.0; COLUMNS]; inputs * outputs / COLUMNS];
        for (panel, rows) in panels.chunks_exact_mut(inputs).zip(weights.chunks_exact(inputs * COLUMNS)) {
            for (column, row) in rows.chunks_exact(inputs).enumerate() {
                for (step, weight) in panel.iter_mut().zip(row) {
                    step[column] = *weight;
                }
            }
        }
        let (bias, _) = bias.as_chunks::<COLUMNS>();
        Some(Self { panels, bias: bias.to_vec(), inputs, activation })
    }

    /// Length of a row that goes in.
    pub(in super::super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Length of a row that comes out.
    pub(in super::super) fn outputs(&self) -> usize {
        self.bias.len() * COLUMNS
    }

    /// Applies the layer to every row of `x`; `y` holds as many rows of [`Self::outputs`] values.
    #[inline(always)]
    pub(in super::super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        let outputs = self.outputs();
        let mut packed = vec![[0.0; ROWS]; (BLOCK / ROWS) * self.inputs];
        for (x, y) in x.chunks(BLOCK * self.inputs).zip(y.chunks_mut(BLOCK * outputs)) {
            let tiles = x.chunks(ROWS * self.inputs).zip(packed.chunks_exact_mut(self.inputs));
            for (rows, packed) in tiles {
                pack_rows(rows, self.inputs, packed);
            }
            self.apply_block(&packed, y);
        }
    }

    /// One block of rows: for each slice of the inner dimension, each panel meets all tiles while it is in cache.
    #[inline(always)]
    fn apply_block(&self, packed: &[Left], y: &mut [f32]) {
        let outputs = self.outputs();
        for start in (0..self.inputs).step_by(DEPTH) {
            let end = (start + DEPTH).min(self.inputs);
            for (index, (panel, bias)) in self.panels.chunks_exact(self.inputs).zip(&self.bias).enumerate() {
                let column = index * COLUMNS;
                for (left, y) in packed.chunks_exact(self.inputs).zip(y.chunks_mut(ROWS * outputs)) {
                    let mut sums = [*bias; ROWS];
                    if start > 0 {
                        load_tile(y, outputs, column, &mut sums);
                    }
                    multiply(&left[start..end], &panel[start..end], &mut sums);
                    if end == self.inputs && self.activation == Activation::Gelu {
                        for value in sums.as_flattened_mut() {
                            *value = gelu(*value);
                        }
                    }
                    store_tile(&sums, y, outputs, column);
                }
            }
        }
    }
}

/// Lays up to six rows side by side, so that one inner step of the tile reads six neighbours. Missing rows keep what
/// was there: their sums are never stored.
#[inline(always)]
pub(super) fn pack_rows(rows: &[f32], width: usize, packed: &mut [Left]) {
    for (index, row) in rows.chunks_exact(width).take(ROWS).enumerate() {
        for (step, value) in packed.iter_mut().zip(row) {
            step[index] = *value;
        }
    }
}

/// Adds the product of a packed left side and a panel to `sums`, one inner step after the other.
#[inline(always)]
pub(super) fn multiply(left: &[Left], panel: &[Right], sums: &mut Tile) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        #[expect(unsafe_code, reason = "the features that the callee is compiled for were detected just above")]
        return unsafe { multiply_avx2(left, panel, sums) };
    }
    multiply_portable(left, panel, sums);
}

/// The same for every processor, and the yardstick of [`multiply_avx2`].
#[inline(always)]
pub(super) fn multiply_portable(left: &[Left], panel: &[Right], sums: &mut Tile) {
    let mut local = *sums; // a local copy is what a compiler may keep in registers
    for (left, right) in left.iter().zip(panel) {
        for (sums, factor) in local.iter_mut().zip(left) {
            for (sum, value) in sums.iter_mut().zip(right) {
                *sum = factor.mul_add(*value, *sum);
            }
        }
    }
    *sums = local;
}

/// By hand, because the compiler keeps the tile in registers at one optimisation level and not at another (twenty
/// times slower): 12 of the 16 registers hold the sums, two the panel's row, one the broadcast factor.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_avx2(left: &[Left], panel: &[Right], sums: &mut Tile) {
    use std::arch::x86_64::{__m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps};

    #[expect(unsafe_code, reason = "reads 16 floats, which is what the reference is to; unaligned loads are allowed")]
    let load = |row: &Right| unsafe { (_mm256_loadu_ps(row[..8].as_ptr()), _mm256_loadu_ps(row[8..].as_ptr())) };
    let step = |factor: f32, right: (__m256, __m256), sums: (__m256, __m256)| {
        let factor = _mm256_set1_ps(factor);
        (_mm256_fmadd_ps(factor, right.0, sums.0), _mm256_fmadd_ps(factor, right.1, sums.1))
    };
    let [a, b, c, d, e, f] = &*sums;
    let (mut a, mut b, mut c) = (load(a), load(b), load(c));
    let (mut d, mut e, mut f) = (load(d), load(e), load(f));
    for (left, right) in left.iter().zip(panel) {
        let right = load(right);
        a = step(left[0], right, a);
        b = step(left[1], right, b);
        c = step(left[2], right, c);
        d = step(left[3], right, d);
        e = step(left[4], right, e);
        f = step(left[5], right, f);
    }
    for (row, (low, high)) in sums.iter_mut().zip([a, b, c, d, e, f]) {
        #[expect(unsafe_code, reason = "writes 16 floats, which is what the reference is to")]
        unsafe {
            _mm256_storeu_ps(row[..8].as_mut_ptr(), low);
            _mm256_storeu_ps(row[8..].as_mut_ptr(), high);
        }
    }
}

#[inline(always)]
fn load_tile(y: &[f32], width: usize, column: usize, sums: &mut Tile) {
    for (sums, row) in sums.iter_mut().zip(y.chunks_exact(width)) {
        sums.copy_from_slice(&row[column..column + COLUMNS]);
    }
}

/// Stores as many rows of the tile as `y` has.
#[inline(always)]
pub(super) fn store_tile(sums: &Tile, y: &mut [f32], width: usize, column: usize) {
    for (sums, row) in sums.iter().zip(y.chunks_exact_mut(width)) {
        row[column..column + COLUMNS].copy_from_slice(sums);
    }
}
