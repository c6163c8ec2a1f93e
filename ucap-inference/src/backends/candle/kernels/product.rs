//! Linear layers: weights that were made integers and packed once, rows that are made integers before each product.

use super::Level;
use super::math::gelu;
use super::tile::{COLUMNS, LONGEST, Pair, ROWS, Step, Tile, multiply, quantise};

/// Steps done before the next tile: a panel of this depth (24 KiB) stays in the first-level cache.
const DEPTH: usize = 192;
/// Tiles that go through all panels before the next ones: their rows stay in the second-level cache.
const TILES: usize = 16;

/// What is done to a value of the product before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Activation {
    /// Nothing.
    Identity,
    /// [`gelu`].
    Gelu,
}

/// Rows of integers, each with its unit. Kept and filled again, so that no pass asks for memory.
#[derive(Debug, Default)]
pub(in super::super) struct Rows {
    /// As many rows as the tiles have that hold them; those behind the last are whatever was there.
    pairs: Vec<Pair>,
    units: Vec<f32>,
    count: usize,
    width: usize,
}

impl Rows {
    /// Takes the rows of `x`, `width` values each: an even number.
    pub(in super::super) fn fill(&mut self, level: Level, x: &[f32], width: usize) {
        (self.count, self.width) = (x.len() / width, width);
        self.units.clear();
        self.units.resize(self.count.next_multiple_of(ROWS), 0.0);
        self.pairs.resize(self.units.len() * width / 2, [0; 2]);
        level.run(
            #[inline(always)]
            || {
                let rows = self.pairs.chunks_exact_mut(width / 2).zip(&mut self.units);
                for ((pairs, unit), row) in rows.zip(x.chunks_exact(width)) {
                    *unit = quantise(row, pairs.as_flattened_mut());
                }
            },
        );
    }

    /// The six rows of tile `index`, and their units.
    #[inline(always)]
    fn tile(&self, index: usize) -> ([&[Pair]; ROWS], &[f32]) {
        let steps = self.width / 2;
        let rows = &self.pairs[index * ROWS * steps..][..ROWS * steps];
        (std::array::from_fn(|row| &rows[row * steps..][..steps]), &self.units[index * ROWS..][..ROWS])
    }
}

/// The weights and bias of a linear layer, `y = activation(x W + b)`, packed into panels of 32 outputs.
#[derive(Debug)]
pub(in super::super) struct Linear {
    panels: Vec<Step>,
    /// The unit of each output's weights.
    units: Vec<[f32; COLUMNS]>,
    bias: Vec<[f32; COLUMNS]>,
    inputs: usize,
    activation: Activation,
}

impl Linear {
    /// Packs `weights`, which lie as PyTorch stores them: one row of `inputs` values for each output.
    ///
    /// The number of outputs is a multiple of 32, that of inputs is even and at most [`LONGEST`] (`None` otherwise, or
    /// when the sizes disagree).
    pub(in super::super) fn pack(weights: &[f32], bias: &[f32], inputs: usize, activation: Activation) -> Option<Self> {
        let outputs = bias.len();
        let fits = inputs.is_multiple_of(2) && (2..=LONGEST).contains(&inputs) && outputs.is_multiple_of(COLUMNS);
        if !fits || outputs == 0 || weights.len() != inputs * outputs {
            return None;
        }
        let steps = inputs / 2;
        let mut panels = vec![[[0; 2]; COLUMNS]; steps * outputs / COLUMNS];
        let mut units = vec![[0.0; COLUMNS]; outputs / COLUMNS];
        let mut integers = vec![[0; 2]; steps];
        let rows = weights.chunks_exact(inputs * COLUMNS);
        for ((panel, units), rows) in panels.chunks_exact_mut(steps).zip(&mut units).zip(rows) {
            for ((column, row), unit) in rows.chunks_exact(inputs).enumerate().zip(units) {
                *unit = quantise(row, integers.as_flattened_mut());
                for (step, pair) in panel.iter_mut().zip(&integers) {
                    step[column] = *pair;
                }
            }
        }
        let (bias, _) = bias.as_chunks::<COLUMNS>();
        Some(Self { panels, units, bias: bias.to_vec(), inputs, activation })
    }

    /// Length of a row that comes out.
    pub(in super::super) fn outputs(&self) -> usize {
        self.bias.len() * COLUMNS
    }

    /// Applies the layer to every row of `x`; `y` becomes as many rows of [`Self::outputs`] values.
    ///
    /// # Panics
    /// When a row of `x` is not as long as the layer has inputs.
    pub(in super::super) fn apply(&self, level: Level, x: &Rows, y: &mut Vec<f32>) {
        assert_eq!(x.width, self.inputs, "a row does not fit the layer");
        y.resize(x.count * self.outputs(), 0.0); // what was there is overwritten
        level.run(
            #[inline(always)]
            || {
                for (block, y) in y.chunks_mut(TILES * ROWS * self.outputs()).enumerate() {
                    self.apply_block(level, x, block * TILES, y);
                }
            },
        );
    }

    /// One block of rows: each part of each panel meets all tiles while it is in cache.
    #[inline(always)]
    fn apply_block(&self, level: Level, x: &Rows, first: usize, y: &mut [f32]) {
        let steps = self.inputs / 2;
        let mut unfinished = [[[0; COLUMNS]; ROWS]; TILES];
        for (index, panel) in self.panels.chunks_exact(steps).enumerate() {
            for start in (0..steps).step_by(DEPTH) {
                let end = (start + DEPTH).min(steps);
                let tiles = y.chunks_mut(ROWS * self.outputs()).zip(&mut unfinished).enumerate();
                for (tile, (y, unfinished)) in tiles {
                    let (rows, units) = x.tile(first + tile);
                    let mut sums = if start == 0 { [[0; COLUMNS]; ROWS] } else { *unfinished };
                    multiply(level, rows.map(|row| &row[start..end]), &panel[start..end], &mut sums);
                    if end == steps {
                        self.finish(&sums, units, index, y);
                    } else {
                        *unfinished = sums;
                    }
                }
            }
        }
    }

    /// From integers to values, for as many rows as `y` has.
    #[inline(always)]
    fn finish(&self, sums: &Tile, row_units: &[f32], index: usize, y: &mut [f32]) {
        match self.activation {
            Activation::Identity => self.store(sums, row_units, index, y, |value| value),
            Activation::Gelu => self.store(sums, row_units, index, y, gelu),
        }
    }

    #[inline(always)]
    fn store(&self, sums: &Tile, row_units: &[f32], index: usize, y: &mut [f32], activation: impl Fn(f32) -> f32) {
        let (units, bias) = (&self.units[index], &self.bias[index]);
        for ((sums, row_unit), y) in sums.iter().zip(row_units).zip(y.chunks_exact_mut(self.outputs())) {
            let mut values = [0.0; COLUMNS];
            for (column, value) in values.iter_mut().enumerate() {
                *value = activation(sums[column] as f32 * (units[column] * row_unit) + bias[column]);
            }
            y[index * COLUMNS..][..COLUMNS].copy_from_slice(&values);
        }
    }
}
