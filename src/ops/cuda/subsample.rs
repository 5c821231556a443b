//! Launches of subsample.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Shape, Subsample};

/// [`crate::ops::subsample`]; the channels of `op` are padded as those of `shape` are.
pub fn subsample(element: Element, op: Subsample, shape: Shape, input: &Region, out: &Region) -> Result<Launch> {
    let out_shape = op.output(shape);
    Builder::new("subsample", element, shape)
        .channels(shape.channels)
        .channels(op.channels)
        .require(op.stride > 0 && op.channels >= shape.channels, || format!("{op:?} makes no map of this one"))
        .values(input, shape.len())
        .values(out, out_shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels, op.stride, op.channels])
        .threads(out_shape.len() / EIGHT)
}

/// [`crate::ops::subsample_gradient`]; `shape` is the input's, `op` as for [`subsample`].
pub fn subsample_gradient(
    element: Element,
    op: Subsample,
    shape: Shape,
    gradient: &Region,
    out: &Region,
) -> Result<Launch> {
    Builder::new("subsample_gradient", element, shape)
        .channels(shape.channels)
        .channels(op.channels)
        .require(op.stride > 0 && op.channels >= shape.channels, || format!("{op:?} makes no map of this one"))
        .values(gradient, op.output(shape).len())
        .values(out, shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels, op.stride, op.channels])
        .threads(shape.len() / EIGHT)
}
