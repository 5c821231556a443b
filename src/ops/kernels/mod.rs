//! The inner kernels of every convolution and matrix product, forward and backward. Each keeps a tile of sums in
//! registers while one loop runs.
//!
//! The input is read through pointers, one a pixel and tap ("indirect convolution", Dukhan, arXiv 1907.02129): no
//! im2col copy exists, and a tap that falls into the padding points at zeros.

#[cfg(target_arch = "x86_64")]
mod amx;
mod loops;

#[cfg(target_arch = "x86_64")]
pub(super) use self::amx::{TILES_FLOPS, is_available as has_amx, multiply_tiles};
#[cfg(target_arch = "aarch64")]
use super::simd::F32x4;
use super::simd::{Array8, Isa};
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
    /// `[taps][in_channels][panel]`, each tap with zeros to a whole number of the set's steps.
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

/// A tile of input channels by output channels of one tap of a weight's gradient; the loop runs over pixels, or over
/// pairs of them in one word where products are in bf16.
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
    /// Most input channels first, 1 last; none where products are of tiles.
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
    /// Words of a sum that a step takes. Where it is not 1, a tap's rows lie evenly in memory and are whole steps long.
    pub depth: usize,
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
                    unsafe { loops::run::<$vector, $vectors, $rows>(tile) }
                }
                #[$attribute]
                pub(super) unsafe fn outer<const ROWS: usize>(tile: &OuterTile) {
                    unsafe { loops::outer::<$vector, $vectors, ROWS>(tile) }
                }
            }
        )+
        static $set: KernelSet = KernelSet {
            rows: $rows,
            lanes: $lanes,
            depth: 1,
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
    bf16_6x1: 1, bf16_6x2: 2, bf16_6x3: 3, bf16_6x4: 4; outer (6, 4, 2, 1));
#[cfg(target_arch = "x86_64")]
kernel_set!(BF16_TALL, Bf16x32, 16, 8, target_feature(enable = "avx512f,avx512bf16"),
    bf16_8x1: 1, bf16_8x2: 2, bf16_8x3: 3; outer (8, 4, 2, 1));
#[cfg(target_arch = "x86_64")]
kernel_set!(AVX2, F32x8, 8, 6, target_feature(enable = "avx2,fma"), avx2_6x1: 1, avx2_6x2: 2; outer (6, 4, 2, 1));
#[cfg(target_arch = "aarch64")]
kernel_set!(NEON, F32x4, 4, 6, target_feature(enable = "neon"),
    neon_6x1: 1, neon_6x2: 2, neon_6x3: 3, neon_6x4: 4; outer (6, 4, 2, 1));
#[cfg(target_arch = "x86_64")]
static AMX: KernelSet = KernelSet {
    rows: amx::ROWS,
    lanes: amx::PANEL,
    depth: amx::DEPTH,
    kernels: &[Kernel { panel: amx::PANEL, run: amx::run, outer: &[] }],
};
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
            Isa::AmxBf16 => &AMX,
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

    /// Calls `run` with the processor in the state that the set's kernels want.
    ///
    /// # Safety
    /// The processor has the set's instructions.
    pub unsafe fn ready<R>(&self, run: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        if std::ptr::eq(self, &AMX) {
            // SAFETY: as the caller vouches.
            return unsafe { amx::configured(run) };
        }
        run()
    }

    /// Splits `out_channels` into panels as even as can be; the kernel of each.
    pub fn panels(&self, out_channels: usize) -> Vec<Kernel> {
        let vectors = out_channels.div_ceil(self.lanes);
        let count = vectors.div_ceil(self.kernels.len());
        (0..count).map(|panel| self.kernels[(vectors + panel) / count - 1]).collect()
    }
}
