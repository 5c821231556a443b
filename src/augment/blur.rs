//! Pillow's Gaussian blur: three box blurs, whose boxes end in fractions of a pixel, along each axis
//! (Gwosdek, Grewenig, Bruhn and Weickert 2011).

use super::Rgb;
use crate::ops::vectorized;

const PASSES: usize = 3;

/// Fractional bits of a weight.
const BITS: u32 = 24;

/// A box: `inner` for the pixels within `radius`, `outer` for the one behind them on each side.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    radius: usize,
    inner: u32,
    outer: u32,
}

impl Kernel {
    /// The box that, applied three times, is nearest to a Gaussian of deviation `sigma`: Pillow's arithmetic, f32 where
    /// its C says `float`. `sigma` is not negative.
    fn nearest_to(sigma: f32) -> Self {
        let variance = sigma * sigma / PASSES as f32;
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
        let radius = (whole + part) as usize;
        let inner = ((1 << BITS) as f32 / ((whole + part) * 2.0 + 1.0)) as u32;
        let outer = ((1 << BITS) - (radius as u32 * 2 + 1) * inner) / 2;
        Self { radius, inner, outer }
    }
}

/// Blurs `image` by a Gaussian whose deviation is `sigma` pixels; none at 0.
pub(super) fn gaussian_blur(image: &mut Rgb, sigma: f32, spare: &mut Vec<u8>) {
    if sigma <= 0.0 || image.pixels.is_empty() {
        return;
    }
    let kernel = Kernel::nearest_to(sigma);
    let pitch = image.width * 3;
    let margin = (kernel.radius + 1) * 3;
    for row in image.pixels.chunks_exact_mut(pitch) {
        for _ in 0..PASSES {
            // The row with its end pixels repeated.
            spare.clear();
            spare.extend(row[..3].iter().cycle().take(margin));
            spare.extend_from_slice(row);
            spare.extend(row[pitch - 3..].iter().cycle().take(margin));
            slide(spare, 3, kernel, row);
        }
    }
    let last = image.height - 1;
    for _ in 0..PASSES {
        // The picture with its end rows repeated.
        spare.clear();
        for row in 0..image.height + 2 * (kernel.radius + 1) {
            let row = row.saturating_sub(kernel.radius + 1).min(last);
            spare.extend_from_slice(&image.pixels[row * pitch..][..pitch]);
        }
        slide(spare, pitch, kernel, &mut image.pixels);
    }
}

vectorized! {
    /// Each byte of `to` out of those `stride` bytes apart in `from`, which begins `radius + 1` strides before it.
    fn slide(from: &[u8], stride: usize, kernel: Kernel, to: &mut [u8]) {
        const BLOCK: usize = 256;
        let mut sums = [0u32; BLOCK];
        let behind = (2 * kernel.radius + 2) * stride;
        for (n, to) in to.chunks_mut(BLOCK).enumerate() {
            let from = &from[n * BLOCK..];
            let sums = &mut sums[..to.len()];
            sums.fill(0);
            for step in 1..2 * kernel.radius + 2 {
                for (sum, &value) in sums.iter_mut().zip(&from[step * stride..]) {
                    *sum += u32::from(value);
                }
            }
            let ends = from[..to.len()].iter().zip(&from[behind..][..to.len()]);
            for ((to, &sum), (&first, &last)) in to.iter_mut().zip(&*sums).zip(ends) {
                let total = sum * kernel.inner + (u32::from(first) + u32::from(last)) * kernel.outer;
                *to = ((total + (1 << (BITS - 1))) >> BITS) as u8;
            }
        }
    }
}
