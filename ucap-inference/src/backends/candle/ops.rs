//! The encoder's steps as candle operations: candle owns the tensors, the [kernels](super::kernels) do the arithmetic.

use candle_core::{CpuStorage, CustomOp1, InplaceOp2, Layout, Result, Shape, bail};

use super::kernels::attention::attend;
use super::kernels::math::{add_and_normalise, unit_mean};
use super::kernels::product::Linear;
use super::kernels::vectorised;

/// The values of a contiguous f32 tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
        bail!("a contiguous f32 tensor is needed");
    };
    match values.get(start..end) {
        Some(values) => Ok(values),
        None => bail!("the layout does not fit the storage"),
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if width != self.inputs() {
            bail!("a row has {width} values, the layer takes {}", self.inputs());
        }
        let x = values(x, layout)?;
        let mut y = vec![0.0; rows * self.outputs()];
        vectorised(
            #[inline(always)]
            || self.apply(x, &mut y),
        );
        Ok((CpuStorage::F32(y), (rows, self.outputs()).into()))
    }
}

/// Adds a second tensor of the same shape and normalises each row.
#[derive(Debug)]
pub(super) struct AddAndNormalise {
    /// Factor of each column.
    pub(super) gain: Vec<f32>,
    /// Added to each column.
    pub(super) bias: Vec<f32>,
    /// Added to the variance.
    pub(super) epsilon: f32,
}

impl InplaceOp2 for AddAndNormalise {
    fn name(&self) -> &'static str {
        "add-and-normalise"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout, residual: &CpuStorage, other: &Layout) -> Result<()> {
        if layout.shape() != other.shape() || layout.shape().dims2()?.1 != self.gain.len() {
            bail!("the shapes {:?} and {:?} do not fit", layout.shape(), other.shape());
        }
        let residual = values(residual, other)?;
        let (CpuStorage::F32(x), Some((start, end))) = (x, layout.contiguous_offsets()) else {
            bail!("a contiguous f32 tensor is needed");
        };
        let width = self.gain.len();
        let x = &mut x[start..end];
        vectorised(
            #[inline(always)]
            || {
                for (x, residual) in x.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
                    add_and_normalise(x, residual, &self.gain, &self.bias, self.epsilon);
                }
            },
        );
        Ok(())
    }
}

/// Self-attention of every sequence, given queries, keys and values of all tokens side by side.
#[derive(Debug)]
pub(super) struct Attention<'a> {
    /// Tokens of each sequence, in order.
    pub(super) lengths: &'a [usize],
}

impl CustomOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        if tokens != self.lengths.iter().sum::<usize>() {
            bail!("the sequences do not add up to {tokens} tokens");
        }
        let (qkv, width) = (values(qkv, layout)?, width / 3);
        let mut context = vec![0.0; tokens * width];
        vectorised(
            #[inline(always)]
            || attend(qkv, self.lengths, width, &mut context),
        );
        Ok((CpuStorage::F32(context), (tokens, width).into()))
    }
}

/// The mean of each sequence's rows, scaled to unit length.
#[derive(Debug)]
pub(super) struct UnitMean<'a> {
    /// Tokens of each sequence, in order.
    pub(super) lengths: &'a [usize],
}

impl CustomOp1 for UnitMean<'_> {
    fn name(&self) -> &'static str {
        "unit-mean"
    }

    fn cpu_fwd(&self, rows: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        if tokens != self.lengths.iter().sum::<usize>() || width == 0 {
            bail!("the sequences do not add up to {tokens} tokens");
        }
        let mut rest = values(rows, layout)?;
        let mut means = vec![0.0; self.lengths.len() * width];
        for (mean, length) in means.chunks_exact_mut(width).zip(self.lengths) {
            let (sequence, after) = rest.split_at(length * width);
            vectorised(
                #[inline(always)]
                || unit_mean(sequence, mean),
            );
            rest = after;
        }
        Ok((CpuStorage::F32(means), (self.lengths.len(), width).into()))
    }
}
