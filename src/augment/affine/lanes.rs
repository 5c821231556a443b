//! A pixel as four numbers, its channels and one without meaning, that are worked on at once.

use super::{Bicubic, Bilinear, Matrix, Source, sample};
use crate::preprocessing::Interpolation;

/// Four f64; all that is done to them rounds as Pillow's C does, once an operation.
pub(super) trait Lanes: Copy {
    fn load(bytes: [u8; 4]) -> Self;
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn times(self, factor: f64) -> Self;
    /// Clipped and truncated.
    fn bytes(self) -> [u8; 4];

    /// `share` of the way to `other`.
    #[inline(always)]
    fn towards(self, other: Self, share: f64) -> Self {
        self.add(other.subtract(self).times(share))
    }

    /// Cubic convolution with a = -1, where the resize has -0.5; `share` of the way from the second tap to the third.
    #[inline(always)]
    fn cubic([a, b, c, d]: [Self; 4], share: f64) -> Self {
        let first = c.subtract(a);
        let second = a.subtract(b).times(2.0).add(c).subtract(d);
        let third = b.subtract(a).subtract(c).add(d);
        b.add(first.add(second.add(third.times(share)).times(share)).times(share))
    }
}

/// Carries a transform out with the best lanes this machine has.
pub(super) fn dispatch(source: Source<'_>, matrix: &Matrix, filter: Interpolation, fill: [u8; 3], to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::transform(source, matrix, filter, fill, to) };
    }
    match filter {
        Interpolation::Bilinear => sample::<Plain, Bilinear>(source, matrix, fill, to),
        Interpolation::Bicubic => sample::<Plain, Bicubic>(source, matrix, fill, to),
    }
}

/// Any machine's lanes.
#[derive(Clone, Copy)]
struct Plain([f64; 4]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, op: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|lane| op(self.0[lane], other.0[lane])))
    }
}

impl Lanes for Plain {
    #[inline(always)]
    fn load(bytes: [u8; 4]) -> Self {
        Self(bytes.map(f64::from))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        Self(self.0.map(|value| value * factor))
    }
    #[inline(always)]
    fn bytes(self) -> [u8; 4] {
        // The cast clips and truncates.
        self.0.map(|value| value as u8)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Bicubic, Bilinear, Interpolation, Lanes, Matrix, Source, sample};

    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub fn transform(source: Source<'_>, matrix: &Matrix, filter: Interpolation, fill: [u8; 3], to: &mut [u8]) {
        match filter {
            Interpolation::Bilinear => sample::<Avx2, Bilinear>(source, matrix, fill, to),
            Interpolation::Bicubic => sample::<Avx2, Bicubic>(source, matrix, fill, to),
        }
    }

    /// One register of AVX2; made and used only within `transform`.
    #[derive(Clone, Copy)]
    struct Avx2(__m256d);

    // Each method is an intrinsic or two of AVX2 and touches no memory.
    impl Lanes for Avx2 {
        #[inline(always)]
        fn load(bytes: [u8; 4]) -> Self {
            // SAFETY: only `transform`, which asks for AVX2, uses these lanes.
            unsafe { Self(_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(i32::from_le_bytes(bytes))))) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: as in `load`.
            unsafe { Self(_mm256_add_pd(self.0, other.0)) }
        }
        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            // SAFETY: as in `load`.
            unsafe { Self(_mm256_sub_pd(self.0, other.0)) }
        }
        #[inline(always)]
        fn times(self, factor: f64) -> Self {
            // SAFETY: as in `load`.
            unsafe { Self(_mm256_mul_pd(self.0, _mm256_set1_pd(factor))) }
        }
        #[inline(always)]
        fn bytes(self) -> [u8; 4] {
            // SAFETY: as in `load`. The packs clip: a cubic's value is far from the ends of 32 and of 16 bits.
            let packed = unsafe {
                let whole = _mm256_cvttpd_epi32(self.0);
                let short = _mm_packs_epi32(whole, whole);
                _mm_cvtsi128_si32(_mm_packus_epi16(short, short))
            };
            packed.to_le_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_equals_plain() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let (width, height) = (37, 23);
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let pixels: Vec<u8> = (0..width * height * 3 + 1).map(|_| noise()).collect();
        let source = Source { pixels: &pixels, width, height };
        for matrix in
            [[0.9, 0.3, -4.0, -0.3, 0.9, 5.0], [1.0, 0.21, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0, 7.3]]
        {
            for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
                let mut fast = vec![0; pixels.len()];
                let mut plain = fast.clone();
                dispatch(source, &matrix, filter, [1, 2, 3], &mut fast);
                match filter {
                    Interpolation::Bilinear => sample::<Plain, Bilinear>(source, &matrix, [1, 2, 3], &mut plain),
                    Interpolation::Bicubic => sample::<Plain, Bicubic>(source, &matrix, [1, 2, 3], &mut plain),
                }
                let last = pixels.len() - 1;
                assert!(fast[..last] == plain[..last], "{matrix:?}, {filter}");
            }
        }
    }
}
