//! The two dot products, with AVX2 where the processor has it and a scalar twin that gives the same bits.
//!
//! The single-precision product repeats the order of [`dot_product`]. The integer product is exact, so its order does not
//! matter.

use crate::dot_product::dot_product;

/// Rows are padded with zeros to a multiple of this many components.
pub(super) use crate::dot_product::LANES;

/// Which instructions to use. Every level gives the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Plain Rust.
    Scalar,
    /// AVX2; made only where the processor was seen to have it.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Proof),
}

impl Level {
    /// The best that this processor can do.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(proof) = avx2::Proof::detect() {
            return Self::Avx2(proof);
        }
        Self::Scalar
    }

    /// The dot product of two rows of equal length, a multiple of [`LANES`].
    #[inline]
    pub(super) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Scalar => dot_product(a, b),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::dot(proof, a, b),
        }
    }

    /// The dot product of codes and a quantised query of equal length, a multiple of [`LANES`]. The caller sees to it
    /// that no sum of magnitudes exceeds `i32::MAX`.
    #[inline]
    pub(super) fn dot_codes(self, codes: &[i8], query: &[i16]) -> i32 {
        match self {
            Self::Scalar => dot_codes_scalar(codes, query),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::dot_codes(proof, codes, query),
        }
    }
}

/// Asks for the cache lines of `numbers` ahead of their use. Changes nothing but time.
#[inline]
pub(super) fn prefetch<T>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(numbers)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "the address lies within `numbers`; a prefetch reads nothing")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(numbers.as_ptr().byte_add(offset).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

fn dot_codes_scalar(codes: &[i8], query: &[i16]) -> i32 {
    codes.iter().zip(query).map(|(&code, &query)| i32::from(code) * i32::from(query)).sum()
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, _mm_add_epi32, _mm_add_ps, _mm_add_ss, _mm_cvtsi128_si32, _mm_cvtss_f32,
        _mm_movehl_ps, _mm_shuffle_epi32, _mm_shuffle_ps, _mm256_add_epi32, _mm256_add_ps, _mm256_castps256_ps128,
        _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extractf128_ps, _mm256_extracti128_si256,
        _mm256_madd_epi16, _mm256_mul_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    };
    use std::mem::transmute;

    use super::LANES;

    /// Shows that the processor has AVX2.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct Proof(());

    impl Proof {
        pub(super) fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx2").then_some(Self(()))
        }
    }

    #[inline]
    pub(super) fn dot(_: Proof, a: &[f32], b: &[f32]) -> f32 {
        #[expect(unsafe_code, reason = "`Proof` exists only where the processor has AVX2")]
        unsafe {
            dot_f32(a, b)
        }
    }

    #[inline]
    pub(super) fn dot_codes(_: Proof, codes: &[i8], query: &[i16]) -> i32 {
        #[expect(unsafe_code, reason = "`Proof` exists only where the processor has AVX2")]
        unsafe {
            dot_i8_i16(codes, query)
        }
    }

    /// A load. (The load intrinsics carry run-time checks of their pointers in debug builds.)
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_f32(lanes: &[f32; 8]) -> __m256 {
        #[expect(unsafe_code, reason = "eight numbers and a register of eight numbers are the same bytes")]
        unsafe {
            transmute::<[f32; 8], __m256>(*lanes)
        }
    }

    /// A load; see [`load_f32`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_i8(lanes: &[i8; 16]) -> __m128i {
        #[expect(unsafe_code, reason = "sixteen numbers and a register of sixteen numbers are the same bytes")]
        unsafe {
            transmute::<[i8; 16], __m128i>(*lanes)
        }
    }

    /// A load; see [`load_f32`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_i16(lanes: &[i16; 16]) -> __m256i {
        #[expect(unsafe_code, reason = "sixteen numbers and a register of sixteen numbers are the same bytes")]
        unsafe {
            transmute::<[i16; 16], __m256i>(*lanes)
        }
    }

    #[target_feature(enable = "avx2")]
    fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [_mm256_setzero_ps(); LANES / 8];
        for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
            for ((sum, a), b) in sums.iter_mut().zip(a.as_chunks().0).zip(b.as_chunks().0) {
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(load_f32(a), load_f32(b)));
            }
        }
        let lanes = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let halves = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
        _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
    }

    #[target_feature(enable = "avx2")]
    fn dot_i8_i16(codes: &[i8], query: &[i16]) -> i32 {
        let mut sums = [_mm256_setzero_si256(); LANES / 16];
        for (codes, query) in codes.as_chunks::<LANES>().0.iter().zip(query.as_chunks::<LANES>().0) {
            for ((sum, codes), query) in sums.iter_mut().zip(codes.as_chunks().0).zip(query.as_chunks().0) {
                let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(load_i8(codes)), load_i16(query));
                *sum = _mm256_add_epi32(*sum, products);
            }
        }
        let lanes = _mm256_add_epi32(sums[0], sums[1]);
        let halves = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
        let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b00_00_11_10>(halves));
        _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<1>(pairs)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        let component = prop_oneof![
            4 => -1f32..1.0,
            1 => prop::sample::select(vec![0.0, -0.0, 1e-40, -1e-45, 1e9, -1e9, f32::MIN_POSITIVE]),
        ];
        (1usize..9).prop_flat_map(move |chunks| {
            let row = prop::collection::vec(component.clone(), chunks * LANES);
            (row.clone(), row)
        })
    }

    proptest! {
        #[test]
        fn levels_agree_bit_for_bit((a, b) in rows()) {
            prop_assert_eq!(Level::detect().dot(&a, &b).to_bits(), Level::Scalar.dot(&a, &b).to_bits());
        }

        #[test]
        fn codes_agree(pairs in prop::collection::vec((-127i8..=127, -2_000i16..=2_000), LANES * 3)) {
            let (codes, query): (Vec<i8>, Vec<i16>) = pairs.into_iter().unzip();
            prop_assert_eq!(Level::detect().dot_codes(&codes, &query), Level::Scalar.dot_codes(&codes, &query));
        }
    }

    #[test]
    fn extreme_codes_do_not_overflow() {
        let (codes, query) = ([-127i8; 384], [32_767i16; 384]);
        for level in [Level::Scalar, Level::detect()] {
            assert_eq!(level.dot_codes(&codes, &query), -127 * 32_767 * 384);
        }
    }

    #[test]
    fn a_product_is_never_minus_zero() {
        for level in [Level::Scalar, Level::detect()] {
            assert_eq!(level.dot(&[-0.0; LANES], &[1.0; LANES]).to_bits(), 0);
            assert_eq!(level.dot(&[-1e-45; LANES], &[1e-45; LANES]).to_bits(), 0);
        }
    }
}
