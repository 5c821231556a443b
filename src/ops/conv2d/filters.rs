//! The inner kernels of depthwise convolutions: each channel's products are summed over taps alone, so a vector holds
//! neighbouring channels, and every load of the input is one product.
//!
//! As in `ops::kernels`, the input is read through pointers, one a pixel and tap; a tap that falls into the padding
//! points at zeros.

use crate::ops::Isa;
#[cfg(target_arch = "aarch64")]
use crate::ops::simd::F32x4;
use crate::ops::simd::{Array8, Lanes};
#[cfg(target_arch = "x86_64")]
use crate::ops::simd::{F32x8, F32x16};

/// Output pixels of a tile: with two vectors of each and their weights they fit 16 registers.
pub(super) const ROWS: usize = 6;
/// Taps whose weight gradients are summed together.
pub(super) const OUTER_TAPS: usize = 3;

/// A tile of output pixels in all channels; the sums run over taps.
pub(super) struct Filter {
    /// `[taps][ROWS]` pointers to `channels` values each.
    pub taps: *const *const f32,
    pub tap_count: usize,
    pub channels: usize,
    /// `[taps][channels]`
    pub weights: *const f32,
    /// `[channels]`, what the sums start from.
    pub shift: *const f32,
    /// Laid out as `out`; null for none.
    pub residual: *const f32,
    /// The negative side's slope of the activation.
    pub slope: f32,
    pub out: *mut f32,
    /// Values between a pixel and the next in `out`.
    pub out_stride: usize,
    /// Pixels of the tile to write; those above are computed and dropped.
    pub rows: usize,
}

/// Some taps of a weight's gradient in all channels; the sums run over pixels.
pub(super) struct Outer {
    pub pixels: usize,
    /// `[taps][pixels]` pointers to `channels` values each.
    pub inputs: *const *const f32,
    /// The output's gradient: the first pixel's channels.
    pub gradient: *const f32,
    /// Values between a pixel and the next in `gradient`.
    pub stride: usize,
    /// `[taps][channels]`, raised by the products.
    pub out: *mut f32,
    pub channels: usize,
}

/// The kernels for one instruction set.
#[derive(Clone, Copy)]
pub(super) struct Filters {
    /// # Safety
    /// All pointers of the tile are valid for what its fields say, and `out` overlaps nothing else.
    pub filter: unsafe fn(&Filter),
    /// For `OUTER_TAPS` taps.
    /// # Safety
    /// As `filter`.
    pub outer: unsafe fn(&Outer),
    /// For one tap.
    /// # Safety
    /// As `filter`.
    pub outer_one: unsafe fn(&Outer),
}

macro_rules! filters {
    ($set:ident, $module:ident, $vector:ty, $attribute:meta) => {
        mod $module {
            use super::*;
            #[$attribute]
            pub(super) unsafe fn filter(tile: &Filter) {
                unsafe { super::filter::<$vector>(tile) }
            }
            #[$attribute]
            pub(super) unsafe fn outer<const TAPS: usize>(tile: &Outer) {
                unsafe { super::outer::<$vector, TAPS>(tile) }
            }
        }
        const $set: Filters =
            Filters { filter: $module::filter, outer: $module::outer::<OUTER_TAPS>, outer_one: $module::outer::<1> };
    };
}

#[cfg(target_arch = "x86_64")]
filters!(AVX512, avx512, F32x16, target_feature(enable = "avx512f"));
#[cfg(target_arch = "x86_64")]
filters!(AVX2, avx2, F32x8, target_feature(enable = "avx2,fma"));
#[cfg(target_arch = "aarch64")]
filters!(NEON, neon, F32x4, target_feature(enable = "neon"));
filters!(PORTABLE, portable, Array8, inline);

impl Filters {
    /// The kernels of an instruction set that the processor must have; in f32 on every one.
    pub fn new(isa: Isa) -> Self {
        match isa.exact() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => AVX512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => AVX2,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => NEON,
            _ => PORTABLE,
        }
    }
}

/// # Safety
/// As [`Filters::filter`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn filter<V: Lanes>(tile: &Filter) {
    let mut channel = 0;
    unsafe {
        while tile.channels - channel >= 2 * V::LANES {
            filter_channels::<V, 2>(tile, channel, 2 * V::LANES);
            channel += 2 * V::LANES;
        }
        while channel < tile.channels {
            let count = V::LANES.min(tile.channels - channel);
            filter_channels::<V, 1>(tile, channel, count);
            channel += count;
        }
    }
}

/// The tile's `count` channels from `first`: all of the vectors', or fewer in one vector.
///
/// # Safety
/// As [`filter`].
#[inline(always)]
unsafe fn filter_channels<V: Lanes, const VECTORS: usize>(tile: &Filter, first: usize, count: usize) {
    unsafe {
        let mut sums = [read::<V, VECTORS>(tile.shift.add(first), count); ROWS];
        for tap in 0..tile.tap_count {
            let inputs = tile.taps.add(tap * ROWS).cast::<[*const f32; ROWS]>().read();
            let w = read::<V, VECTORS>(tile.weights.add(tap * tile.channels + first), count);
            for (sums, input) in sums.iter_mut().zip(inputs) {
                let x = read::<V, VECTORS>(input.add(first), count);
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum = x.mul_add(w, *sum);
                }
            }
        }
        let slope = V::splat(tile.slope);
        for (row, mut sums) in sums.into_iter().enumerate().take(tile.rows) {
            let at = row * tile.out_stride + first;
            if !tile.residual.is_null() {
                let residual = read::<V, VECTORS>(tile.residual.add(at), count);
                for (sum, residual) in sums.iter_mut().zip(residual) {
                    *sum = sum.add(residual);
                }
            }
            let sums = sums.map(|sum| sum.mul(slope).max(sum));
            write(tile.out.add(at), count, sums);
        }
    }
}

/// # Safety
/// As [`Filters::outer`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn outer<V: Lanes, const TAPS: usize>(tile: &Outer) {
    let mut channel = 0;
    unsafe {
        while tile.channels - channel >= 2 * V::LANES {
            outer_channels::<V, 2, TAPS>(tile, channel, 2 * V::LANES);
            channel += 2 * V::LANES;
        }
        while channel < tile.channels {
            let count = V::LANES.min(tile.channels - channel);
            outer_channels::<V, 1, TAPS>(tile, channel, count);
            channel += count;
        }
    }
}

/// # Safety
/// As [`outer`].
#[inline(always)]
unsafe fn outer_channels<V: Lanes, const VECTORS: usize, const TAPS: usize>(tile: &Outer, first: usize, count: usize) {
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; TAPS];
        for (tap, sums) in sums.iter_mut().enumerate() {
            *sums = read(tile.out.add(tap * tile.channels + first), count);
        }
        for pixel in 0..tile.pixels {
            let dy = read::<V, VECTORS>(tile.gradient.add(pixel * tile.stride + first), count);
            for (tap, sums) in sums.iter_mut().enumerate() {
                let input = *tile.inputs.add(tap * tile.pixels + pixel);
                let x = read::<V, VECTORS>(input.add(first), count);
                for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
                    *sum = x.mul_add(dy, *sum);
                }
            }
        }
        for (tap, sums) in sums.into_iter().enumerate() {
            write(tile.out.add(tap * tile.channels + first), count, sums);
        }
    }
}

/// `count` values: all of the vectors', or fewer in one vector.
#[inline(always)]
unsafe fn read<V: Lanes, const VECTORS: usize>(from: *const f32, count: usize) -> [V; VECTORS] {
    unsafe {
        if VECTORS == 1 && count < V::LANES {
            return [V::load_first(from, count); VECTORS];
        }
        std::array::from_fn(|vector| V::load(from.add(vector * V::LANES)))
    }
}

/// Writes what [`read`] reads.
#[inline(always)]
unsafe fn write<V: Lanes, const VECTORS: usize>(to: *mut f32, count: usize, values: [V; VECTORS]) {
    unsafe {
        for (vector, value) in values.into_iter().enumerate() {
            match count < V::LANES {
                true => value.store_first(to, count),
                false => value.store(to.add(vector * V::LANES)),
            }
        }
    }
}
