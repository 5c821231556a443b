//! Launches of activation.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Shape};

/// [`crate::ops::activation_gradient`], in place.
pub fn activation_gradient(
    element: Element,
    shape: Shape,
    gradient: &Region,
    output: &Region,
    activation: Activation,
) -> Result<Launch> {
    Builder::new("activation_gradient", element, shape)
        .channels(shape.channels)
        .values(gradient, shape.len())
        .values(output, shape.len())
        .require(!activation.is_curved(), || format!("{activation:?} does not go back by what it gave"))
        .float(activation.slope())
        .int(shape.len() / EIGHT)
        .threads(shape.len() / EIGHT)
}

/// `out = activation(left + right)`; `out` may be either.
pub fn add(
    element: Element,
    shape: Shape,
    [left, right]: [&Region; 2],
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    Builder::new("add", element, shape)
        .channels(shape.channels)
        .values(left, shape.len())
        .values(right, shape.len())
        .activation(activation)
        .values(out, shape.len())
        .int(shape.len() / EIGHT)
        .threads(shape.len() / EIGHT)
}
