//! Codes of one byte a component, and a bound on what they leave out.
//!
//! A row `v` is `scale * codes + r`, a query `q` is `step * steps + e`. Then
//!
//! ```text
//! q . v  =  scale * step * (steps . codes)  +  scale * (e . codes)  +  q . r
//! ```
//!
//! where the first product is exact in integers and the others are bounded by Cauchy-Schwarz: `|e| * norm + |q| * |r|`.
//! The bound also covers the rounding of the exact score itself (Higham, "Accuracy and Stability of Numerical
//! Algorithms", 2002, section 3.1), since that is the number the caller gets.

use super::kernels::LANES;
use crate::record::MAX_COMPONENT;

/// The largest magnitude that a component may have; keeps every product and sum finite.
pub(super) const LARGEST_COMPONENT: f32 = MAX_COMPONENT;

/// Rows whose largest component is below this are all residual: a scale would lose its precision.
const SMALLEST_SCALED: f32 = 1e-30;

const LARGEST_CODE: f32 = 127.0;

/// A relative margin for the rounding of the bounds' own arithmetic, which is in double precision.
const MARGIN: f64 = 1e-9;

/// What is kept of a row beside its codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowBounds {
    /// What one code step is worth.
    pub(super) scale: f32,
    /// At least the norm of what the codes leave out.
    pub(super) residual: f32,
    /// At least the norm of the row, and of `scale * codes`.
    pub(super) norm: f32,
}

/// Quantises `row` and appends its codes.
pub(super) fn quantize_row(row: &[f32], codes: &mut Vec<i8>) -> RowBounds {
    let largest = largest(row);
    let scale = if largest < SMALLEST_SCALED { 0.0 } else { largest / LARGEST_CODE };
    let (mut residual, mut norm, mut coded_norm) = (0f64, 0f64, 0f64);
    for &component in row {
        let code = if scale == 0.0 { 0.0 } else { (component / scale).round().clamp(-LARGEST_CODE, LARGEST_CODE) };
        codes.push(code as i8);
        let coded = f64::from(scale) * f64::from(code);
        residual += (f64::from(component) - coded).powi(2);
        norm += f64::from(component).powi(2);
        coded_norm += coded.powi(2);
    }
    RowBounds { scale, residual: rounded_up(residual.sqrt()), norm: rounded_up(norm.max(coded_norm).sqrt()) }
}

/// A query, quantised, with what the bounds need.
#[derive(Debug)]
pub(super) struct QuantizedQuery {
    pub(super) steps: Vec<i16>,
    step: f64,
    /// The bound's share of a row's residual norm.
    by_residual: f64,
    /// The bound's share of a row's norm.
    by_norm: f64,
    /// The bound's share that every row has: products may underflow.
    constant: f64,
}

impl QuantizedQuery {
    /// Quantises a padded query.
    pub(super) fn new(query: &[f32]) -> Self {
        // The exact integer product must fit: |codes| <= 127, so that many steps of either sign are left.
        let most = (i32::MAX / (LARGEST_CODE as i32 * query.len().max(1) as i32)).min(i32::from(i16::MAX));
        let largest = largest(query);
        let step = if largest < SMALLEST_SCALED { 0.0 } else { f64::from(largest) / f64::from(most) };
        let mut steps = Vec::with_capacity(query.len());
        let (mut left_out, mut norm) = (0f64, 0f64);
        for &component in query {
            let component = f64::from(component);
            let most = f64::from(most);
            let steps_of = if step == 0.0 { 0.0 } else { (component / step).round().clamp(-most, most) };
            steps.push(steps_of as i16);
            left_out += (component - step * steps_of).powi(2);
            norm += component.powi(2);
        }
        let (left_out, norm) = (left_out.sqrt() * (1.0 + MARGIN), norm.sqrt() * (1.0 + MARGIN));
        // One product, one sum a chunk of lanes, five sums of the tree.
        let roundings = (query.len() / LANES + 6) as f64;
        let unit = f64::from(f32::EPSILON) / 2.0;
        let rounding = roundings * unit / (1.0 - roundings * unit);
        Self {
            steps,
            step,
            by_residual: norm,
            by_norm: left_out + norm * (rounding + MARGIN),
            constant: query.len() as f64 * 2.0 * f64::from(f32::from_bits(1)),
        }
    }

    /// The score that the codes give, and how far the exact score may be from it at most.
    #[inline]
    pub(super) fn estimate(&self, row: RowBounds, product: i32) -> (f64, f64) {
        let estimate = f64::from(row.scale) * self.step * f64::from(product);
        let error = self.by_residual * f64::from(row.residual) + self.by_norm * f64::from(row.norm) + self.constant;
        (estimate, error * (1.0 + MARGIN))
    }
}

fn largest(components: &[f32]) -> f32 {
    components.iter().fold(0f32, |largest, component| largest.max(component.abs()))
}

/// A single-precision number that is at least `value`, with room for the rounding of the sums behind it.
fn rounded_up(value: f64) -> f32 {
    ((value * (1.0 + MARGIN)) as f32).next_up()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernels::Level;
    use super::*;

    fn component() -> impl Strategy<Value = f32> {
        prop_oneof![
            6 => -1f32..1.0,
            1 => -LARGEST_COMPONENT..LARGEST_COMPONENT,
            1 => prop::sample::select(vec![0.0, 1e-45, 3e-31, -1e-38, 1e-20, LARGEST_COMPONENT]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn the_exact_score_lies_within_the_bound(
            query in prop::collection::vec(component(), LANES * 2),
            row in prop::collection::vec(component(), LANES * 2),
            small in prop::bool::ANY,
        ) {
            let row: Vec<f32> = row.into_iter().map(|component| if small { component * 1e-36 } else { component }).collect();
            let mut codes = Vec::new();
            let bounds = quantize_row(&row, &mut codes);
            let quantized = QuantizedQuery::new(&query);
            let (estimate, error) = quantized.estimate(bounds, Level::Scalar.dot_codes(&codes, &quantized.steps));
            let exact = f64::from(Level::Scalar.dot(&query, &row));
            prop_assert!((exact - estimate).abs() <= error, "{exact} {estimate} {error}");
        }
    }

    #[test]
    fn the_bound_of_a_unit_row_is_tight() {
        let query: Vec<f32> = (0..384).map(|n| ((n * 37 % 101) as f32 - 50.0) / 570.0).collect();
        let mut codes = Vec::new();
        let bounds = quantize_row(&query, &mut codes);
        let quantized = QuantizedQuery::new(&query);
        let (_, error) = quantized.estimate(bounds, Level::Scalar.dot_codes(&codes, &quantized.steps));
        assert!(error < 0.01, "{error}");
    }
}
