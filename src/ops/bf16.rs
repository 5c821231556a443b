//! Numbers in pairs of bf16, as the processors that multiply bf16 want them: two neighbours of a sum in one 32-bit
//! word, the first in the low half.

use rayon::prelude::*;

use super::scratch::Scratch;
use super::simd::vectorized;

/// Two numbers, rounded to nearest even. The word travels as an f32 of the same bits, since sums and products then
/// share one kernel; nobody reads it as a number.
#[inline(always)]
pub(super) fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(round(low) | round(high) << 16)
}

/// `[pixels][channels]` f32 as `[pixels][channels / 2, rounded up]` pairs; an odd last channel is paired with zero.
pub(super) fn pairs(values: &[f32], channels: usize) -> Scratch {
    /// Pixels that a task takes.
    const CHUNK: usize = 64;
    let words = channels.div_ceil(2);
    let mut out = Scratch::new(values.len() / channels * words);
    out.par_chunks_mut(CHUNK * words)
        .zip(values.par_chunks(CHUNK * channels))
        .for_each(|(out, values)| pair_up(values, channels, out));
    out
}

vectorized! {
    fn pair_up(values: &[f32], channels: usize, out: &mut [f32]) {
        let words = channels.div_ceil(2);
        for (pixel, out) in values.chunks_exact(channels).zip(out.chunks_exact_mut(words)) {
            let (two, odd) = pixel.as_chunks::<2>();
            for (&[low, high], out) in two.iter().zip(out.iter_mut()) {
                *out = pair(low, high);
            }
            if let ([last], Some(out)) = (odd, out.last_mut()) {
                *out = f32::from_bits(round(*last));
            }
        }
    }
}

vectorized! {
    /// Two rows of as many numbers, pair by pair.
    pub(super) fn pair_rows(low: &[f32], high: &[f32], out: &mut [f32]) {
        for ((low, high), out) in low.iter().zip(high).zip(out) {
            *out = pair(*low, *high);
        }
    }
}

/// `[pixels][channels]` f32 as `[pixels / 2, rounded up][channels]` pairs of neighbouring pixels; an odd last pixel is
/// paired with zeros.
pub(super) fn row_pairs(values: &[f32], channels: usize) -> Scratch {
    let mut out = Scratch::new((values.len() / channels).div_ceil(2) * channels);
    let zeros = vec![0.0; channels];
    out.par_chunks_exact_mut(channels).zip(values.par_chunks(2 * channels)).for_each(|(out, rows)| {
        let (low, high) = rows.split_at(channels);
        pair_rows(low, if high.is_empty() { &zeros } else { high }, out);
    });
    out
}

/// The bits of `value` as bf16, to nearest even, without a branch that would keep a loop from being vectorised.
/// A NaN stays one.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7FFF + (bits >> 16 & 1))) >> 16;
    if value.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate() {
        for value in [0.0, -0.0, 1.0, 1.003_906_3, 1.007_812_5, -2.6457512, 1e-40, 3.4e38, f32::INFINITY, f32::NAN] {
            assert_eq!(round(value), u32::from(bf16::from_f32(value).to_bits()), "{value}");
        }
    }

    #[test]
    fn an_odd_channel_is_paired_with_zero() {
        let words = pairs(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        let expected = [pair(1.0, 2.0), pair(3.0, 0.0), pair(4.0, 5.0), pair(6.0, 0.0)];
        assert_eq!(words.to_vec().map_bits(), expected.to_vec().map_bits());
    }

    trait Bits {
        fn map_bits(self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map_bits(self) -> Vec<u32> {
            self.into_iter().map(f32::to_bits).collect()
        }
    }
}
