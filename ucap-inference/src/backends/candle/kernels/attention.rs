//! Self-attention over packed sequences: each attends to itself only, so that no padding is ever computed.

use super::math::softmax_numerators;
use super::product::{COLUMNS, Left, ROWS, Right, multiply, pack_rows, store_tile};

/// Length of one head's vectors; a multiple of the register tile's 16 columns.
pub(in super::super) const HEAD: usize = 32;

/// Buffers that one call of [`attend`] reuses for all its sequences and heads.
#[derive(Debug, Default)]
struct Scratch {
    queries: Vec<f32>,
    keys: Vec<Right>,
    values: Vec<Right>,
    logits: Vec<f32>,
    left: Vec<Left>,
    out: Vec<f32>,
}

/// Softmax(Q K^T) V for every head of every sequence.
///
/// `qkv` has one row for each token: the queries of all heads (already scaled by `log2(e) / sqrt(32)`: the softmax is
/// taken in base 2), then the keys, then the values. `lengths` are the sequences, in order; `context` gets one row of
/// `width` values for each token.
#[inline(always)]
pub(in super::super) fn attend(qkv: &[f32], lengths: &[usize], width: usize, context: &mut [f32]) {
    let mut scratch = Scratch::default();
    let mut start = 0;
    for &length in lengths {
        let end = start + length;
        let sequence = &qkv[start * 3 * width..end * 3 * width];
        let context = &mut context[start * width..end * width];
        for offset in (0..width).step_by(HEAD) {
            scratch.gather(sequence, length, width, offset);
            scratch.attend_head(length, width, offset, context);
        }
        start = end;
    }
}

impl Scratch {
    /// Copies one head's queries, keys (as panels of 16 tokens) and values (as two panels) out of the sequence.
    #[inline(always)]
    fn gather(&mut self, sequence: &[f32], length: usize, width: usize, offset: usize) {
        let blocks = length.div_ceil(COLUMNS);
        self.queries.clear();
        self.keys.clear();
        self.keys.resize(blocks * HEAD, [0.0; COLUMNS]); // tokens beyond the end have zero keys and are cut off again
        self.values.clear();
        self.values.resize(length * HEAD / COLUMNS, [0.0; COLUMNS]);
        for (token, row) in sequence.chunks_exact(3 * width).enumerate() {
            self.queries.extend_from_slice(&row[offset..offset + HEAD]);
            let key = &row[width + offset..width + offset + HEAD];
            let panel = &mut self.keys[token / COLUMNS * HEAD..][..HEAD];
            for (step, value) in panel.iter_mut().zip(key) {
                step[token % COLUMNS] = *value;
            }
            let value = &row[2 * width + offset..2 * width + offset + HEAD];
            for (half, part) in value.as_chunks::<COLUMNS>().0.iter().enumerate() {
                self.values[half * length + token] = *part;
            }
        }
    }

    /// Six query rows at a time: logits against all keys, softmax, weighted sum of the values.
    #[inline(always)]
    fn attend_head(&mut self, length: usize, width: usize, offset: usize, context: &mut [f32]) {
        let padded = length.div_ceil(COLUMNS) * COLUMNS;
        self.logits.clear();
        self.logits.resize(ROWS * padded, 0.0);
        self.left.clear();
        self.left.resize(HEAD.max(length), [0.0; ROWS]);
        self.out.clear();
        self.out.resize(ROWS * HEAD, 0.0);
        for (queries, context) in self.queries.chunks(ROWS * HEAD).zip(context.chunks_mut(ROWS * width)) {
            pack_rows(queries, HEAD, &mut self.left);
            for (block, panel) in self.keys.chunks_exact(HEAD).enumerate() {
                let mut sums = [[0.0; COLUMNS]; ROWS];
                multiply(&self.left[..HEAD], panel, &mut sums);
                store_tile(&sums, &mut self.logits, padded, block * COLUMNS);
            }
            let mut divisors = [1.0; ROWS];
            for ((index, row), divisor) in self.logits.chunks_exact_mut(padded).enumerate().zip(&mut divisors) {
                *divisor = softmax_numerators(&mut row[..length]);
                for (step, value) in self.left.iter_mut().zip(&row[..length]) {
                    step[index] = *value;
                }
            }
            for (half, panel) in self.values.chunks_exact(length).enumerate() {
                let mut sums = [[0.0; COLUMNS]; ROWS];
                multiply(&self.left[..length], panel, &mut sums);
                store_tile(&sums, &mut self.out, HEAD, half * COLUMNS);
            }
            let rows = context.chunks_exact_mut(width).zip(self.out.chunks_exact(HEAD)).zip(divisors);
            for ((context, out), divisor) in rows {
                for (context, value) in context[offset..offset + HEAD].iter_mut().zip(out) {
                    *context = value / divisor;
                }
            }
        }
    }
}
