//! Average pools.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::Shape;

/// The output's shape: half of each side, rounded up.
pub fn average_pool_2x2_shape(input: Shape) -> Shape {
    Shape::new(input.batch, input.height.div_ceil(2), input.width.div_ceil(2), input.channels)
}

/// Means over 2x2 windows of stride 2. A window that hangs over the border counts what lies inside (PyTorch:
/// `ceil_mode=True, count_include_pad=False`).
pub fn average_pool_2x2(input: &[f32], shape: Shape, out: &mut [f32]) {
    let out_shape = average_pool_2x2_shape(shape);
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), out_shape.len());
    let row_len = shape.width * shape.channels;
    out.par_chunks_exact_mut(out_shape.width * shape.channels).enumerate().for_each(|(index, out_row)| {
        let image = &input[index / out_shape.height * shape.image_len()..][..shape.image_len()];
        let y = 2 * (index % out_shape.height);
        let top = &image[y * row_len..][..row_len];
        let bottom = image.get((y + 1) * row_len..(y + 2) * row_len);
        for (x, out) in out_row.chunks_exact_mut(shape.channels).enumerate() {
            let left = 2 * x * shape.channels;
            let right = if 2 * x + 1 < shape.width { left + shape.channels } else { left };
            // A missing neighbour is its own mirror: the mean of what is there, without a second form of the loop.
            let bottom = bottom.unwrap_or(top);
            let [a, b, c, d] =
                [(top, left), (top, right), (bottom, left), (bottom, right)].map(|(row, at)| &row[at..][..out.len()]);
            for (at, out) in out.iter_mut().enumerate() {
                *out = (a[at] + b[at] + c[at] + d[at]) * 0.25;
            }
        }
    });
}

/// Means over all positions: `[batch, height, width, channels]` to `[batch, channels]`.
pub fn global_average_pool(input: &[f32], shape: Shape, out: &mut [f32]) -> Result<()> {
    ensure!(shape.area() > 0, "a feature map {shape} has no positions to average");
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), shape.batch * shape.channels);
    let scale = 1.0 / shape.area() as f32;
    input.par_chunks_exact(shape.image_len()).zip(out.par_chunks_exact_mut(shape.channels)).for_each(|(image, out)| {
        out.fill(0.0);
        for pixel in image.chunks_exact(shape.channels) {
            for (sum, value) in out.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        for sum in out {
            *sum *= scale;
        }
    });
    Ok(())
}

/// The input's gradient of [`average_pool_2x2`], into `out`.
pub fn average_pool_2x2_gradient(gradient: &[f32], shape: Shape, out: &mut [f32]) {
    let out_shape = average_pool_2x2_shape(shape);
    assert_eq!(gradient.len(), out_shape.len());
    assert_eq!(out.len(), shape.len());
    out.par_chunks_exact_mut(shape.width * shape.channels).enumerate().for_each(|(index, row)| {
        let (image, y) = (index / shape.height, index % shape.height);
        let rows = if (y ^ 1) < shape.height { 2 } else { 1 };
        let from = &gradient[(image * out_shape.height + y / 2) * out_shape.width * shape.channels..];
        for (x, out) in row.chunks_exact_mut(shape.channels).enumerate() {
            let columns = if (x ^ 1) < shape.width { 2 } else { 1 };
            let scale = 1.0 / (rows * columns) as f32;
            for (out, g) in out.iter_mut().zip(&from[x / 2 * shape.channels..]) {
                *out = g * scale;
            }
        }
    });
}

/// The input's gradient of [`global_average_pool`], into `out`.
pub fn global_average_pool_gradient(gradient: &[f32], shape: Shape, out: &mut [f32]) {
    assert_eq!(gradient.len(), shape.batch * shape.channels);
    assert_eq!(out.len(), shape.len());
    let scale = 1.0 / shape.area() as f32;
    out.par_chunks_exact_mut(shape.channels).enumerate().for_each(|(pixel, out)| {
        for (out, g) in out.iter_mut().zip(&gradient[pixel / shape.area() * shape.channels..]) {
            *out = g * scale;
        }
    });
}
