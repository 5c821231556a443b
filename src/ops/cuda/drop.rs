//! Launches of drop.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Shape};

/// [`crate::ops::join_scaled`]: `out = activation(branch * the image's scale + residual)`; `out` may be the branch.
pub fn join(
    element: Element,
    shape: Shape,
    [branch, residual]: [&Region; 2],
    scales: &Region,
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    Builder::new("join_scaled", element, shape)
        .channels(shape.channels)
        .values(branch, shape.len())
        .values(residual, shape.len())
        .words(scales, shape.batch)
        .float(activation.slope())
        .values(out, shape.len())
        .ints([shape.batch, shape.area(), shape.channels])
        .threads(shape.len() / EIGHT)
}

/// [`crate::ops::scale_runs`] with a scale an image.
pub fn scale_images(element: Element, shape: Shape, values: &Region, scales: &Region, out: &Region) -> Result<Launch> {
    Builder::new("scale_images", element, shape)
        .channels(shape.channels)
        .values(values, shape.len())
        .words(scales, shape.batch)
        .values(out, shape.len())
        .ints([shape.batch, shape.area(), shape.channels])
        .threads(shape.len() / EIGHT)
}

/// [`crate::ops::scale_runs`] with a scale a value, in f32: rows of `channels` values, each padded to `width`. `out` may be
/// `values`.
pub fn scale_values(
    [rows, channels, width]: [usize; 3],
    values: &Region,
    scales: &Region,
    out: &Region,
) -> Result<Launch> {
    Builder::plain("scale_values", format_args!("[{rows}, {channels}]"))
        .words(values, rows * width)
        .words(scales, rows * channels)
        .words(out, rows * width)
        .ints([rows, channels, width])
        .threads(rows * width)
}

/// [`crate::ops::Dropout`] over a map of which the network knows `channels`. `draw` holds two u64, its stream and its
/// bound; `out` may be `values`.
pub fn dropout(
    element: Element,
    shape: Shape,
    channels: usize,
    values: &Region,
    draw: &Region,
    scale: f32,
    out: &Region,
) -> Result<Launch> {
    Builder::new("dropout", element, shape)
        .channels(shape.channels)
        .require(channels <= shape.channels, || format!("{channels} channels of {}", shape.channels))
        .values(values, shape.len())
        .bytes(draw, 2 * size_of::<u64>())
        .float(scale)
        .values(out, shape.len())
        .ints([shape.pixels(), channels, shape.channels])
        .threads(shape.len() / EIGHT)
}
