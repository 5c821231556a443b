//! AMX: products of whole tiles of bf16, up to 16 rows of 16 pairs, summed in f32.
//!
//! Stable Rust has no intrinsics for it, so the five instructions stand here as inline assembly (Intel SDM volume 2,
//! "Intel AMX instruction set reference"). Machines without them run this file under the emulator of `tests/amx`.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::Tile;
use super::loops::finish;
use crate::ops::simd::{F32x16, Lanes};

/// Rows of a register, and pairs (or sums) in each.
const SIDE: usize = 16;
/// Pixels of a tile: two registers of rows.
pub(super) const ROWS: usize = 2 * SIDE;
/// Output channels of a panel: two registers of columns.
pub(super) const PANEL: usize = 2 * SIDE;
/// Words that one step of the sum takes; the rows of inputs and the weights' words are whole steps.
pub(super) const DEPTH: usize = SIDE;

/// Whether the processor multiplies tiles of bf16 and the system lets this process use them.
pub(in crate::ops) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_tiles() && saves_tiles() && may_use_tiles())
}

/// CPUID.(7, 0): AMX-BF16 and AMX-TILE.
fn has_tiles() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// XCR0: the system keeps the tiles' configuration and their data from one thread to another.
fn saves_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILE_STATE: u64 = 0b11 << 17;
    // SAFETY: where OSXSAVE is set the instruction may be used.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { read_xcr0() } & TILE_STATE == TILE_STATE
}

/// # Safety
/// The processor has OSXSAVE.
#[target_feature(enable = "xsave")]
unsafe fn read_xcr0() -> u64 {
    // SAFETY: as the caller vouches; XCR0 is there wherever the instruction is.
    unsafe { _xgetbv(0) }
}

/// Linux gives the 8 KiB of tiles to processes that ask (Documentation/arch/x86/xstate.rst).
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// What LDTILECFG reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight registers whole.
static WHOLE: Configuration = {
    let mut configuration =
        Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    let mut register = 0;
    while register < 8 {
        configuration.row_bytes[register] = (SIDE * size_of::<f32>()) as u16;
        configuration.rows[register] = SIDE as u8;
        register += 1;
    }
    configuration
};

/// Calls `run` with this thread's tiles configured as [`run`] wants them, and lets go of them.
///
/// # Safety
/// The processor has AMX and the process may use it.
pub(super) unsafe fn configured<R>(run: impl FnOnce() -> R) -> R {
    struct Release;
    impl Drop for Release {
        fn drop(&mut self) {
            // SAFETY: the processor has it, as the caller vouched.
            unsafe { asm!("tilerelease", options(nomem, nostack)) }
        }
    }
    // SAFETY: the configuration is 64 bytes of the form that the instruction takes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &WHOLE, options(readonly, nostack)) };
    let _release = Release;
    run()
}

/// Floating-point operations of a step of [`multiply_tiles`]: four products of whole registers, two a pair's number.
pub(in crate::ops) const TILES_FLOPS: usize = 4 * 2 * 2 * SIDE * SIDE * SIDE;

/// Multiplies what never leaves the registers, `steps` times: the most that the processor can do.
///
/// # Safety
/// The processor has AMX and the process may use it.
pub(in crate::ops) unsafe fn multiply_tiles(steps: usize) {
    // SAFETY: as the caller vouches; the loop touches registers alone, all of them declared.
    let multiply = || unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "tilezero tmm4",
            "tilezero tmm5",
            "tilezero tmm6",
            "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {steps}",
            "jnz 2b",
            steps = inout(reg) steps.max(1) => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nomem, nostack),
        );
    };
    // SAFETY: as the caller vouches.
    unsafe { configured(multiply) }
}

/// The sums of a tile.
#[repr(align(64))]
struct Sums([[f32; PANEL]; ROWS]);

/// The kernel: 2 by 2 registers of sums. A tap's rows lie evenly, as far apart as the first two.
///
/// # Safety
/// As `Kernel::run`, within [`configured`], where the processor has AVX-512; a tap's rows and its weights reach to
/// the end of a step.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn run(tile: &Tile) {
    let mut sums = Sums([[0.0; PANEL]; ROWS]);
    // SAFETY: as the caller vouches; a row of sums holds two vectors.
    unsafe {
        multiply(tile, &mut sums);
        for (row, sums) in sums.0.iter().enumerate().take(tile.rows) {
            finish::<F32x16, 2>(tile, row, [F32x16::load(sums.as_ptr()), F32x16::load(sums[SIDE..].as_ptr())]);
        }
    }
}

/// # Safety
/// As [`run`].
unsafe fn multiply(tile: &Tile, sums: &mut Sums) {
    if tile.tap_count == 0 || tile.in_channels == 0 {
        return;
    }
    // SAFETY: the loops read the first two pointers of each tap, the whole steps of the rows behind them, and as many
    // steps of weights; they write the sums. Every register is declared.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {upper}, [{taps}]",
            "mov {stride}, [{taps} + 8]",
            "sub {stride}, {upper}",
            "add {upper}, {first}",
            "mov {lower}, {stride}",
            "shl {lower}, 4",
            "add {lower}, {upper}",
            "mov {left}, {steps}",
            "3:",
            "tileloadd tmm4, [{upper} + {stride}*1]",
            "tileloadd tmm6, [{weights} + {row}*1]",
            "tileloadd tmm7, [{weights} + {row}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {stride}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {lower}, 64",
            "add {weights}, {step}",
            "dec {left}",
            "jnz 3b",
            "add {taps}, {pointers}",
            "dec {tap_count}",
            "jnz 2b",
            "tilestored [{sums} + {row}*1], tmm0",
            "tilestored [{sums} + {row}*1 + 64], tmm1",
            "tilestored [{sums} + {row}*1 + {step}], tmm2",
            "tilestored [{sums} + {row}*1 + {step} + 64], tmm3",
            taps = inout(reg) tile.taps => _,
            tap_count = inout(reg) tile.tap_count => _,
            first = in(reg) tile.first_input * size_of::<f32>(),
            stride = out(reg) _,
            steps = in(reg) tile.in_channels.div_ceil(DEPTH),
            left = out(reg) _,
            upper = out(reg) _,
            lower = out(reg) _,
            weights = inout(reg) tile.weights => _,
            // Bytes of a row of weights, which is as long as one of sums.
            row = in(reg) PANEL * size_of::<f32>(),
            step = const DEPTH * PANEL * size_of::<f32>(),
            pointers = const ROWS * size_of::<*const f32>(),
            sums = in(reg) sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
