//! Between two pictures, or beyond the second: Pillow's `Image.blend` and the enhancements made of it.

use super::gray::gray_pixels;
use super::smooth::smooth;
use crate::ops::vectorized;

/// `from + factor * (to - from)` in f32, clipped and truncated.
#[inline(always)]
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (i32::from(from), i32::from(to));
    (from as f32 + factor * (to - from) as f32).clamp(0.0, 255.0) as i32 as u8
}

vectorized! {
    /// Blends `from` with `image`, in place of `image`: `from` at 0, as it was at 1.
    pub(super) fn blend_from(image: &mut [u8], from: &[u8], factor: f32) {
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
