//! Pillow's `Image.blend`, and the `ImageEnhance` operations made of it: between a picture and its grays or its smoothed
//! self, or beyond the picture.

use crate::ops::vectorized;

/// `from + factor * (to - from)` in f32, clipped and truncated.
#[inline(always)]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (i32::from(from), i32::from(to));
    (from as f32 + factor * (to - from) as f32).clamp(0.0, 255.0) as i32 as u8
}

vectorized! {
    /// Blends `from` with `image`, in place of `image`: `from` at 0, as it was at 1.
    fn blend_from(image: &mut [u8], from: &[u8], factor: f32) {
        for (value, &from) in image.iter_mut().zip(from) {
            *value = blend(from, *value, factor);
        }
    }
}

vectorized! {
    /// Blends `image` with `to`, in place of `image`: as it was at 0, `to` at 1.
    pub(super) fn blend_to(image: &mut [u8], to: &[u8], factor: f32) {
        for (value, &to) in image.iter_mut().zip(to) {
            *value = blend(*value, to, factor);
        }
    }
}

/// Towards the picture's grays or away from them: `ImageEnhance.Color`.
pub(super) fn color(pixels: &mut [u8], factor: f32, spare: &mut Vec<u8>) {
    spare.resize(pixels.len(), 0);
    gray_pixels(pixels, spare);
    blend_from(pixels, spare, factor);
}

/// Towards the smoothed picture or away from it: `ImageEnhance.Sharpness`.
pub(super) fn sharpness(pixels: &mut [u8], width: usize, factor: f32, spare: &mut Vec<u8>) {
    spare.resize(pixels.len(), 0);
    smooth(pixels, width, spare);
    blend_from(pixels, spare, factor);
}

/// The gray of a colour: ITU-R 601 luma in 16 fractional bits, as Pillow's conversion to `L` has it.
fn gray([red, green, blue]: [u8; 3]) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    // At most 255 * 65536 + 32768.
    ((sum + 0x8000) >> 16) as u8
}

vectorized! {
    /// Writes the gray of each pixel into all three of `to`'s bytes for it.
    fn gray_pixels(pixels: &[u8], to: &mut [u8]) {
        for (pixel, to) in pixels.as_chunks::<3>().0.iter().zip(to.as_chunks_mut::<3>().0) {
            *to = [gray(*pixel); 3];
        }
    }
}

vectorized! {
    fn gray_sum(pixels: &[u8]) -> u64 {
        // A block's sum fits 32 bits.
        pixels.chunks(3 << 12).map(|block| {
            u64::from(block.as_chunks::<3>().0.iter().map(|&pixel| u32::from(gray(pixel))).sum::<u32>())
        }).sum()
    }
}

/// The mean gray, rounded; 0 of no pixels.
pub(super) fn mean_gray(pixels: &[u8]) -> u8 {
    let count = (pixels.len() / 3).max(1);
    (gray_sum(pixels) as f64 / count as f64 + 0.5) as u8
}

/// Writes the smoothed `pixels`, rows of `width` pixels, into `to`: Pillow's `ImageFilter.SMOOTH`, 3 x 3, ones around a
/// five, over 13; the pixels at the border stay.
fn smooth(pixels: &[u8], width: usize, to: &mut [u8]) {
    let pitch = width * 3;
    to.copy_from_slice(pixels);
    if width < 3 {
        return;
    }
    for top in 0..(pixels.len() / pitch).saturating_sub(2) {
        let rows = &pixels[top * pitch..][..3 * pitch];
        let (above, rest) = rows.split_at(pitch);
        let (here, below) = rest.split_at(pitch);
        smooth_row(above, here, below, &mut to[(top + 1) * pitch + 3..][..pitch - 6]);
    }
}

vectorized! {
    /// All but the first and the last pixel of the middle row.
    fn smooth_row(above: &[u8], here: &[u8], below: &[u8], to: &mut [u8]) {
        let len = to.len();
        let [a, b, c] = [above, here, below].map(|row| (&row[..len], &row[3..3 + len], &row[6..6 + len]));
        for (i, to) in to.iter_mut().enumerate() {
            let sum = |row: (&[u8], &[u8], &[u8])| u16::from(row.0[i]) + u16::from(row.1[i]) + u16::from(row.2[i]);
            let total = sum(a) + sum(b) + sum(c) + 4 * u16::from(b.1[i]);
            // Rounded: a thirteenth is never a half, so Pillow's sum in f32 rounds to the same.
            *to = ((2 * total + 13) / 26) as u8;
        }
    }
}
