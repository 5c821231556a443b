//! Vectors of f32 for the instruction sets that a processor may have, chosen at run time: one binary serves all.

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 16 lanes, 32 registers.
    Avx512,
    /// 8 lanes with fused multiply-add, 16 registers.
    Avx2,
    /// 4 lanes with fused multiply-add, 32 registers.
    Neon,
    /// Whatever the compiler makes of arrays of 8.
    Portable,
}

impl Isa {
    /// The best that this processor has.
    pub fn detect() -> Self {
        // available() ends with Portable, so there is always a first.
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// All that this processor has, best first.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512f") {
                sets.push(Self::Avx512);
            }
            if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                sets.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self::Neon);
        sets.push(Self::Portable);
        sets
    }
}

/// Lanes of the widest vector.
const MAX_LANES: usize = 16;

/// A vector of f32.
///
/// # Safety
/// Every method may be called only where the processor has the instruction set, and `load` and `store` only with
/// `LANES` (or `count`) valid values behind the pointer.
pub(super) unsafe trait Lanes: Copy {
    const LANES: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `count` values, fewer than `LANES`; the other lanes are zero and their memory is not touched.
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut values = [0.0; MAX_LANES];
        unsafe {
            std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), count);
            Self::load(values.as_ptr())
        }
    }
    /// Stores the first `count` lanes, fewer than `LANES`, and touches nothing else.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut values = [0.0; MAX_LANES];
        unsafe {
            self.store(values.as_mut_ptr());
            std::ptr::copy_nonoverlapping(values.as_ptr(), to, count);
        }
    }
    /// `self * factor + sum`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// The greater; `other` where either is NaN.
    unsafe fn max(self, other: Self) -> Self;
}

/// Writes one `Lanes` implementation out of an architecture's intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanes {
    ($name:ident, $register:ty, $lanes:literal, $splat:path, $load:path, $store:path,
     |$a:ident, $b:ident, $c:ident| fma $fma:expr, add $add:expr, mul $mul:expr, max $max:expr $(, $item:item)*) => {
        #[derive(Clone, Copy)]
        pub(in crate::ops) struct $name($register);

        // SAFETY: each method is one intrinsic of the instruction set that the trait asks the caller to have.
        #[allow(unused_unsafe)]
        unsafe impl Lanes for $name {
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self(unsafe { $splat(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                let ($a, $b, $c) = (self.0, factor.0, sum.0);
                Self(unsafe { $fma })
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self(unsafe { $add })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self(unsafe { $mul })
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self(unsafe { $max })
            }
            $($item)*
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    lanes!(F32x16, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, |a, b, c| fma
    _mm512_fmadd_ps(a, b, c), add _mm512_add_ps(a, b), mul _mm512_mul_ps(a, b), max _mm512_max_ps(a, b),
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(first(count), from) })
    },
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first(count), self.0) }
    });

    /// A mask of the first `count` of 16 lanes.
    #[inline(always)]
    fn first(count: usize) -> __mmask16 {
        (1u16 << count) - 1
    }

    lanes!(F32x8, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, |a, b, c| fma
        _mm256_fmadd_ps(a, b, c), add _mm256_add_ps(a, b), mul _mm256_mul_ps(a, b), max _mm256_max_ps(a, b));
}
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{F32x8, F32x16};

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Lanes;
    use std::arch::aarch64::*;

    lanes!(F32x4, float32x4_t, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, |a, b, c| fma
        vfmaq_f32(c, a, b), add vaddq_f32(a, b), mul vmulq_f32(a, b), max vbslq_f32(vcgtq_f32(a, b), a, b));
}
#[cfg(target_arch = "aarch64")]
pub(super) use arm::F32x4;

/// The fallback: an array that the compiler vectorises as far as the target's baseline goes.
#[derive(Clone, Copy)]
pub(super) struct Array8([f32; 8]);

impl Array8 {
    #[inline(always)]
    fn zip(self, other: Self, op: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| op(self.0[lane], other.0[lane])))
    }
}

// SAFETY: plain arithmetic; only `load` and `store` touch memory, where the caller vouches for the pointer.
unsafe impl Lanes for Array8 {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        self.zip(factor, |a, b| a * b).zip(sum, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
}

/// Compiles a function of plain loops for the instruction sets that widen them, and calls the best: the same
/// operations in the same order, so the same result on each.
macro_rules! vectorized {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $type),*) $(-> $result)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $type),*) $(-> $result)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has it.
                return unsafe { avx512($($arg),*) };
            } else if std::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has it.
                return unsafe { avx2($($arg),*) };
            }
            body($($arg),*)
        }
    };
}
pub(super) use vectorized;
