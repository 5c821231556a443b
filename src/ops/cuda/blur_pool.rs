//! Launches of blur_pool.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Shape, blur_pool_shape};

/// Outputs along a row that one thread makes: `STRIP` of blur_pool.cu.
const STRIP: usize = 4;

/// [`crate::ops::blur_pool`] of `input`. With `producer`, a bias `[channels]` in f32 and an activation, it is that of
/// `activation(input + bias)`: the end of the convolution before.
pub fn blur_pool(
    element: Element,
    shape: Shape,
    input: &Region,
    producer: Option<(&Region, Activation)>,
    out: &Region,
) -> Result<Launch> {
    let out_shape = blur_pool_shape(shape)?;
    Builder::new("blur_pool", element, shape)
        .channels(shape.channels)
        .values(input, shape.len())
        .optional_words(producer.map(|(bias, _)| bias), shape.channels)
        .activation(producer.map_or(Activation::Identity, |(_, activation)| activation))
        .values(out, out_shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(shape.batch * out_shape.height * out_shape.width.div_ceil(STRIP) * (shape.channels / EIGHT))
}

/// [`crate::ops::blur_pool_gradient`]; `shape` is the input's.
pub fn blur_pool_gradient(element: Element, shape: Shape, gradient: &Region, out: &Region) -> Result<Launch> {
    let out_shape = blur_pool_shape(shape)?;
    Builder::new("blur_pool_gradient", element, shape)
        .channels(shape.channels)
        .values(gradient, out_shape.len())
        .values(out, shape.len())
        .ints([shape.batch, shape.height, shape.width, shape.channels])
        .threads(shape.pixels() * (shape.channels / EIGHT))
}
