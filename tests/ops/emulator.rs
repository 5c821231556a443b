//! AMX for processors without it: a handler of SIGILL that carries out the five instructions of `src/ops/kernels/amx.rs`
//! in software (Intel SDM volume 2: LDTILECFG, TILEZERO, TILELOADD, TDPBF16PS, TILESTORED, TILERELEASE). Everything
//! else that is illegal stays so.

use std::cell::UnsafeCell;
use std::sync::Once;

use half::bf16;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use tresnet::ops::Isa;

/// The set whose products are of tiles, emulated where the processor lacks them; none without AVX-512 BF16, on which its
/// other ops rest.
pub fn tiles() -> Option<Isa> {
    static INSTALLED: Once = Once::new();
    if Isa::bf16()? != Isa::AmxBf16 {
        INSTALLED.call_once(install);
    }
    Some(Isa::AmxBf16)
}

fn install() {
    // SAFETY: the action is zeros but for a handler of the three-argument form, as its flag says; the handler touches
    // nothing but the context, this thread's tiles and what the instructions name.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
    }
}

/// A thread's registers; those of no rows are not configured.
struct Tiles {
    rows: [usize; 8],
    row_bytes: [usize; 8],
    data: [[[u8; 64]; 16]; 8],
}

const NONE: Tiles = Tiles { rows: [0; 8], row_bytes: [0; 8], data: [[[0; 64]; 16]; 8] };

thread_local! {
    static TILES: UnsafeCell<Tiles> = const { UnsafeCell::new(NONE) };
}

extern "C" fn handle(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the context of the thread that met the instruction, and nobody else holds it.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: the processor has just read an instruction there, of at least the bytes that are looked at one by one.
    let carried_out = TILES.with(|tiles| unsafe { emulate(&mut *tiles.get(), registers) });
    if !carried_out {
        // SAFETY: the default action ends the process when the instruction is met again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// General registers by their number in an instruction.
const GENERAL: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// An instruction's operand in memory: where it begins, the distance from row to row, and its bytes in the code.
struct Memory {
    start: usize,
    stride: usize,
    length: usize,
}

/// Carries out the instruction that the registers point to, if it is one of AMX, and steps over it.
///
/// # Safety
/// The code and what it names are there.
unsafe fn emulate(tiles: &mut Tiles, registers: &mut [i64; 23]) -> bool {
    let code = registers[libc::REG_RIP as usize] as *const u8;
    // SAFETY: as the caller vouches; an instruction with a VEX prefix of three bytes has five at least.
    let [vex, map, last, opcode, form] = unsafe { code.cast::<[u8; 5]>().read_unaligned() };
    // The third byte: W, the second source inverted, the vector's length, and one of four prefixes.
    let (source, prefix) = (usize::from(!last >> 3 & 15), last & 3);
    if vex != 0xC4 || map & 0x1F != 2 || last & 0x84 != 0 {
        return false;
    }
    let register = usize::from(form >> 3 & 7);
    let in_memory = form >> 6 != 3;
    // SAFETY: a form in memory is followed by the bytes that describe the place.
    let memory = unsafe { memory(code, registers) };
    let length = match (opcode, prefix, in_memory) {
        // SAFETY: the program says that 64 bytes lie there.
        (0x49, 0, true) => unsafe { tiles.configure(memory.start as *const u8) }.then_some(memory.length),
        (0x49, 0, false) => {
            *tiles = NONE;
            Some(5)
        }
        (0x49, 3, false) => {
            tiles.data[register] = [[0; 64]; 16];
            Some(5)
        }
        (0x4B, 3 | 2, true) if form & 7 == 4 && tiles.rows[register] > 0 => {
            for row in 0..tiles.rows[register] {
                let place = memory.start.wrapping_add(row.wrapping_mul(memory.stride)) as *mut u8;
                let data = &mut tiles.data[register][row];
                // SAFETY: the program says that the row lies there; it is none of the tiles'.
                unsafe {
                    match prefix {
                        3 => std::ptr::copy_nonoverlapping(place, data.as_mut_ptr(), tiles.row_bytes[register]),
                        _ => std::ptr::copy_nonoverlapping(data.as_ptr(), place, tiles.row_bytes[register]),
                    }
                }
            }
            Some(memory.length)
        }
        (0x5C, 2, false) => tiles.multiply(register, usize::from(form & 7), source).then_some(5),
        _ => None,
    };
    registers[libc::REG_RIP as usize] += length.unwrap_or(0) as i64;
    length.is_some()
}

/// What ModRM, SIB and displacement say.
///
/// # Safety
/// The instruction is whole.
unsafe fn memory(code: *const u8, registers: &[i64; 23]) -> Memory {
    // SAFETY: as the caller vouches; bytes are read only where the form says that there are.
    let byte = |at: usize| unsafe { code.add(at).read() };
    // The prefix holds the registers' fourth bits, inverted.
    let (fourth_of_index, fourth_of_base) = (usize::from(!byte(1) >> 6 & 1) << 3, usize::from(!byte(1) >> 5 & 1) << 3);
    let value = |number: usize| registers[GENERAL[number] as usize] as usize;
    let (form, mut length) = (byte(4), 5);
    let (mut base, mut stride) = (usize::from(form & 7) | fourth_of_base, 0);
    if form & 7 == 4 {
        let index = usize::from(byte(5) >> 3 & 7) | fourth_of_index;
        base = usize::from(byte(5) & 7) | fourth_of_base;
        stride = if index == 4 { 0 } else { value(index) << (byte(5) >> 6) };
        length += 1;
    }
    // SAFETY: as above.
    let four = |at: usize| unsafe { code.add(at).cast::<i32>().read_unaligned() } as usize;
    let start = match form >> 6 {
        // Number 5 without displacement means four bytes of it without a base.
        0 if base & 7 == 5 => {
            length += 4;
            four(length - 4)
        }
        1 => {
            length += 1;
            value(base).wrapping_add(byte(length - 1) as i8 as usize)
        }
        2 => {
            length += 4;
            value(base).wrapping_add(four(length - 4))
        }
        _ => value(base),
    };
    Memory { start, stride, length }
}

impl Tiles {
    /// Whether the 64 bytes are a configuration of the only palette.
    ///
    /// # Safety
    /// They are there.
    unsafe fn configure(&mut self, from: *const u8) -> bool {
        // SAFETY: as the caller vouches.
        let bytes = unsafe { from.cast::<[u8; 64]>().read_unaligned() };
        *self = NONE;
        for tile in 0..8 {
            self.row_bytes[tile] = usize::from(u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]]));
            self.rows[tile] = usize::from(bytes[48 + tile]);
        }
        let fits = self.rows.iter().all(|&rows| rows <= 16) && self.row_bytes.iter().all(|&bytes| bytes <= 64);
        bytes[0] == 1 && bytes[1] == 0 && fits
    }

    /// `sums += left * right`, `right` in pairs of rows; whether their sizes go together.
    fn multiply(&mut self, sums: usize, left: usize, right: usize) -> bool {
        let (rows, columns, pairs) = (self.rows[sums], self.row_bytes[sums] / 4, self.row_bytes[left] / 4);
        let go_together = [self.rows[left], self.rows[right], self.row_bytes[right]] == [rows, pairs, 4 * columns];
        if rows == 0 || !go_together || sums == left || sums == right || left == right {
            return false;
        }
        for row in 0..rows {
            for column in 0..columns {
                let mut halves = [0.0f32; 2];
                for pair in 0..pairs {
                    for (half, sum) in halves.iter_mut().enumerate() {
                        let place = |at: usize| 4 * at + 2 * half;
                        *sum +=
                            number(&self.data[left][row], place(pair)) * number(&self.data[right][pair], place(column));
                    }
                }
                let place: &mut [u8; 4] = (&mut self.data[sums][row][4 * column..][..4]).try_into().unwrap();
                *place = (f32::from_le_bytes(*place) + (halves[0] + halves[1])).to_le_bytes();
            }
        }
        true
    }
}

/// The bf16 at a place of a row.
fn number(row: &[u8; 64], at: usize) -> f32 {
    bf16::from_le_bytes([row[at], row[at + 1]]).to_f32()
}
