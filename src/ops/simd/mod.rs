//! Vectors of f32 for the instruction sets that a processor may have, chosen at run time: one binary serves all.

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use super::kernels::has_amx;
#[cfg(target_arch = "aarch64")]
pub(super) use arm::F32x4;
pub(super) use portable::Array8;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Bf16x32, F32x8, F32x16};

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
    /// Products of bf16 pairs summed in f32, 16 lanes: inputs and weights are rounded to bf16. The sums of a weight's
    /// gradient, and linear layers, stay in f32.
    Avx512Bf16,
    /// As [`Self::Avx512Bf16`], but dense convolutions multiply AMX's tiles.
    AmxBf16,
}

impl Isa {
    /// The best that this processor has.
    pub fn detect() -> Self {
        // available() ends with Portable, so there is always a first.
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// The best set whose products are in bf16, where this processor has one.
    pub fn bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx512bf16")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
        {
            return Some(if has_amx() { Self::AmxBf16 } else { Self::Avx512Bf16 });
        }
        None
    }

    /// The best set whose products are in bf16 where `bf16` asks for it and this processor has one, else the best in f32.
    pub fn of(bf16: bool) -> Self {
        Self::bf16().filter(|_| bf16).unwrap_or_else(Self::detect)
    }

    /// What the processor's makers call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::Neon => "NEON",
            Self::Portable => "portable code",
            Self::Avx512Bf16 => "AVX-512 BF16",
            Self::AmxBf16 => "AMX",
        }
    }

    /// Whether products are of bf16.
    pub fn is_bf16(self) -> bool {
        matches!(self, Self::Avx512Bf16 | Self::AmxBf16)
    }

    /// The set for what must not be rounded to bf16.
    pub fn exact(self) -> Self {
        match self {
            Self::Avx512Bf16 | Self::AmxBf16 => Self::Avx512,
            other => other,
        }
    }

    /// The set for what is multiplied vector by vector, not tile by tile.
    pub fn without_tiles(self) -> Self {
        match self {
            Self::AmxBf16 => Self::Avx512Bf16,
            other => other,
        }
    }

    /// All f32 sets that this processor has, best first.
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
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use lanes;

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
pub(crate) use vectorized;
