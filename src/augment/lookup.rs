//! Operations that map each byte to another: a table of 256 for each channel. Pillow's `ImageOps`, byte for byte.

use super::enhance::{blend, mean_gray};

/// What becomes of each value, a table for each channel.
pub(super) type Tables = [[u8; 256]; 3];

/// Occurrences of each value, channel by channel.
type Histograms = [[u32; 256]; 3];

/// Replaces every byte of `pixels` by its channel's table's.
pub(super) fn look_up(pixels: &mut [u8], tables: &Tables) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        for (value, table) in pixel.iter_mut().zip(tables) {
            *value = table[usize::from(*value)];
        }
    }
}

/// One table for all three channels.
fn shared(of: impl Fn(u8) -> u8) -> Tables {
    [std::array::from_fn(|value| of(value as u8)); 3]
}

/// 255 less each value.
pub(super) fn invert() -> Tables {
    shared(|value| 255 - value)
}

/// Inverts the values from `threshold` on; none at 256.
pub(super) fn solarize(threshold: u16) -> Tables {
    shared(|value| if u16::from(value) < threshold { value } else { 255 - value })
}

/// Adds `add` to the values below 128.
pub(super) fn solarize_add(add: u8) -> Tables {
    shared(|value| if value < 128 { value.saturating_add(add) } else { value })
}

/// Keeps the upper `bits` bits. None or fewer leave black, as Pillow did before version 13, which refuses them and
/// with them the strongest posterisation of timm's increasing sets.
pub(super) fn posterize(bits: i32) -> Tables {
    let mask = if bits <= 0 { 0 } else { (0xff_u32 << (8 - bits.min(8))) as u8 };
    shared(|value| value & mask)
}

/// `blend` of one value and each: `from + factor * (value - from)`, clipped.
fn blended(from: u8, factor: f32) -> Tables {
    shared(|value| blend(from, value, factor))
}

/// Towards black or away from it.
pub(super) fn brightness(factor: f32) -> Tables {
    blended(0, factor)
}

/// Towards the picture's mean gray or away from it.
pub(super) fn contrast(pixels: &[u8], factor: f32) -> Tables {
    blended(mean_gray(pixels), factor)
}

fn histograms(pixels: &[u8]) -> Histograms {
    let mut counts = [[0; 256]; 3];
    for pixel in pixels.as_chunks::<3>().0 {
        for (value, counts) in pixel.iter().zip(&mut counts) {
            counts[usize::from(*value)] += 1;
        }
    }
    counts
}

/// Stretches each channel to the whole range, unless it has but one value.
pub(super) fn auto_contrast(pixels: &[u8]) -> Tables {
    histograms(pixels).map(|counts| {
        let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
        if high <= low {
            return std::array::from_fn(|value| value as u8);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        // The cast truncates and clips.
        std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
    })
}

/// Evens out each channel's histogram.
pub(super) fn equalize(pixels: &[u8]) -> Tables {
    histograms(pixels).map(|counts| {
        let identity = std::array::from_fn(|value| value as u8);
        let Some(&last) = counts.iter().rfind(|&&n| n > 0) else { return identity };
        // One value alone leaves a step of zero too.
        let step = (counts.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return identity;
        }
        let mut below = step / 2;
        counts.map(|count| {
            let to = below / step;
            below += count;
            to.min(255) as u8
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bits_left_is_black() {
        for bits in [0, -1, -40] {
            assert_eq!(posterize(bits), [[0; 256]; 3], "{bits}");
        }
    }

    #[test]
    fn an_empty_picture_keeps_every_value() {
        assert_eq!(auto_contrast(&[])[1][77], 77);
        assert_eq!(equalize(&[])[1][77], 77);
    }
}
