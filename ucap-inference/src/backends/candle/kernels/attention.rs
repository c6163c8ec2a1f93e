//! Self-attention over packed sequences: each attends to itself only, so that no padding is ever computed.

use super::Level;
use super::math::{LANES, softmax_numerators};
use super::tile::{COLUMNS, Pair, ROWS, Step, multiply, quantise, round, scales};

/// Length of one head's vectors: the columns of a register tile.
pub(in super::super) const HEAD: usize = COLUMNS;
/// Steps of one head's vectors.
const STEPS: usize = HEAD / 2;

/// Buffers for one head of one sequence. Kept and filled again, so that no pass asks for memory.
#[derive(Debug, Default)]
pub(in super::super) struct Attention {
    /// A row for each token, and some behind them up to a whole tile.
    queries: Vec<Pair>,
    query_units: Vec<f32>,
    /// Panels of 32 tokens; tokens behind the end are zeros.
    keys: Vec<Step>,
    key_units: Vec<f32>,
    /// One panel, whose columns are the head's, and whose steps are tokens.
    values: Vec<Step>,
    /// Six rows: logits, then numerators.
    weights: Vec<f32>,
    /// The same as integers.
    integers: Vec<Pair>,
}

impl Attention {
    /// Softmax(Q K^T) V for every head of every sequence.
    ///
    /// `qkv` has one row for each token: the queries of all heads (already scaled by `log2(e) / sqrt(32)`: the softmax is
    /// taken in base 2), then the keys, then the values. `lengths` are the sequences, in order; `context` becomes one row
    /// of `width` values for each token.
    pub(in super::super) fn attend(
        &mut self,
        level: Level,
        qkv: &[f32],
        lengths: &[usize],
        width: usize,
        context: &mut Vec<f32>,
    ) {
        context.resize(qkv.len() / 3, 0.0); // what was there is overwritten
        level.run(
            #[inline(always)]
            || {
                let mut start = 0;
                for &length in lengths {
                    let end = start + length;
                    let sequence = &qkv[start * 3 * width..end * 3 * width];
                    let context = &mut context[start * width..end * width];
                    for offset in (0..width).step_by(HEAD) {
                        self.gather(sequence, length, width, offset);
                        let value_units = self.gather_values(sequence, length, width, offset);
                        self.attend_head(level, length, width, offset, &value_units, context);
                    }
                    start = end;
                }
            },
        );
    }

    /// Makes integers of one head's queries and keys, each vector with its own unit.
    #[inline(always)]
    fn gather(&mut self, sequence: &[f32], length: usize, width: usize, offset: usize) {
        self.query_units.clear();
        self.query_units.resize(length.next_multiple_of(ROWS), 0.0);
        self.queries.resize(self.query_units.len() * STEPS, [0; 2]);
        self.key_units.clear();
        self.key_units.resize(length.next_multiple_of(COLUMNS), 0.0);
        self.keys.clear();
        self.keys.resize(self.key_units.len() / COLUMNS * STEPS, [[0; 2]; COLUMNS]);
        for (token, row) in sequence.chunks_exact(3 * width).enumerate() {
            let query = &mut self.queries[token * STEPS..][..STEPS];
            self.query_units[token] = quantise(&row[offset..][..HEAD], query.as_flattened_mut());
            let mut key = [[0; 2]; STEPS];
            self.key_units[token] = quantise(&row[width + offset..][..HEAD], key.as_flattened_mut());
            let panel = &mut self.keys[token / COLUMNS * STEPS..][..STEPS];
            for (step, pair) in panel.iter_mut().zip(key) {
                step[token % COLUMNS] = pair;
            }
        }
    }

    /// Makes integers of one head's values: each column over all tokens is a vector with a unit, which are returned.
    #[inline(always)]
    fn gather_values(&mut self, sequence: &[f32], length: usize, width: usize, offset: usize) -> [f32; HEAD] {
        let value = |token: usize| &sequence[token * 3 * width + 2 * width + offset..][..HEAD];
        let mut squares = [0.0; HEAD];
        for token in 0..length {
            for (square, value) in squares.iter_mut().zip(value(token)) {
                *square += value * value;
            }
        }
        let (mut factors, mut units) = ([0.0; HEAD], [0.0; HEAD]);
        for ((factor, unit), square) in factors.iter_mut().zip(&mut units).zip(squares) {
            (*factor, *unit) = scales(square.sqrt());
        }
        self.values.clear();
        self.values.resize(length.div_ceil(2), [[0; 2]; COLUMNS]);
        for (index, step) in self.values.iter_mut().enumerate() {
            let first = value(2 * index);
            let second = if 2 * index + 1 < length { value(2 * index + 1) } else { &[0.0; HEAD] };
            for (((pair, factor), first), second) in step.iter_mut().zip(&factors).zip(first).zip(second) {
                *pair = [round(first * factor), round(second * factor)];
            }
        }
        units
    }

    /// Six queries at a time: logits against all keys, softmax, weighted sum of the values.
    #[inline(always)]
    fn attend_head(
        &mut self,
        level: Level,
        length: usize,
        width: usize,
        offset: usize,
        value_units: &[f32; HEAD],
        context: &mut [f32],
    ) {
        let (padded, steps) = (self.key_units.len(), self.values.len());
        self.weights.resize(ROWS * padded, 0.0);
        self.integers.resize(ROWS * steps, [0; 2]);
        let queries = self.queries.chunks_exact(ROWS * STEPS).zip(self.query_units.chunks_exact(ROWS));
        for ((queries, query_units), context) in queries.zip(context.chunks_mut(ROWS * width)) {
            let queries: [&[Pair]; ROWS] = std::array::from_fn(|row| &queries[row * STEPS..][..STEPS]);
            let keys = self.keys.chunks_exact(STEPS).zip(self.key_units.as_chunks::<COLUMNS>().0);
            for (block, (panel, key_units)) in keys.enumerate() {
                let mut sums = [[0; COLUMNS]; ROWS];
                multiply(level, queries, panel, &mut sums);
                for ((row, sums), query_unit) in self.weights.chunks_exact_mut(padded).zip(sums).zip(query_units) {
                    let logits = &mut row.as_chunks_mut::<COLUMNS>().0[block];
                    for (column, logit) in logits.iter_mut().enumerate() {
                        *logit = sums[column] as f32 * (query_unit * key_units[column]);
                    }
                }
            }
            let mut row_units = [0.0; ROWS];
            let rows = self.weights.chunks_exact_mut(padded).zip(self.integers.chunks_exact_mut(steps));
            for ((row, integers), row_unit) in rows.zip(&mut row_units) {
                row[length..].fill(f32::NEG_INFINITY);
                let (sum, squares) = softmax_numerators(row.as_chunks_mut::<LANES>().0);
                let (factor, unit) = scales(squares.sqrt());
                *row_unit = unit / sum;
                for (integer, value) in integers.as_flattened_mut().iter_mut().zip(&*row) {
                    *integer = round(value * factor);
                }
            }
            let rows: [&[Pair]; ROWS] = std::array::from_fn(|row| &self.integers[row * steps..][..steps]);
            let mut sums = [[0; COLUMNS]; ROWS];
            multiply(level, rows, &self.values, &mut sums);
            for ((context, sums), row_unit) in context.chunks_exact_mut(width).zip(sums).zip(row_units) {
                let mut values = [0.0; HEAD];
                for (column, value) in values.iter_mut().enumerate() {
                    *value = sums[column] as f32 * (row_unit * value_units[column]);
                }
                context[offset..][..HEAD].copy_from_slice(&values);
            }
        }
    }
}
