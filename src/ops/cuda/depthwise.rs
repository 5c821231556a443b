//! Launches of conv2d/depthwise.cu.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Bands, Shape};

/// Sides of the kernels and strides that are compiled.
const KERNELS: [usize; 5] = [3, 5, 7, 9, 11];
const STRIDES: [usize; 2] = [1, 2];

/// Outputs along a row that one thread makes: `STRIP` of depthwise.cu.
const fn strip(stride: usize) -> usize {
    if stride == 1 { 4 } else { 2 }
}

/// `out = activation(conv(input) + bias + residual)`, a launch a band. `weight` is laid out as [`Bands::weight`] does
/// it, `bias` is `[channels]` in f32; `bias` and `residual` may be missing.
pub fn depthwise(
    element: Element,
    bands: &Bands,
    shape: Shape,
    [input, weight]: [&Region; 2],
    [bias, residual]: [Option<&Region>; 2],
    activation: Activation,
    out: &Region,
) -> Result<Vec<Launch>> {
    let out_shape = bands.output(shape);
    let stride = bands.stride;
    let mut offset = 0;
    let mut launches = Vec::with_capacity(bands.bands.len());
    for band in &bands.bands {
        let weights = band.kernel * band.kernel * band.channels;
        let own = weight.part(offset * element.size(), weights * element.size())?;
        offset += weights;
        let known = KERNELS.contains(&band.kernel) && STRIDES.contains(&stride);
        let builder = Builder::new(&format!("depthwise_{}_by_{stride}", band.kernel), element, shape);
        let launch = builder
            .require(known, || format!("no kernel of side {} and stride {stride}", band.kernel))
            .require(bands.channels() == shape.channels, || format!("bands of {} channels", bands.channels()))
            .channels(band.channels)
            .channels(shape.channels)
            .values(input, shape.len())
            .values(&own, weights)
            .optional_words(bias, shape.channels)
            .optional_values(residual, out_shape.len())
            .activation(activation)
            .values(out, out_shape.len())
            .ints([shape.batch, shape.height, shape.width, shape.channels, out_shape.height, out_shape.width])
            .ints([band.first, band.channels])
            .threads(
                out_shape.batch * out_shape.height * out_shape.width.div_ceil(strip(stride)) * band.channels / EIGHT,
            );
        launches.push(launch?);
    }
    Ok(launches)
}
