//! Anti-aliased downsampling: a binomial blur, then every second pixel (Zhang, arXiv 1904.11486).

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::Shape;

/// The output's shape; a side of 1 cannot be reflected.
pub fn blur_pool_shape(input: Shape) -> Result<Shape> {
    ensure!(input.height > 1 && input.width > 1, "a blur-pool cannot reflect the border of a feature map {input}");
    Ok(Shape::new(input.batch, input.height.div_ceil(2), input.width.div_ceil(2), input.channels))
}

/// Reflection-pads by 1, filters each channel with `[1 2 1] x [1 2 1] / 16`, keeps every second pixel of each side.
pub fn blur_pool(input: &[f32], shape: Shape, out: &mut [f32]) -> Result<()> {
    let out_shape = blur_pool_shape(shape)?;
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), out_shape.len());
    let row_len = shape.width * shape.channels;
    let rows = out_shape.height;
    out.par_chunks_exact_mut(out_shape.width * shape.channels).enumerate().for_each(|(index, out_row)| {
        let image = &input[index / rows * shape.image_len()..][..shape.image_len()];
        let source = neighbours(2 * (index % rows), shape.height).map(|y| &image[y * row_len..][..row_len]);
        for (x, out) in out_row.chunks_exact_mut(shape.channels).enumerate() {
            let columns = neighbours(2 * x, shape.width);
            let pixels = source.map(|row| columns.map(|x| &row[x * shape.channels..][..shape.channels]));
            filter(pixels, out);
        }
    });
    Ok(())
}

/// `at - 1`, `at`, `at + 1`, reflected at the ends of `0..size`.
fn neighbours(at: usize, size: usize) -> [usize; 3] {
    [if at == 0 { 1 } else { at - 1 }, at, if at + 1 == size { size - 2 } else { at + 1 }]
}

/// One output pixel of all channels.
fn filter([above, here, below]: [[&[f32]; 3]; 3], out: &mut [f32]) {
    let column = |[left, centre, right]: [&[f32]; 3], at: usize| left[at] + 2.0 * centre[at] + right[at];
    for (at, out) in out.iter_mut().enumerate() {
        *out = (column(above, at) + 2.0 * column(here, at) + column(below, at)) * (1.0 / 16.0);
    }
}

/// The input's gradient of [`blur_pool`], into `out`: each output pixel gives back to the nine that it read.
pub fn blur_pool_gradient(gradient: &[f32], shape: Shape, out: &mut [f32]) -> Result<()> {
    let out_shape = blur_pool_shape(shape)?;
    assert_eq!(gradient.len(), out_shape.len());
    assert_eq!(out.len(), shape.len());
    let row_len = out_shape.width * shape.channels;
    out.par_chunks_exact_mut(shape.width * shape.channels).enumerate().for_each(|(index, row)| {
        let (image, y) = (index / shape.height, index % shape.height);
        let rows = readers(y, shape.height);
        for (x, out) in row.chunks_exact_mut(shape.channels).enumerate() {
            out.fill(0.0);
            for (column, horizontal) in readers(x, shape.width).into_iter().flatten() {
                for (row, vertical) in rows.into_iter().flatten() {
                    let at = (image * out_shape.height + row) * row_len + column * shape.channels;
                    let weight = vertical * horizontal * (1.0 / 16.0);
                    for (out, g) in out.iter_mut().zip(&gradient[at..]) {
                        *out += weight * g;
                    }
                }
            }
        }
    });
    Ok(())
}

/// The outputs along one side that read `at`, and with which weight: two neighbours for an odd place, one for an even
/// one, and the reflections at the ends read a place a second time.
fn readers(at: usize, size: usize) -> [Option<(usize, f32)>; 3] {
    let outputs = size.div_ceil(2);
    let weight = |output: usize| {
        let taps = neighbours(2 * output, size).into_iter().zip([1.0, 2.0, 1.0]);
        taps.filter(|(source, _)| *source == at).map(|(_, weight)| weight).sum::<f32>()
    };
    let first = (at / 2).saturating_sub(1);
    std::array::from_fn(|index| {
        let output = first + index;
        (output < outputs).then(|| (output, weight(output))).filter(|(_, weight)| *weight > 0.0)
    })
}
