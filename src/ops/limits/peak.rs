//! The rate of fused multiply-adds that never leave the registers.

use std::hint::black_box;
use std::time::Instant;

use crate::ops::Isa;
#[cfg(target_arch = "x86_64")]
use crate::ops::kernels::{TILES_FLOPS, multiply_tiles};
#[cfg(target_arch = "aarch64")]
use crate::ops::simd::F32x4;
use crate::ops::simd::{Array8, Lanes};
#[cfg(target_arch = "x86_64")]
use crate::ops::simd::{Bf16x32, F32x8, F32x16};

/// Steps of a measurement: less than the system lets a thread run at a time.
const STEPS: usize = 1 << 16;
/// Each thread's best of so many counts: neighbours on the machine only ever take away.
const TRIES: usize = 64;

/// Sums at a time where there are 32 registers, and where there are 16: more than any processor has products under way.
const MANY: usize = 24;
const FEW: usize = 12;

/// A set's loop: runs `STEPS` steps and returns a sum, so that none is left out.
struct Loop {
    /// # Safety
    /// The processor has the instruction set.
    run: unsafe fn() -> f32,
    flops_per_step: usize,
}

macro_rules! loops {
    ($($name:ident: $vector:ty, $sums:ident, $products:literal, $attribute:meta;)*) => {$(
        const $name: Loop = {
            #[$attribute]
            unsafe fn run() -> f32 {
                unsafe { multiply_add::<$vector, $sums>() }
            }
            Loop { run, flops_per_step: 2 * $products * <$vector>::LANES * $sums }
        };
    )*};
}

#[cfg(target_arch = "x86_64")]
loops! {
    AVX512: F32x16, MANY, 1, target_feature(enable = "avx512f");
    AVX512_BF16: Bf16x32, MANY, 2, target_feature(enable = "avx512f,avx512bf16");
    AVX2: F32x8, FEW, 1, target_feature(enable = "avx2,fma");
}
#[cfg(target_arch = "aarch64")]
loops! { NEON: F32x4, MANY, 1, target_feature(enable = "neon"); }
loops! { PORTABLE: Array8, FEW, 1, inline; }

#[cfg(target_arch = "x86_64")]
const AMX: Loop = {
    unsafe fn run() -> f32 {
        // SAFETY: the processor has AMX, as the caller vouches.
        unsafe { multiply_tiles(STEPS) };
        0.0
    }
    Loop { run, flops_per_step: TILES_FLOPS }
};

/// Floating-point operations a second, two a product, of all threads together. The processor must have `isa`.
pub fn flops(isa: Isa) -> f64 {
    let kernel = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &AVX512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => &AVX512_BF16,
        #[cfg(target_arch = "x86_64")]
        Isa::AmxBf16 => &AMX,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &AVX2,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &NEON,
        _ => &PORTABLE,
    };
    let rate = || {
        let started = Instant::now();
        // SAFETY: the processor has the set, as the caller says.
        black_box(unsafe { (kernel.run)() });
        (kernel.flops_per_step * STEPS) as f64 / started.elapsed().as_secs_f64()
    };
    rayon::broadcast(|_| (0..TRIES).map(|_| rate()).fold(0.0, f64::max)).into_iter().sum()
}

/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
unsafe fn multiply_add<V: Lanes, const SUMS: usize>() -> f32 {
    // Small enough that no sum overflows; both halves are ordinary bf16 too.
    let factor = black_box(1e-3);
    let mut first = [0.0; MOST_LANES];
    unsafe {
        let (a, b) = (V::splat(factor), V::splat(factor));
        // Different, so that one cannot stand for all.
        let mut sums: [V; SUMS] = std::array::from_fn(|at| V::splat(at as f32));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = a.mul_add(b, *sum);
            }
        }
        let total = sums.into_iter().fold(V::splat(0.0), |total, sum| total.add(sum));
        total.store(first.as_mut_ptr());
    }
    first[0]
}

/// Lanes of the widest vector.
const MOST_LANES: usize = 16;
