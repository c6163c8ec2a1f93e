//! What this core can do at most: twelve independent chains of one instruction, in registers.

use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::{
    __m256, __m256i, __m512i, _mm256_add_epi32, _mm256_fmadd_ps, _mm256_madd_epi16, _mm256_set1_epi16, _mm256_set1_ps,
    _mm512_dpwssd_epi32, _mm512_set1_epi16,
};
use std::hint::black_box;

use criterion::{Criterion, Throughput};

/// Rounds of a measurement.
const ROUNDS: u32 = 10_000;
/// Chains: enough to hide the latency of any of the instructions.
const CHAINS: u64 = 12;

macro_rules! chains {
    ($name:ident, $features:literal, $start:expr, $factor:expr, |$sum:ident: $register:ty, $other:ident| $step:expr) => {
        #[target_feature(enable = $features)]
        fn $name() {
            let $other = black_box($factor);
            let start = black_box($start);
            let (mut a, mut b, mut c, mut d, mut e, mut f) = (start, start, start, start, start, start);
            let (mut g, mut h, mut i, mut j, mut k, mut l) = (start, start, start, start, start, start);
            for _ in 0..ROUNDS {
                let step = |$sum: $register| $step;
                (a, b, c, d, e, f) = (step(a), step(b), step(c), step(d), step(e), step(f));
                (g, h, i, j, k, l) = (step(g), step(h), step(i), step(j), step(k), step(l));
            }
            black_box(([a, b, c, d, e, f], [g, h, i, j, k, l]));
        }
    };
}

chains!(fused_floats, "avx2,fma", _mm256_set1_ps(0.1), _mm256_set1_ps(0.9), |sum: __m256, other| {
    _mm256_fmadd_ps(other, sum, other)
});
chains!(pairs_avx2, "avx2", _mm256_set1_epi16(1), _mm256_set1_epi16(3), |sum: __m256i, other| {
    _mm256_add_epi32(sum, _mm256_madd_epi16(sum, other))
});
chains!(pairs_avx512, "avx512f,avx512vnni", _mm512_set1_epi16(1), _mm512_set1_epi16(3), |sum: __m512i, other| {
    _mm512_dpwssd_epi32(sum, sum, other)
});

/// Operations a second of `f32` fused multiply-adds, and of the multiply-adds of 16-bit pairs that the products use.
pub(crate) fn measure(criterion: &mut Criterion) {
    let mut peak = criterion.benchmark_group("peak");
    let mut chains = |name: &str, operations: u64, detected: bool, run: &dyn Fn()| {
        if detected {
            peak.throughput(Throughput::Elements(u64::from(ROUNDS) * CHAINS * operations));
            peak.bench_function(name, |bencher| bencher.iter(run));
        }
    };
    #[expect(unsafe_code, reason = "each runs only where the features were detected that it is compiled for")]
    {
        chains("f32 Avx2", 16, has!("avx2") && has!("fma"), &|| unsafe { fused_floats() });
        chains("pairs Avx2", 32, has!("avx2"), &|| unsafe { pairs_avx2() });
        chains("pairs Avx512", 64, has!("avx512f") && has!("avx512vnni"), &|| unsafe { pairs_avx512() });
    }
    peak.finish();
}
