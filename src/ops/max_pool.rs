//! The stem's max-pool: 3x3 windows of stride 2, padded by 1 (PyTorch: `MaxPool2d(3, 2, 1)`).

use std::ops::Range;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::Shape;
use super::simd::vectorized;

/// The output's shape: half of each side, rounded up.
pub fn max_pool_3x3_shape(input: Shape) -> Result<Shape> {
    ensure!(input.area() > 0, "a max-pool cannot take a feature map {input}");
    Ok(Shape::new(input.batch, input.height.div_ceil(2), input.width.div_ceil(2), input.channels))
}

/// Maxima over what of each window lies inside.
pub fn max_pool_3x3(input: &[f32], shape: Shape, out: &mut [f32]) -> Result<()> {
    let out_shape = max_pool_3x3_shape(shape)?;
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), out_shape.len());
    let row_len = shape.width * shape.channels;
    out.par_chunks_exact_mut(out_shape.width * shape.channels).enumerate().for_each(|(index, out_row)| {
        let image = &input[index / out_shape.height * shape.image_len()..][..shape.image_len()];
        let rows = window(index % out_shape.height, shape.height);
        for (x, out) in out_row.chunks_exact_mut(shape.channels).enumerate() {
            let columns = window(x, shape.width);
            out.fill(f32::NEG_INFINITY);
            for y in rows.clone() {
                let pixels = &image[y * row_len..][columns.start * shape.channels..columns.end * shape.channels];
                maxima(pixels, out);
            }
        }
    });
    Ok(())
}

/// The places along one side that output `at` sees.
fn window(at: usize, size: usize) -> Range<usize> {
    (2 * at).saturating_sub(1)..size.min(2 * at + 2)
}

vectorized! {
    /// As in PyTorch a NaN stays.
    fn maxima(pixels: &[f32], out: &mut [f32]) {
        for pixel in pixels.chunks_exact(out.len()) {
            for (max, x) in out.iter_mut().zip(pixel) {
                *max = if *x > *max || x.is_nan() { *x } else { *max };
            }
        }
    }
}

/// The input's gradient of [`max_pool_3x3`], into `out`: each output's goes to the first of its window's places, row by
/// row, that holds the maximum, as PyTorch's does.
pub fn max_pool_3x3_gradient(gradient: &[f32], input: &[f32], shape: Shape, out: &mut [f32]) -> Result<()> {
    let out_shape = max_pool_3x3_shape(shape)?;
    assert_eq!(input.len(), shape.len());
    assert_eq!(gradient.len(), out_shape.len());
    assert_eq!(out.len(), shape.len());
    let images = out.par_chunks_exact_mut(shape.image_len()).zip(input.par_chunks_exact(shape.image_len()));
    images.zip(gradient.par_chunks_exact(out_shape.image_len())).for_each(|((out, input), gradient)| {
        out.fill(0.0);
        for (at, gradient) in gradient.chunks_exact(shape.channels).enumerate() {
            let (rows, columns) =
                (window(at / out_shape.width, shape.height), window(at % out_shape.width, shape.width));
            for (channel, g) in gradient.iter().enumerate() {
                let places = rows.clone().flat_map(|y| columns.clone().map(move |x| y * shape.width + x));
                let mut best: Option<(usize, f32)> = None;
                for place in places.map(|pixel| pixel * shape.channels + channel) {
                    let x = input[place];
                    if best.is_none_or(|(_, max)| x > max || x.is_nan()) {
                        best = Some((place, x));
                    }
                }
                if let Some((place, _)) = best {
                    out[place] += g;
                }
            }
        }
    });
    Ok(())
}
