//! The work on a block with AVX2 and the shifts of BMI2, which take their distance from any register.

use std::arch::x86_64::*;

use super::huffman::{Block, Pair};
use super::idct::{DOWN, FRACTION, KEPT, Samples, flat, turns};
use super::scan::Machine;
use super::stream::Bits;

/// A processor that has all this.
pub struct Avx2;

impl Avx2 {
    /// Whether this one has.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")
    }
}

// SAFETY of all: this machine is chosen only where it was detected.
impl Machine for Avx2 {
    fn read(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
        // SAFETY: as above.
        unsafe { read(pair, bytes, bits, last, block) }
    }
    fn skip(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
        // SAFETY: as above.
        unsafe { skip(pair, bytes, bits, last, block) }
    }
    fn transform(block: &[i16; 64], quantisation: &[i16; 64]) -> Samples {
        // SAFETY: as above.
        unsafe { transform(block, quantisation) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn read(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
    pair.read::<true>(bytes, bits, last, block)
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn skip(pair: &Pair, bytes: &[u8], bits: &mut Bits, last: &mut i32, block: &mut Block) -> Option<()> {
    pair.read::<false>(bytes, bits, last, block)
}

type Rows = [__m128i; 8];

#[target_feature(enable = "avx2")]
fn transform(block: &[i16; 64], quantisation: &[i16; 64]) -> Samples {
    let rows: Rows = std::array::from_fn(|n| load(block, n));
    let lower = rows[1..].iter().fold(_mm_setzero_si128(), |any, &row| _mm_or_si128(any, row));
    let products: Rows = std::array::from_fn(|n| _mm_mullo_epi16(rows[n], load(quantisation, n)));
    let between = if is_zero(lower) {
        if is_zero(_mm_srli_si128::<2>(rows[0])) {
            return [[flat(_mm_cvtsi128_si32(products[0]) as i16); 8]; 8];
        }
        // No sums: this wraps where the pass would cut off.
        [_mm_slli_epi16::<KEPT>(products[0]); 8]
    } else {
        pass::<{ DOWN[0] }>(products)
    };
    let rows = transposed(pass::<{ DOWN[1] }>(transposed(between)));
    let centre = _mm_set1_epi8(-128);
    let mut samples = [[0; 8]; 8];
    for (two, pair) in samples.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
        let bytes = _mm_xor_si128(_mm_packs_epi16(pair[0], pair[1]), centre);
        two[0] = _mm_cvtsi128_si64(bytes).to_le_bytes();
        two[1] = _mm_cvtsi128_si64(_mm_unpackhi_epi64(bytes, bytes)).to_le_bytes();
    }
    samples
}

#[inline]
#[target_feature(enable = "avx2")]
fn is_zero(values: __m128i) -> bool {
    _mm_testz_si128(values, values) == 1
}

/// Row `n` of 8.
#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[i16; 64], n: usize) -> __m128i {
    let row = &values[8 * n..][..8];
    // SAFETY: the slice has 16 bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(row.as_ptr().cast()) }
}

/// The lower four and the upper four sums of 32 bits.
#[derive(Clone, Copy)]
struct Wide(__m128i, __m128i);

impl Wide {
    /// `a * by[0] + b * by[1]`, of `a` and `b` interleaved.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn dot(pairs: Self, by: [i16; 2]) -> Self {
        let by = _mm_set1_epi32(i32::from(by[0]) & 0xffff | i32::from(by[1]) << 16);
        Self(_mm_madd_epi16(pairs.0, by), _mm_madd_epi16(pairs.1, by))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn interleaved(a: __m128i, b: __m128i) -> Self {
        Self(_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b))
    }

    /// `value << FRACTION`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn widened(value: __m128i) -> Self {
        let Self(low, high) = Self::interleaved(_mm_setzero_si128(), value);
        Self(_mm_srai_epi32::<{ 16 - FRACTION }>(low), _mm_srai_epi32::<{ 16 - FRACTION }>(high))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn plus(self, other: Self) -> Self {
        Self(_mm_add_epi32(self.0, other.0), _mm_add_epi32(self.1, other.1))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn minus(self, other: Self) -> Self {
        Self(_mm_sub_epi32(self.0, other.0), _mm_sub_epi32(self.1, other.1))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn narrowed<const BY: i32>(self) -> __m128i {
        _mm_packs_epi32(_mm_srai_epi32::<BY>(self.0), _mm_srai_epi32::<BY>(self.1))
    }
}

/// All eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn pass<const BY: i32>([in0, in1, in2, in3, in4, in5, in6, in7]: Rows) -> Rows {
    let half = Wide(_mm_set1_epi32(1 << (BY - 1)), _mm_set1_epi32(1 << (BY - 1)));
    // The rounding goes in where it is in every result.
    let sum = Wide::widened(_mm_add_epi16(in0, in4)).plus(half);
    let difference = Wide::widened(_mm_sub_epi16(in0, in4)).plus(half);
    let twos = Wide::interleaved(in2, in6);
    let (even2, even6) = (Wide::dot(twos, turns::EVEN_2), Wide::dot(twos, turns::EVEN_6));
    let sums = Wide::interleaved(_mm_add_epi16(in7, in3), _mm_add_epi16(in5, in1));
    let (third, fourth) = (Wide::dot(sums, turns::SUM_3), Wide::dot(sums, turns::SUM_4));
    let (outer, inner) = (Wide::interleaved(in7, in1), Wide::interleaved(in5, in3));
    let pairs = [
        (sum.plus(even2), Wide::dot(outer, turns::ODD_1).plus(fourth)),
        (difference.plus(even6), Wide::dot(inner, turns::ODD_3).plus(third)),
        (difference.minus(even6), Wide::dot(inner, turns::ODD_5).plus(fourth)),
        (sum.minus(even2), Wide::dot(outer, turns::ODD_7).plus(third)),
    ];
    let mut rows = [half.0; 8];
    for (n, (even, odd)) in pairs.into_iter().enumerate() {
        rows[n] = even.plus(odd).narrowed::<BY>();
        rows[7 - n] = even.minus(odd).narrowed::<BY>();
    }
    rows
}

#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: Rows) -> Rows {
    let [a, b, c, d, e, f, g, h] = rows;
    let (ab, cd) = (Wide::interleaved(a, b), Wide::interleaved(c, d));
    let (ef, gh) = (Wide::interleaved(e, f), Wide::interleaved(g, h));
    let fours = |one: __m128i, other: __m128i| [_mm_unpacklo_epi32(one, other), _mm_unpackhi_epi32(one, other)];
    let (upper, lower) = ([fours(ab.0, cd.0), fours(ab.1, cd.1)], [fours(ef.0, gh.0), fours(ef.1, gh.1)]);
    std::array::from_fn(|n| {
        let (up, low) = (upper[n / 4][n / 2 % 2], lower[n / 4][n / 2 % 2]);
        if n % 2 == 0 { _mm_unpacklo_epi64(up, low) } else { _mm_unpackhi_epi64(up, low) }
    })
}

#[cfg(test)]
mod tests {
    use super::super::scan::Plain;
    use super::*;

    /// Blocks of all kinds: sparse ones as pictures have them, a row alone, and numbers beyond all sense.
    #[test]
    fn vectors_equal_plain_numbers() {
        if !Avx2::detected() {
            return;
        }
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u32
        };
        for round in 0..4000 {
            let most = [3, 60, 2000, 60_000][round % 4];
            let filled = [1, 5, 8, 64][round / 4 % 4];
            let mut block = [0; 64];
            block[..filled].fill_with(|| ((random() % (2 * most + 1)) as i32 - most as i32) as i16);
            let quantisation = std::array::from_fn(|_| (random() % [2, 20, 256, 65536][round / 16 % 4]) as i16);
            let expected = Plain::transform(&block, &quantisation);
            assert_eq!(Avx2::transform(&block, &quantisation), expected, "{block:?} {quantisation:?}");
        }
    }
}
