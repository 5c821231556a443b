//! The loops of the kernels, for any vector.

use super::{OuterTile, Tile};
use crate::ops::simd::Lanes;

/// # Safety
/// As `Kernel::run`, and the processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn run<V: Lanes, const VECTORS: usize, const ROWS: usize>(tile: &Tile) {
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        if tile.shift.is_null() {
            for (row, sums) in sums.iter_mut().enumerate() {
                if row < tile.rows {
                    *sums = read(tile.out.add(row * tile.out_stride), tile.channels);
                }
            }
        } else {
            for sums in &mut sums {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(tile.shift.add(vector * V::LANES));
                }
            }
        }

        let mut weights = tile.weights;
        for tap in 0..tile.tap_count {
            let mut inputs = tile.taps.add(tap * ROWS).cast::<[*const f32; ROWS]>().read();
            for input in &mut inputs {
                *input = input.add(tile.first_input);
            }
            for channel in 0..tile.in_channels {
                let mut w = [V::splat(0.0); VECTORS];
                for (vector, w) in w.iter_mut().enumerate() {
                    *w = V::load(weights.add(vector * V::LANES));
                }
                for (sums, input) in sums.iter_mut().zip(inputs) {
                    let x = V::splat(*input.add(channel));
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = x.mul_add(w, *sum);
                    }
                }
                weights = weights.add(VECTORS * V::LANES);
            }
        }

        for (row, sums) in sums.into_iter().enumerate() {
            if row < tile.rows {
                end(tile, row, sums);
            }
        }
    }
}

/// Adds to a row's products what the sum starts from, and ends it.
///
/// # Safety
/// As `Kernel::run`, and the processor has the instruction set of `V`; `row` is one of the tile's.
#[inline(always)]
pub(super) unsafe fn finish<V: Lanes, const VECTORS: usize>(tile: &Tile, row: usize, mut sums: [V; VECTORS]) {
    unsafe {
        let before: [V; VECTORS] = match tile.shift.is_null() {
            true => read(tile.out.add(row * tile.out_stride), tile.channels),
            false => read(tile.shift, VECTORS * V::LANES),
        };
        for (sum, before) in sums.iter_mut().zip(before) {
            *sum = sum.add(before);
        }
        end(tile, row, sums);
    }
}

/// Writes a row, with residual and activation where this call is the last.
///
/// # Safety
/// As [`finish`].
#[inline(always)]
unsafe fn end<V: Lanes, const VECTORS: usize>(tile: &Tile, row: usize, mut sums: [V; VECTORS]) {
    unsafe {
        if tile.last {
            if !tile.residual.is_null() {
                let residual = read::<V, VECTORS>(tile.residual.add(row * tile.out_stride), tile.channels);
                for (sum, residual) in sums.iter_mut().zip(residual) {
                    *sum = sum.add(residual);
                }
            }
            let slope = V::splat(tile.slope);
            for sum in &mut sums {
                *sum = sum.mul(slope).max(*sum);
            }
        }
        write(tile.out.add(row * tile.out_stride), tile.channels, sums);
    }
}

/// # Safety
/// As `OuterKernel::run`, and the processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn outer<V: Lanes, const VECTORS: usize, const ROWS: usize>(tile: &OuterTile) {
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = read(tile.out.add(row * tile.out_stride), tile.channels);
        }
        let mut gradient = tile.gradient;
        let full = tile.channels == VECTORS * V::LANES;
        for pixel in 0..tile.pixels {
            let input = (*tile.inputs.add(pixel)).add(tile.first_input);
            let mut dy = [V::splat(0.0); VECTORS];
            if full {
                for (vector, dy) in dy.iter_mut().enumerate() {
                    *dy = V::load(gradient.add(vector * V::LANES));
                }
            } else {
                dy = read(gradient, tile.channels);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*input.add(row));
                for (sum, dy) in sums.iter_mut().zip(dy) {
                    *sum = x.mul_add(dy, *sum);
                }
            }
            gradient = gradient.add(tile.stride);
        }
        for (row, sums) in sums.into_iter().enumerate() {
            write(tile.out.add(row * tile.out_stride), tile.channels, sums);
        }
    }
}

/// The first `channels` values at `from`; lanes beyond them are zero.
#[inline(always)]
unsafe fn read<V: Lanes, const VECTORS: usize>(from: *const f32, channels: usize) -> [V; VECTORS] {
    unsafe {
        let mut values = [V::splat(0.0); VECTORS];
        for (vector, value) in values.iter_mut().enumerate() {
            let first = vector * V::LANES;
            *value = match channels.saturating_sub(first) {
                count if count >= V::LANES => V::load(from.add(first)),
                count => V::load_first(from.wrapping_add(first), count),
            };
        }
        values
    }
}

/// Writes the first `channels` values.
#[inline(always)]
unsafe fn write<V: Lanes, const VECTORS: usize>(to: *mut f32, channels: usize, values: [V; VECTORS]) {
    unsafe {
        for (vector, value) in values.into_iter().enumerate() {
            let first = vector * V::LANES;
            match channels.saturating_sub(first) {
                count if count >= V::LANES => value.store(to.add(first)),
                count => value.store_first(to.wrapping_add(first), count),
            }
        }
    }
}
