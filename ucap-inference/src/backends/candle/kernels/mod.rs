//! The arithmetic of the encoder over plain slices: safe Rust that the compiler vectorises.
//!
//! **Every output row depends on its own input row only, by one fixed sequence of operations.** A product sums
//! over its inner dimension strictly in order with fused multiply-adds, reductions use a fixed number of lanes, and
//! nothing is reassociated. So a text has the same bytes whatever shares its batch, however many threads work, and
//! whichever instruction set runs: AVX2 or none, x86 or Arm. That is why products are not handed to a general
//! matrix library, which chooses its blocking, and with it the order of the sums, by batch size and cache size.

pub(super) mod attention;
pub(super) mod math;
pub(super) mod product;

/// Runs `body` compiled for AVX2 and FMA where the processor has them, and as it is elsewhere.
///
/// `body` and what it calls must be `#[inline(always)]`, or it is compiled without them: slow, never different,
/// since the code says `mul_add` where it means a fused operation. (On x86 without FMA that is a call of the C
/// library: correct, and much slower.)
#[inline]
pub(super) fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        if has_avx2() {
            #[expect(unsafe_code, reason = "both features that the callee is compiled for were detected just above")]
            return unsafe { with_avx2(body) };
        }
    }
    body()
}

/// Whether the processor has AVX2 and FMA; detected once, then a load.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

#[cfg(test)]
#[path = "../kernels_tests.rs"]
mod tests;
