//! x86-64: AVX-512, AVX-512 with products of bf16, and AVX2 with fused multiply-add.

use std::arch::x86_64::*;

use super::{Lanes, lanes};

/// The two kinds of 16 lanes differ in what a product is.
macro_rules! avx512_lanes {
    ($name:ident, |$a:ident, $b:ident, $sum:ident| $mul_add:expr) => {
        lanes!(
            $name, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps,
            |$a, $b, $sum| fma $mul_add, add _mm512_add_ps($a, $b), mul _mm512_mul_ps($a, $b), max _mm512_max_ps($a, $b),
            #[inline(always)]
            unsafe fn load_first(from: *const f32, count: usize) -> Self {
                Self(unsafe { _mm512_maskz_loadu_ps(first(count), from) })
            },
            #[inline(always)]
            unsafe fn store_first(self, to: *mut f32, count: usize) {
                unsafe { _mm512_mask_storeu_ps(to, first(count), self.0) }
            }
        );
    };
}

avx512_lanes!(F32x16, |a, b, sum| _mm512_fmadd_ps(a, b, sum));

// Each lane of the factors holds two bf16; their two products are added to the lane's f32.
avx512_lanes!(Bf16x32, |a, b, sum| _mm512_dpbf16_ps(sum, pairs(a), pairs(b)));

lanes!(F32x8, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, |a, b, c| fma
    _mm256_fmadd_ps(a, b, c), add _mm256_add_ps(a, b), mul _mm256_mul_ps(a, b), max _mm256_max_ps(a, b));

impl F32x16 {
    /// Rounds the first `count` lanes, all at most, to bf16, to nearest even. An odd count is made even with a zero.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16, and there is room for so many bf16; lanes beyond `count` are zero.
    #[inline(always)]
    pub unsafe fn store_bf16(self, to: *mut u16, count: usize) {
        unsafe {
            let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(self.0));
            if count >= Self::LANES {
                _mm256_storeu_si256(to.cast(), rounded);
            } else {
                _mm256_mask_storeu_epi16(to.cast(), first(count.next_multiple_of(2)), rounded);
            }
        }
    }
}

/// Lanes as words whose low or high half is each value as bf16, to nearest even.
impl F32x16 {
    /// # Safety
    /// The processor has AVX-512 BF16.
    #[inline(always)]
    pub unsafe fn low_halves(self) -> Self {
        unsafe {
            let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(self.0));
            Self(_mm512_castsi512_ps(_mm512_cvtepu16_epi32(rounded)))
        }
    }

    /// `self`, words whose high halves are zero, with `values` there.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16.
    #[inline(always)]
    pub unsafe fn with_high_halves(self, values: Self) -> Self {
        unsafe {
            let high = _mm512_slli_epi32::<16>(_mm512_castps_si512(values.low_halves().0));
            Self(_mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(self.0), high)))
        }
    }
}

/// A mask of the first `count` of 16 lanes.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as u16
}

/// The same 64 bytes.
#[inline(always)]
fn pairs(lanes: __m512) -> __m512bh {
    // SAFETY: both types are 64 bytes, of which every content is valid.
    unsafe { std::mem::transmute(lanes) }
}
