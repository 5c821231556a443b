//! The gray of a colour: ITU-R 601 luma in 16 fractional bits, as Pillow's conversion to `L` has it.

use crate::ops::vectorized;

fn gray([red, green, blue]: [u8; 3]) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    // At most 255 * 65536 + 32768.
    ((sum + 0x8000) >> 16) as u8
}

vectorized! {
    /// Writes the gray of each pixel into all three of `to`'s bytes for it.
    pub(super) fn gray_pixels(pixels: &[u8], to: &mut [u8]) {
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
