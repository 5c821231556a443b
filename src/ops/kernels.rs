//! The inner kernels of every convolution and matrix product, forward and backward. Each keeps a tile of sums in
//! registers while one loop runs.
//!
//! The input is read through pointers, one a pixel and tap ("indirect convolution", Dukhan, arXiv 1907.02129): no
//! im2col copy exists, and a tap that falls into the padding points at zeros.

#[cfg(target_arch = "aarch64")]
use super::simd::F32x4;
use super::simd::{Array8, Isa, Lanes};
#[cfg(target_arch = "x86_64")]
use super::simd::{Bf16x32, F32x8, F32x16};

/// A tile of output pixels by output channels; the loop runs over taps and input channels. With `lanes` and `vectors`
/// of the kernel, a panel is `vectors * lanes` output channels wide.
pub(super) struct Tile {
    /// `[taps][rows of the kernel]` pointers to pixels, of which `in_channels` values from `first_input` are read.
    pub taps: *const *const f32,
    pub tap_count: usize,
    pub first_input: usize,
    pub in_channels: usize,
    /// `[taps][in_channels][panel]`
    pub weights: *const f32,
    /// `[panel]`, what the sum starts from; null to go on from what `out` holds.
    pub shift: *const f32,
    /// Whether this call ends the sum, so that residual and activation apply.
    pub last: bool,
    /// Laid out as `out`; null for none.
    pub residual: *const f32,
    /// The negative side's slope of the activation.
    pub slope: f32,
    pub out: *mut f32,
    /// Values between a pixel and the next in `out`.
    pub out_stride: usize,
    /// Pixels of the tile to write; those above are computed and dropped.
    pub rows: usize,
    /// Channels of the panel to write.
    pub channels: usize,
}

/// A tile of input channels by output channels of one tap of a weight's gradient; the loop runs over pixels.
pub(super) struct OuterTile {
    pub pixels: usize,
    /// A pointer a pixel to its input channels.
    pub inputs: *const *const f32,
    /// The tile's first input channel.
    pub first_input: usize,
    /// The output's gradient: the first pixel's channels of the panel.
    pub gradient: *const f32,
    /// Values between a pixel and the next in `gradient`.
    pub stride: usize,
    /// `[input channels of the tile][out_stride]`, raised by the products.
    pub out: *mut f32,
    pub out_stride: usize,
    /// Channels of the panel.
    pub channels: usize,
}

/// The kernels for panels of one width.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    /// Output channels of a panel.
    pub panel: usize,
    /// # Safety
    /// All pointers of the tile are valid for what its fields say, and `out` overlaps nothing else.
    pub run: unsafe fn(&Tile),
    /// Most input channels first, 1 last; none where products are in bf16.
    pub outer: &'static [OuterKernel],
}

/// The kernel for outer products of one height.
#[derive(Clone, Copy)]
pub(super) struct OuterKernel {
    /// Input channels of a tile.
    pub rows: usize,
    /// # Safety
    /// As [`Kernel::run`].
    pub run: unsafe fn(&OuterTile),
}

/// Pixels in a tile, lanes of a vector, and the kernels by panel width in vectors (1, 2, ...).
pub(super) struct KernelSet {
    pub rows: usize,
    pub lanes: usize,
    pub kernels: &'static [Kernel],
}

macro_rules! kernel_set {
    ($set:ident, $vector:ty, $lanes:literal, $rows:literal, $attribute:meta, $($module:ident: $vectors:literal),+;
     outer $outer:tt) => {
        $(
            mod $module {
                use super::*;
                #[$attribute]
                pub(super) unsafe fn run(tile: &Tile) {
                    unsafe { super::run::<$vector, $vectors, $rows>(tile) }
                }
                #[$attribute]
                #[allow(dead_code)]
                pub(super) unsafe fn outer<const ROWS: usize>(tile: &OuterTile) {
                    unsafe { super::outer::<$vector, $vectors, ROWS>(tile) }
                }
            }
        )+
        static $set: KernelSet = KernelSet {
            rows: $rows,
            lanes: $lanes,
            kernels: &[$(Kernel {
                panel: $vectors * $lanes,
                run: $module::run,
                outer: outer_kernels!($module, $outer),
            }),+],
        };
    };
}

macro_rules! outer_kernels {
    ($module:ident, ($($height:literal),*)) => {
        &[$(OuterKernel { rows: $height, run: $module::outer::<$height> }),*]
    };
}

// Registers: rows * vectors sums, `vectors` weights and one broadcast input must fit. Few rows also keep the pixels'
// pointers in general registers.
#[cfg(target_arch = "x86_64")]
kernel_set!(AVX512_WIDE, F32x16, 16, 6, target_feature(enable = "avx512f"),
    avx512_6x1: 1, avx512_6x2: 2, avx512_6x3: 3, avx512_6x4: 4; outer (6, 4, 2, 1));
#[cfg(target_arch = "x86_64")]
kernel_set!(AVX512_TALL, F32x16, 16, 8, target_feature(enable = "avx512f"),
    avx512_8x1: 1, avx512_8x2: 2, avx512_8x3: 3; outer (8, 4, 2, 1));
#[cfg(target_arch = "x86_64")]
kernel_set!(BF16_WIDE, Bf16x32, 16, 6, target_feature(enable = "avx512f,avx512bf16"),
    bf16_6x1: 1, bf16_6x2: 2, bf16_6x3: 3, bf16_6x4: 4; outer ());
#[cfg(target_arch = "x86_64")]
kernel_set!(BF16_TALL, Bf16x32, 16, 8, target_feature(enable = "avx512f,avx512bf16"),
    bf16_8x1: 1, bf16_8x2: 2, bf16_8x3: 3; outer ());
#[cfg(target_arch = "x86_64")]
kernel_set!(AVX2, F32x8, 8, 6, target_feature(enable = "avx2,fma"), avx2_6x1: 1, avx2_6x2: 2; outer (6, 4, 2, 1));
#[cfg(target_arch = "aarch64")]
kernel_set!(NEON, F32x4, 4, 6, target_feature(enable = "neon"),
    neon_6x1: 1, neon_6x2: 2, neon_6x3: 3, neon_6x4: 4; outer (6, 4, 2, 1));
kernel_set!(PORTABLE, Array8, 8, 4, inline, portable_4x1: 1; outer (4, 2, 1));

impl KernelSet {
    /// The kernels for `out_channels` on an instruction set that the processor must have.
    pub fn new(isa: Isa, out_channels: usize) -> &'static Self {
        match isa {
            // Panels of 4 vectors waste much of a layer of, say, 76 channels; 3 + 2 vectors with taller tiles do not.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if out_channels.div_ceil(16).is_multiple_of(4) => &AVX512_WIDE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &AVX512_TALL,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 if out_channels.div_ceil(16).is_multiple_of(4) => &BF16_WIDE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => &BF16_TALL,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &AVX2,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => &NEON,
            _ => {
                let _ = out_channels;
                &PORTABLE
            }
        }
    }

    /// Splits `out_channels` into panels as even as can be; the kernel of each.
    pub fn panels(&self, out_channels: usize) -> Vec<Kernel> {
        let vectors = out_channels.div_ceil(self.lanes);
        let count = vectors.div_ceil(self.kernels.len());
        (0..count).map(|panel| self.kernels[(vectors + panel) / count - 1]).collect()
    }
}

/// # Safety
/// As [`Kernel::run`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn run<V: Lanes, const VECTORS: usize, const ROWS: usize>(tile: &Tile) {
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

        let slope = V::splat(tile.slope);
        for (row, mut sums) in sums.into_iter().enumerate() {
            if row < tile.rows {
                if tile.last {
                    if !tile.residual.is_null() {
                        let residual = read::<V, VECTORS>(tile.residual.add(row * tile.out_stride), tile.channels);
                        for (sum, residual) in sums.iter_mut().zip(residual) {
                            *sum = sum.add(residual);
                        }
                    }
                    for sum in &mut sums {
                        *sum = sum.mul(slope).max(*sum);
                    }
                }
                write(tile.out.add(row * tile.out_stride), tile.channels, sums);
            }
        }
    }
}

/// # Safety
/// As [`Kernel::outer`], and the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn outer<V: Lanes, const VECTORS: usize, const ROWS: usize>(tile: &OuterTile) {
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
