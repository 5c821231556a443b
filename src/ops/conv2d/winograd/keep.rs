//! How values at the points are kept: as the kernels read them.

#[cfg(target_arch = "x86_64")]
use crate::ops::simd::F32x16;
use crate::ops::simd::Lanes;

/// How a tile's values at a point are kept for the kernels.
pub(super) trait Keep<V> {
    /// Keeps the `count` values from `channel` on, `LANES` at most, of the tile whose words begin at `tile`.
    ///
    /// # Safety
    /// There is room for them, and the processor has the instruction set.
    unsafe fn keep(value: V, tile: *mut f32, channel: usize, count: usize);
}

/// A word a value.
pub(super) struct Whole;

impl<V: Lanes> Keep<V> for Whole {
    #[inline(always)]
    unsafe fn keep(value: V, tile: *mut f32, channel: usize, count: usize) {
        unsafe { store(value, tile.add(channel), count) }
    }
}

/// A word two values, rounded to bf16; an odd last channel is paired with zero.
#[cfg(target_arch = "x86_64")]
pub(super) struct Rounded;

#[cfg(target_arch = "x86_64")]
impl Keep<F32x16> for Rounded {
    #[inline(always)]
    unsafe fn keep(value: F32x16, tile: *mut f32, channel: usize, count: usize) {
        unsafe { value.store_bf16(tile.cast::<u16>().add(channel), count) }
    }
}

/// A word two tiles' values, rounded to bf16: this is the first of them, which leaves room for the second.
#[cfg(target_arch = "x86_64")]
pub(super) struct First;

#[cfg(target_arch = "x86_64")]
impl Keep<F32x16> for First {
    #[inline(always)]
    unsafe fn keep(value: F32x16, tile: *mut f32, channel: usize, count: usize) {
        unsafe { store(value.low_halves(), tile.add(channel), count) }
    }
}

/// The second, which joins the first.
#[cfg(target_arch = "x86_64")]
pub(super) struct Second;

#[cfg(target_arch = "x86_64")]
impl Keep<F32x16> for Second {
    #[inline(always)]
    unsafe fn keep(value: F32x16, tile: *mut f32, channel: usize, count: usize) {
        unsafe {
            let first: F32x16 = load(tile.add(channel), count);
            store(first.with_high_halves(value), tile.add(channel), count);
        }
    }
}

/// The first `count` values, `LANES` at most.
#[inline(always)]
pub(super) unsafe fn load<V: Lanes>(from: *const f32, count: usize) -> V {
    unsafe { if count >= V::LANES { V::load(from) } else { V::load_first(from, count) } }
}

/// Writes the first `count` lanes, all at most.
#[inline(always)]
pub(super) unsafe fn store<V: Lanes>(value: V, to: *mut f32, count: usize) {
    unsafe { if count >= V::LANES { value.store(to) } else { value.store_first(to, count) } }
}
