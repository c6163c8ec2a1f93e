//! The arithmetic of the encoder over plain slices.
//!
//! **Every output row depends on its own sequence only, by one fixed sequence of operations.** Products are sums of
//! integers, which are exact in any order ([`tile`]); what is left in `f32` is done value by value, or in reductions with
//! a fixed number of lanes, without fused multiply-adds, so that nothing depends on what the processor can fuse. So a text
//! has the same bytes whatever shares its batch, however many threads work, and whichever instruction set runs: AVX-512,
//! AVX2 or neither, x86 or Arm.

pub(super) mod attention;
pub(super) mod math;
pub(super) mod product;
pub(super) mod tile;

/// An instruction set that this processor was seen to have: whoever holds one may call code that is compiled for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// What every processor has.
    Portable,
    /// What every x86-64 processor has.
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With the multiply-add of 16-bit pairs (VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Those that this processor has, the fastest first.
    pub(super) fn detected() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2");
            let avx512 = avx2
                && has!("avx512f")
                && has!("avx512bw")
                && has!("avx512dq")
                && has!("avx512vl")
                && has!("avx512vnni");
            [avx512.then_some(Set::Avx512), avx2.then_some(Set::Avx2), Some(Set::Sse2)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let wide: [Option<Set>; 0] = [];
        wide.into_iter().flatten().chain([Set::Portable]).map(Self)
    }

    /// The fastest that this processor has.
    pub(super) fn best() -> Self {
        Self::detected().next().unwrap_or(Self(Set::Portable))
    }

    /// Runs `body` compiled for this instruction set.
    ///
    /// `body` and what it calls must be `#[inline(always)]`, or it is compiled for the target's least: slower, never
    /// different.
    #[inline]
    pub(super) fn run<R>(self, body: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        fn with_avx512<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        match self.0 {
            Set::Portable => body(),
            #[cfg(target_arch = "x86_64")]
            Set::Sse2 => body(),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a level exists only where its features were detected")]
            Set::Avx2 => unsafe { with_avx2(body) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a level exists only where its features were detected")]
            Set::Avx512 => unsafe { with_avx512(body) },
        }
    }
}

#[cfg(test)]
#[path = "../kernels_tests.rs"]
mod tests;
