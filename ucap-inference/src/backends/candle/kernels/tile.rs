//! Products of 16-bit integers, exact: how values become integers, and the register tile that multiplies them.
//!
//! A vector of values is stored as integers and one unit: `x = q * unit`, with the unit chosen so that `q` has the
//! Euclidean length [`LENGTH`]. **No sum can overflow.** Rounding moves each of `n` integers by at most 1/2, so that
//! `|q| <= LENGTH (1 + e) + sqrt(n) / 2` with `e < 2^-9` for what `f32` loses when it sums up to [`LONGEST`] = 2^16 squares
//! in 16 lanes; that is below 32,768 = 2^15. Hence every integer fits into 16 bits, and by Cauchy and Schwarz every
//! product of two such vectors, and every part of one, stays below 2^30 in 32 bits. A scale by the largest value would
//! have to leave room for vectors whose values are all large, and lose two to three bits.
//!
//! Because integer sums are exact, they are the same in any order: with AVX-512, with AVX2 and without.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm_add_epi32, _mm_loadu_si128, _mm_madd_epi16, _mm_set1_epi32, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32, _mm256_storeu_si256, _mm512_dpwssd_epi32,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::math::sum;
use super::{Level, Set};

/// Rows of a register tile.
pub(in super::super) const ROWS: usize = 6;
/// Columns of a register tile.
pub(in super::super) const COLUMNS: usize = 32;

/// Two neighbours of a row: what one instruction multiplies and adds.
pub(in super::super) type Pair = [i16; 2];
/// Two inner steps of a panel: the pairs of all columns.
pub(in super::super) type Step = [Pair; COLUMNS];
/// The sums of one tile.
pub(in super::super) type Tile = [[i32; COLUMNS]; ROWS];

/// The Euclidean length of a vector of integers, before they are rounded.
const LENGTH: f32 = 32_000.0;
/// Values of a vector at most.
pub(super) const LONGEST: usize = 1 << 16;
/// A shorter vector counts as zero: its squares would lose the digits that the bound above needs.
const SHORTEST: f32 = 1e-12;
/// 1.5 * 2^23: the low bits of a sum with it are the rounded integer.
pub(super) const ROUNDER: f32 = 12_582_912.0;

/// The nearest integer, to even at a tie. `x` is below 2^15 in size.
#[inline(always)]
pub(super) fn round(x: f32) -> i16 {
    (x + ROUNDER).to_bits() as i16
}

/// What the values of a vector of this Euclidean length are multiplied with to become integers, and the unit of these.
#[inline(always)]
pub(super) fn scales(length: f32) -> (f32, f32) {
    if length > SHORTEST { (LENGTH / length, length / LENGTH) } else { (0.0, 0.0) }
}

/// Makes integers of a row and returns their unit. `integers` may be longer than the row: the rest stays.
#[inline(always)]
pub(super) fn quantise(row: &[f32], integers: &mut [i16]) -> f32 {
    let (factor, unit) = scales(sum(row, |value| value * value).sqrt());
    for (integer, value) in integers.iter_mut().zip(row) {
        *integer = round(value * factor);
    }
    unit
}

/// Adds the products of six rows and a panel to `sums`.
///
/// # Panics
/// When a row is shorter than the panel.
#[inline(always)]
pub(super) fn multiply(level: Level, rows: [&[Pair]; ROWS], panel: &[Step], sums: &mut Tile) {
    let rows = rows.map(|row| &row[..panel.len()]);
    match level.0 {
        Set::Portable => multiply_portable(rows, panel, sums),
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "every x86-64 processor has SSE2; the rows are as long as the panel")]
        Set::Sse2 => unsafe { multiply_sse2(rows, panel, sums) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "a level exists only where it was detected; the rows are as long as the panel")]
        Set::Avx2 => unsafe { multiply_avx2(rows, panel, sums) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "a level exists only where it was detected; the rows are as long as the panel")]
        Set::Avx512 => unsafe { multiply_avx512(rows, panel, sums) },
    }
}

/// The same for every processor, and the yardstick of the others. Row by row: more sums than registers would go through
/// memory in every step.
#[inline(never)]
fn multiply_portable(rows: [&[Pair]; ROWS], panel: &[Step], sums: &mut Tile) {
    for (row, sums) in rows.iter().zip(sums) {
        let mut local = *sums; // a local copy is what a compiler may keep in registers
        for (pair, step) in row.iter().zip(panel) {
            let [a, b] = pair.map(i32::from);
            for (sum, column) in local.iter_mut().zip(step) {
                let [c, d] = column.map(i32::from);
                // Nothing wraps (see above); said so that no check stands in the way of vector code.
                *sum = sum.wrapping_add(a.wrapping_mul(c).wrapping_add(b.wrapping_mul(d)));
            }
        }
        *sums = local;
    }
}

/// A tile in registers, by hand, because the compiler keeps it there at one optimisation level and not at another.
///
/// As many columns at a time as two registers have: 12 registers hold sums, two the panel, one a broadcast pair, one a
/// product where multiplying and adding are two instructions. AVX-512 has 32; 12 sums are what hides its latency.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    (
        $name:ident, $features:literal, $register:ident, $load:ident, $store:ident, $broadcast:ident,
        |$sum:ident, $left:ident, $right:ident| $add:expr
    ) => {
        /// # Safety
        /// The processor has the features, and every row is at least as long as the panel.
        #[target_feature(enable = $features)]
        #[expect(
            unsafe_code,
            reason = "unaligned loads and stores inside of the references; the caller saw to the rows"
        )]
        unsafe fn $name(rows: [&[Pair]; ROWS], panel: &[Step], sums: &mut Tile) {
            use std::arch::x86_64::$register;
            let width = size_of::<$register>() / size_of::<Pair>();
            let add = |row: &[Pair], index: usize, right: ($register, $register), sums: ($register, $register)| {
                let $left = $broadcast(unsafe { row.as_ptr().add(index).cast::<i32>().read_unaligned() });
                let add = |$sum: $register, $right: $register| $add;
                (add(sums.0, right.0), add(sums.1, right.1))
            };
            for part in (0..COLUMNS).step_by(2 * width) {
                let load = |from: *const $register| unsafe { ($load(from), $load(from.add(1))) };
                let [a, b, c, d, e, f] = &*sums;
                let (mut a, mut b) = (load(a[part..].as_ptr().cast()), load(b[part..].as_ptr().cast()));
                let (mut c, mut d) = (load(c[part..].as_ptr().cast()), load(d[part..].as_ptr().cast()));
                let (mut e, mut f) = (load(e[part..].as_ptr().cast()), load(f[part..].as_ptr().cast()));
                for (index, step) in panel.iter().enumerate() {
                    let right = load(step[part..].as_ptr().cast());
                    a = add(rows[0], index, right, a);
                    b = add(rows[1], index, right, b);
                    c = add(rows[2], index, right, c);
                    d = add(rows[3], index, right, d);
                    e = add(rows[4], index, right, e);
                    f = add(rows[5], index, right, f);
                }
                for (row, (low, high)) in sums.iter_mut().zip([a, b, c, d, e, f]) {
                    let to = row[part..].as_mut_ptr().cast::<$register>();
                    unsafe {
                        $store(to, low);
                        $store(to.add(1), high);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(multiply_sse2, "sse2", __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_set1_epi32, |sum, left, right| {
    _mm_add_epi32(sum, _mm_madd_epi16(left, right))
});
#[cfg(target_arch = "x86_64")]
kernel!(
    multiply_avx2,
    "avx2",
    __m256i,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi32,
    |sum, left, right| _mm256_add_epi32(sum, _mm256_madd_epi16(left, right))
);
#[cfg(target_arch = "x86_64")]
kernel!(
    multiply_avx512,
    "avx512f,avx512vnni",
    __m512i,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi32,
    |sum, left, right| _mm512_dpwssd_epi32(sum, left, right)
);
