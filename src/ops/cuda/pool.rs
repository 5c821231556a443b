//! Launches of pool.cu.

use anyhow::Result;

use super::columns::column_blocks;
use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Shape, average_pool_2x2_shape};

/// [`crate::ops::average_pool_2x2`].
pub fn average_pool_2x2(element: Element, shape: Shape, input: &Region, out: &Region) -> Result<Launch> {
    let out_shape = average_pool_2x2_shape(shape);
    Builder::new("average_pool_2x2", element, shape)
        .channels(shape.channels)
        .values(input, shape.len())
        .values(out, out_shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(out_shape.len() / EIGHT)
}

/// [`crate::ops::average_pool_2x2_gradient`]; `shape` is the input's.
pub fn average_pool_2x2_gradient(element: Element, shape: Shape, gradient: &Region, out: &Region) -> Result<Launch> {
    Builder::new("average_pool_2x2_gradient", element, shape)
        .channels(shape.channels)
        .values(gradient, average_pool_2x2_shape(shape).len())
        .values(out, shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(shape.len() / EIGHT)
}

/// [`crate::ops::global_average_pool`] in `splits` parts that are to be added up: `[splits, batch, channels]` in f32.
pub fn global_average_pool(
    element: Element,
    shape: Shape,
    input: &Region,
    splits: usize,
    out: &Region,
) -> Result<Launch> {
    Builder::new("global_average_pool", element, shape)
        .channels(shape.channels)
        .require(shape.area() > 0, || "no positions to average".to_owned())
        .values(input, shape.len())
        .words(out, splits * shape.batch * shape.channels)
        .ints([shape.batch, shape.area(), shape.channels, splits])
        .grid([shape.batch, column_blocks(shape.channels), splits])
}

/// [`crate::ops::global_average_pool_gradient`] out of `[batch, channels]` in f32; `shape` is the input's.
pub fn global_average_pool_gradient(element: Element, shape: Shape, gradient: &Region, out: &Region) -> Result<Launch> {
    Builder::new("global_average_pool_gradient", element, shape)
        .channels(shape.channels)
        .words(gradient, shape.batch * shape.channels)
        .values(out, shape.len())
        .ints([shape.batch, shape.area(), shape.channels])
        .threads(shape.len() / EIGHT)
}
