//! The transforms of whole tiles, all channels of them, compiled for each instruction set.

#[cfg(target_arch = "x86_64")]
use super::keep::{First, Rounded, Second};
use super::keep::{Keep, Whole, load, store};
use super::scheme::{F2, F4, MOST_OUT, MOST_POINTS, MOST_SIDE, Scheme, Size};
#[cfg(target_arch = "aarch64")]
use crate::ops::simd::F32x4;
use crate::ops::simd::{Array8, Isa, Lanes};
#[cfg(target_arch = "x86_64")]
use crate::ops::simd::{F32x8, F32x16};

/// What stands for a pixel outside the map in [`Write::places`].
pub(super) const OUTSIDE: usize = usize::MAX;

/// A tile's inputs on their way to its points.
pub(in crate::ops::conv2d) struct Read {
    /// The pixels row by row, each of `channels` values; as many as the scheme's tile has.
    pub pixels: [*const f32; MOST_POINTS],
    pub channels: usize,
    /// The first point's words; `point_stride` further lie the next one's.
    pub out: *mut f32,
    pub point_stride: usize,
}

/// A tile's sums on their way to its outputs.
pub(in crate::ops::conv2d) struct Write {
    /// The first point's sums; `point_stride` further lie the next one's.
    pub sums: *const f32,
    pub point_stride: usize,
    pub channels: usize,
    /// `[channels]`
    pub shift: *const f32,
    /// Where in `out` each pixel's channels begin, row by row, or [`OUTSIDE`].
    pub places: [usize; MOST_OUT * MOST_OUT],
    pub out: *mut f32,
    /// Laid out as `out`; null for none.
    pub residual: *const f32,
    /// The negative side's slope of the activation.
    pub slope: f32,
}

/// A scheme's transforms for one instruction set.
pub(in crate::ops::conv2d) struct Transforms {
    pub size: Size,
    /// # Safety
    /// All pointers are valid for what the fields say.
    pub read: unsafe fn(&Read),
    /// # Safety
    /// All pointers are valid for what the fields say, and nobody else writes the pixels.
    pub write: unsafe fn(&Write),
    /// For sums that run over tiles: one each of the tiles that share words, in turn.
    pub summed: &'static [Summed],
}

/// The transforms of a tile whose products are summed with other tiles'.
pub(in crate::ops::conv2d) struct Summed {
    /// As [`Transforms::read`].
    /// # Safety
    /// As there.
    pub read: unsafe fn(&Read),
    /// As `read`, but of a tile of the output's gradient.
    /// # Safety
    /// As `read`; there are as many pixels as the scheme has outputs.
    pub spread: unsafe fn(&Read),
}

macro_rules! transforms {
    ($module:ident, $vector:ty, $keep:ty, [$($summed:ty),+], $attribute:meta) => {
        mod $module {
            use super::*;
            #[$attribute]
            unsafe fn read<S: Scheme, K: Keep<$vector>>(tile: &Read) {
                unsafe { super::read::<S, $vector, K>(tile) }
            }
            #[$attribute]
            unsafe fn write<S: Scheme>(tile: &Write) {
                unsafe { super::write::<S, $vector>(tile) }
            }
            #[$attribute]
            unsafe fn spread<S: Scheme, K: Keep<$vector>>(tile: &Read) {
                unsafe { super::spread::<S, $vector, K>(tile) }
            }
            const fn of<S: Scheme>() -> Transforms {
                Transforms {
                    size: S::SIZE,
                    read: read::<S, $keep>,
                    write: write::<S>,
                    summed: const { &[$(Summed { read: read::<S, $summed>, spread: spread::<S, $summed> }),+] },
                }
            }
            pub(super) static EXACT: Transforms = of::<F2>();
            pub(super) static FAST: Transforms = of::<F4>();
        }
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(avx512, F32x16, Whole, [Whole], target_feature(enable = "avx512f"));
#[cfg(target_arch = "x86_64")]
transforms!(bf16, F32x16, Rounded, [First, Second], target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16"));
#[cfg(target_arch = "x86_64")]
transforms!(avx2, F32x8, Whole, [Whole], target_feature(enable = "avx2,fma"));
#[cfg(target_arch = "aarch64")]
transforms!(neon, F32x4, Whole, [Whole], target_feature(enable = "neon"));
transforms!(portable, Array8, Whole, [Whole], inline);

impl Transforms {
    /// F(2x2, 3x3) on an instruction set that the processor must have.
    pub fn exact(isa: Isa) -> &'static Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::EXACT,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => &bf16::EXACT,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::EXACT,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon::EXACT,
            _ => &portable::EXACT,
        }
    }

    /// F(4x4, 3x3) on an instruction set that the processor must have.
    pub fn fast(isa: Isa) -> &'static Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::FAST,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => &bf16::FAST,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::FAST,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &neon::FAST,
            _ => &portable::FAST,
        }
    }
}

/// `Bt d B` of every channel.
///
/// # Safety
/// As [`Transforms::read`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn read<S: Scheme, V: Lanes, K: Keep<V>>(tile: &Read) {
    let side = S::SIZE.side;
    unsafe {
        for first in (0..tile.channels).step_by(V::LANES) {
            let count = tile.channels - first;
            let mut half = [[V::splat(0.0); MOST_SIDE]; MOST_SIDE];
            for column in 0..side {
                let mut d = [V::splat(0.0); MOST_SIDE];
                for (row, d) in d.iter_mut().enumerate().take(side) {
                    *d = load(tile.pixels[row * side + column].add(first), count);
                }
                for (half, value) in half.iter_mut().zip(S::input(d)) {
                    half[column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate().take(side) {
                for (column, value) in S::input(half).into_iter().enumerate().take(side) {
                    K::keep(value, tile.out.add((row * side + column) * tile.point_stride), first, count);
                }
            }
        }
    }
}

/// `At m A` of every channel, with the epilogue.
///
/// # Safety
/// As [`Transforms::write`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn write<S: Scheme, V: Lanes>(tile: &Write) {
    let Size { side, out, .. } = S::SIZE;
    unsafe {
        let slope = V::splat(tile.slope);
        for first in (0..tile.channels).step_by(V::LANES) {
            let count = tile.channels - first;
            let mut half = [[V::splat(0.0); MOST_SIDE]; MOST_OUT];
            for column in 0..side {
                let mut m = [V::splat(0.0); MOST_SIDE];
                for (row, m) in m.iter_mut().enumerate().take(side) {
                    *m = load(tile.sums.add((row * side + column) * tile.point_stride + first), count);
                }
                for (half, value) in half.iter_mut().zip(S::output(m)) {
                    half[column] = value;
                }
            }
            let shift: V = load(tile.shift.add(first), count);
            for (row, half) in half.into_iter().enumerate().take(out) {
                for (column, value) in S::output(half).into_iter().enumerate().take(out) {
                    let place = tile.places[row * out + column];
                    if place == OUTSIDE {
                        continue;
                    }
                    let mut value = value.add(shift);
                    if !tile.residual.is_null() {
                        value = value.add(load(tile.residual.add(place + first), count));
                    }
                    store(value.mul(slope).max(value), tile.out.add(place + first), count);
                }
            }
        }
    }
}

/// `A y At` of every channel: the transpose of the outputs' transform.
///
/// # Safety
/// As [`Summed::spread`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn spread<S: Scheme, V: Lanes, K: Keep<V>>(tile: &Read) {
    let Size { side, out, .. } = S::SIZE;
    unsafe {
        for first in (0..tile.channels).step_by(V::LANES) {
            let count = tile.channels - first;
            let mut half = [[V::splat(0.0); MOST_OUT]; MOST_SIDE];
            for column in 0..out {
                let mut y = [V::splat(0.0); MOST_OUT];
                for (row, y) in y.iter_mut().enumerate().take(out) {
                    *y = load(tile.pixels[row * out + column].add(first), count);
                }
                for (half, value) in half.iter_mut().zip(S::spread(y)) {
                    half[column] = value;
                }
            }
            for (row, half) in half.into_iter().enumerate().take(side) {
                for (column, value) in S::spread(half).into_iter().enumerate().take(side) {
                    K::keep(value, tile.out.add((row * side + column) * tile.point_stride), first, count);
                }
            }
        }
    }
}
