//! Both passes with AVX2.
//!
//! A weight has 23 bits and a pixel 8, and the one fast multiplication is that of 16 bits with the neighbour added
//! (`pmaddwd`). So a weight goes in as `(high << 11) + low`, two sums are kept and put together at the end. Sums are
//! exact modulo 2^32, hence equal to the scalar ones.

use std::arch::x86_64::*;

use super::taps::{HALF, PRECISION, Pair, SPLIT, Taps, Weights};
use super::{CHANNELS, Lines, LinesMut, scalar};

/// Lines that share the loading of a weight.
const LINES: usize = 4;

/// Bytes of a line that are loaded for four taps: five pixels and a byte.
const LOADED: usize = 16;

/// See [`super::Instructions::across`]. The processor must have AVX2.
#[target_feature(enable = "avx2")]
pub fn across(from: Lines, taps: &Taps, to: LinesMut) {
    // The last taps of a line may load bytes of the next (their weights are zero), but nothing lies behind the last.
    let reach = taps.each().map(|(first, w)| (first + 2 * w.pairs.len() - 4) * CHANNELS + LOADED).max().unwrap_or(0);
    let safe = from.bytes.len().checked_sub(reach).map_or(0, |spare| spare / from.pitch + 1).min(to.count);
    let safe = if safe < LINES { 0 } else { safe };
    for start in (0..safe).step_by(LINES) {
        // The last block goes back a little rather than being smaller.
        let start = start.min(safe - LINES);
        let from = Lines { bytes: &from.bytes[start * from.pitch..], ..from };
        across_lines(from, taps, LinesMut { bytes: &mut to.bytes[start * to.pitch..], ..to });
    }
    if safe < to.count {
        let from = Lines { bytes: &from.bytes[safe * from.pitch..], ..from };
        scalar::across(from, taps, LinesMut { bytes: &mut to.bytes[safe * to.pitch..], count: to.count - safe, ..to });
    }
}

/// The first [`LINES`] lines.
#[target_feature(enable = "avx2")]
fn across_lines(from: Lines, taps: &Taps, to: LinesMut) {
    // Pixels 0 and 1 to the lower half, 2 and 3 to the upper, as r r g g b b and nothing, each widened to 16 bits.
    let spread = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
    );
    // Once for each pixel: the two halves are added in the end.
    let half = _mm256_setr_epi32(HALF, HALF, HALF, HALF, 0, 0, 0, 0);
    let last = taps.len() - 1;
    for (x, (first, weights)) in taps.each().enumerate() {
        let mut low = [half; LINES];
        let mut high = [_mm256_setzero_si256(); LINES];
        for (step, pairs) in weights.pairs.chunks_exact(2).enumerate() {
            let (weight_low, weight_high) = halves(pairs[0], pairs[1]);
            let at = (first + 4 * step) * CHANNELS;
            for n in 0..LINES {
                let five = load16(&from.bytes[n * from.pitch + at..]);
                let pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(five), spread);
                low[n] = _mm256_add_epi32(low[n], _mm256_madd_epi16(pixels, weight_low));
                high[n] = _mm256_add_epi32(high[n], _mm256_madd_epi16(pixels, weight_high));
            }
        }
        let sums: [__m256i; LINES] = std::array::from_fn(|n| joined(low[n], high[n]));
        let bytes = _mm256_packs_epi32(both(sums[0], sums[1]), both(sums[2], sums[3]));
        let bytes = _mm256_packus_epi16(bytes, bytes);
        let (even, odd) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        let pixels = [
            _mm_cvtsi128_si32(even),
            _mm_cvtsi128_si32(odd),
            _mm_extract_epi32::<1>(even),
            _mm_extract_epi32::<1>(odd),
        ];
        for (n, pixel) in pixels.into_iter().enumerate() {
            let to = &mut to.bytes[n * to.pitch + x * CHANNELS..];
            // Four bytes are one store; the pixel that follows overwrites the fourth.
            match to.first_chunk_mut() {
                Some(four) if x < last => *four = pixel.to_le_bytes(),
                _ => to[..CHANNELS].copy_from_slice(&pixel.to_le_bytes()[..CHANNELS]),
            }
        }
    }
}

/// One pixel from the halves of each of two sums, shifted down to values of a byte or a little beyond.
#[target_feature(enable = "avx2")]
fn both(one: __m256i, two: __m256i) -> __m256i {
    let lower = _mm256_permute2x128_si256::<0x20>(one, two);
    let upper = _mm256_permute2x128_si256::<0x31>(one, two);
    _mm256_srai_epi32::<{ PRECISION as i32 }>(_mm256_add_epi32(lower, upper))
}

/// One line of [`super::Instructions::down`]. The processor must have AVX2.
#[target_feature(enable = "avx2")]
pub fn down(from: Lines, weights: Weights, to: &mut [u8]) {
    const BLOCK: usize = 32;
    let zero = _mm256_setzero_si256();
    let half = _mm256_set1_epi32(HALF);
    let mut x = 0;
    while x + BLOCK <= to.len() {
        let mut low = [zero; 4];
        let mut high = [zero; 4];
        for (step, taps) in weights.whole.chunks(2).enumerate() {
            let pair = weights.pairs[step];
            let weight_low = _mm256_set1_epi32(packed(pair.low));
            let weight_high = _mm256_set1_epi32(packed(pair.high));
            let one = load32(&from.bytes[2 * step * from.pitch + x..]);
            // An odd last tap has no partner: its weight is zero, so any row will do.
            let two = if taps.len() == 2 { load32(&from.bytes[(2 * step + 1) * from.pitch + x..]) } else { one };
            let (first, second) = (_mm256_unpacklo_epi8(one, two), _mm256_unpackhi_epi8(one, two));
            let quarters = [
                _mm256_unpacklo_epi8(first, zero),
                _mm256_unpackhi_epi8(first, zero),
                _mm256_unpacklo_epi8(second, zero),
                _mm256_unpackhi_epi8(second, zero),
            ];
            for (n, quarter) in quarters.into_iter().enumerate() {
                low[n] = _mm256_add_epi32(low[n], _mm256_madd_epi16(quarter, weight_low));
                high[n] = _mm256_add_epi32(high[n], _mm256_madd_epi16(quarter, weight_high));
            }
        }
        let mut values = [zero; 4];
        for n in 0..4 {
            values[n] = _mm256_srai_epi32::<{ PRECISION as i32 }>(_mm256_add_epi32(joined(low[n], high[n]), half));
        }
        // The packs undo the unpacks: both stay within their half.
        let bytes =
            _mm256_packus_epi16(_mm256_packs_epi32(values[0], values[1]), _mm256_packs_epi32(values[2], values[3]));
        store32(&mut to[x..], bytes);
        x += BLOCK;
    }
    scalar::down(from, weights, to, x);
}

/// Four weights: the first two everywhere in the lower half, the others in the upper; low parts and high parts.
#[target_feature(enable = "avx2")]
fn halves(first: Pair, second: Pair) -> (__m256i, __m256i) {
    let spread =
        |one: [i16; 2], two: [i16; 2]| _mm256_set_m128i(_mm_set1_epi32(packed(two)), _mm_set1_epi32(packed(one)));
    (spread(first.low, second.low), spread(first.high, second.high))
}

#[target_feature(enable = "avx2")]
fn joined(low: __m256i, high: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_slli_epi32::<{ SPLIT as i32 }>(high), low)
}

fn packed(two: [i16; 2]) -> i32 {
    i32::from(two[0]) & 0xffff | i32::from(two[1]) << 16
}

#[target_feature(enable = "avx2")]
fn load16(bytes: &[u8]) -> __m128i {
    let bytes = &bytes[..16];
    // SAFETY: the slice has 16 bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8]) -> __m256i {
    let bytes = &bytes[..32];
    // SAFETY: the slice has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store32(bytes: &mut [u8], value: __m256i) {
    let bytes = &mut bytes[..32];
    // SAFETY: the slice has 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), value) }
}
