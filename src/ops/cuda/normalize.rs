//! Launches of normalize.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region, padded};
use crate::ops::Shape;

/// [`crate::ops::Normalize`] of bytes `[batch, height, width, colours]` into cells of `cell` by `cell` pixels, with
/// their channels padded. `mean` and `std` are f32, one a colour.
pub fn normalize(
    element: Element,
    shape: Shape,
    cell: usize,
    images: &Region,
    [mean, std]: [&Region; 2],
    out: &Region,
) -> Result<Launch> {
    let builder = Builder::new("normalize", element, shape).bytes(images, shape.len());
    let builder = builder.words(mean, shape.channels).words(std, shape.channels);
    into_cells(builder, shape, cell, out)
}

/// [`crate::ops::space_to_depth`] of f32, with the cells' channels padded.
pub fn space_to_depth(element: Element, shape: Shape, cell: usize, images: &Region, out: &Region) -> Result<Launch> {
    let builder = Builder::new("space_to_depth", element, shape).words(images, shape.len());
    into_cells(builder, shape, cell, out)
}

fn into_cells(builder: Builder, shape: Shape, cell: usize, out: &Region) -> Result<Launch> {
    let whole = cell > 0 && shape.height.is_multiple_of(cell) && shape.width.is_multiple_of(cell);
    let builder = builder.require(whole, || format!("cells of {cell} pixels do not divide the image"));
    let cell = cell.max(1);
    let channels = padded(cell * cell * shape.channels);
    let (high, wide) = (shape.height / cell, shape.width / cell);
    let pixels = shape.batch * high * wide;
    builder
        .values(out, pixels * channels)
        .ints([pixels, high, wide, cell, shape.channels, channels])
        .threads(pixels * (channels / EIGHT))
}
