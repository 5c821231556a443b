//! Launches of max_pool.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Shape, max_pool_3x3_shape};

/// [`crate::ops::max_pool_3x3`].
pub fn max_pool_3x3(element: Element, shape: Shape, input: &Region, out: &Region) -> Result<Launch> {
    let out_shape = max_pool_3x3_shape(shape)?;
    Builder::new("max_pool_3x3", element, shape)
        .channels(shape.channels)
        .values(input, shape.len())
        .values(out, out_shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(out_shape.len() / EIGHT)
}

/// [`crate::ops::max_pool_3x3_gradient`]; `shape` is the input's.
pub fn max_pool_3x3_gradient(
    element: Element,
    shape: Shape,
    [gradient, input]: [&Region; 2],
    out: &Region,
) -> Result<Launch> {
    let out_shape = max_pool_3x3_shape(shape)?;
    Builder::new("max_pool_3x3_gradient", element, shape)
        .channels(shape.channels)
        .values(gradient, out_shape.len())
        .values(input, shape.len())
        .values(out, shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(shape.len() / EIGHT)
}
