//! Launches of conv2d/direct.cu and conv2d/grouped.cu. Channels are as they are: nothing needs to be padded here.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, ConvSpec, Shape};

/// Rows and columns of a block's tile: `TILE` of product.cuh.
const TILE: usize = 64;

/// `[out_channels][in_channels][kernel][kernel]`, a checkpoint's order, to a device's
/// `[out_channels][kernel][kernel][in_channels]`, each of the channels padded to as many as `padded` says; those of a
/// group stay as they are.
pub fn filter_for_device(spec: &ConvSpec, weight: &[f32], padded: impl Fn(usize) -> usize) -> Vec<f32> {
    let taps = spec.kernel * spec.kernel;
    assert_eq!(weight.len(), spec.weight_shape().iter().product::<usize>(), "weight of {spec:?}");
    let own = spec.in_channels / spec.groups;
    let padded = |channels| if spec.groups > 1 { channels } else { padded(channels) };
    let inputs = padded(own);
    let mut filter = vec![0.0; padded(spec.out_channels) * taps * inputs];
    for (at, &value) in weight.iter().enumerate() {
        let (tap, input, output) = (at % taps, at / taps % own, at / taps / own);
        filter[(output * taps + tap) * inputs + input] = value;
    }
    filter
}

/// [`crate::ops::Conv2d`] over whole maps, dense or in groups: `out = activation(conv(input) + bias + residual)`, the bias
/// in f32. In groups the output's channels are a multiple of eight.
pub fn conv2d(
    element: Element,
    spec: &ConvSpec,
    shape: Shape,
    [input, weight]: [&Region; 2],
    [bias, residual]: [Option<&Region>; 2],
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    let out_shape = spec.output(shape)?;
    let grouped = spec.groups > 1;
    let builder = Builder::new(if grouped { "conv2d_grouped" } else { "conv2d" }, element, What(spec, shape))
        .values(input, shape.len())
        .values(weight, weight_len(spec))
        .optional_words(bias, spec.out_channels)
        .optional_values(residual, out_shape.len())
        .activation(activation)
        .values(out, out_shape.len())
        .ints(geometry(spec, shape, out_shape))
        .require(countable(shape) && countable(out_shape), || "too many pixels: take a smaller batch".to_owned());
    if grouped {
        return builder.channels(out_shape.channels).int(spec.groups).threads(out_shape.len() / EIGHT);
    }
    builder.grid(tiles(out_shape.pixels(), spec.out_channels))
}

/// [`crate::ops::conv2d_input_gradient`], dense or in groups: `out` is the input's gradient plus `add`, which may be `out`;
/// `shape` is the input's. In groups the input's channels are a multiple of eight.
pub fn conv2d_input_gradient(
    element: Element,
    spec: &ConvSpec,
    shape: Shape,
    [gradient, weight]: [&Region; 2],
    add: Option<&Region>,
    out: &Region,
) -> Result<Launch> {
    let out_shape = spec.output(shape)?;
    let grouped = spec.groups > 1;
    let name = if grouped { "conv2d_grouped_input_gradient" } else { "conv2d_input_gradient" };
    let builder = Builder::new(name, element, What(spec, shape))
        .values(gradient, out_shape.len())
        .values(weight, weight_len(spec))
        .optional_values(add, shape.len())
        .values(out, shape.len())
        .ints(geometry(spec, shape, out_shape))
        .require(countable(shape) && countable(out_shape), || "too many pixels: take a smaller batch".to_owned());
    if grouped {
        return builder.channels(shape.channels).int(spec.groups).threads(shape.len() / EIGHT);
    }
    builder.grid(tiles(shape.pixels(), spec.in_channels))
}

/// [`crate::ops::conv2d_weight_gradient`], dense or in groups: adds to `out`, in f32 and in the device's order; `shape` is the input's.
pub fn conv2d_weight_gradient(
    element: Element,
    spec: &ConvSpec,
    shape: Shape,
    [input, gradient]: [&Region; 2],
    out: &Region,
) -> Result<Launch> {
    let out_shape = spec.output(shape)?;
    let grouped = spec.groups > 1;
    let name = if grouped { "conv2d_grouped_weight_gradient" } else { "conv2d_weight_gradient" };
    let builder = Builder::new(name, element, What(spec, shape))
        .values(input, shape.len())
        .values(gradient, out_shape.len())
        .words(out, weight_len(spec))
        .ints(geometry(spec, shape, out_shape))
        .require(countable(shape) && countable(out_shape), || "too many pixels: take a smaller batch".to_owned());
    if grouped {
        return builder.int(spec.groups).grid([spec.out_channels * spec.kernel * spec.kernel, 1, 1]);
    }
    builder.grid(tiles(spec.out_channels, weight_len(spec) / spec.out_channels.max(1)))
}

/// Blocks for a product of so many rows and columns.
pub(super) fn tiles(rows: usize, columns: usize) -> [usize; 3] {
    [rows.div_ceil(TILE), columns.div_ceil(TILE), 1]
}

fn weight_len(spec: &ConvSpec) -> usize {
    spec.weight_shape().iter().product()
}

/// Kernels number pixels in i32, and up to a tile beyond the last.
fn countable(shape: Shape) -> bool {
    shape.pixels() + TILE <= i32::MAX as usize
}

fn geometry(spec: &ConvSpec, shape: Shape, out: Shape) -> [usize; 10] {
    let Shape { batch, height, width, channels } = shape;
    [batch, height, width, channels, out.height, out.width, out.channels, spec.kernel, spec.stride, spec.padding]
}

struct What<'a>(&'a ConvSpec, Shape);

impl std::fmt::Display for What<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(spec, shape) = self;
        write!(f, "{shape} by {0}x{0}, stride {1}, to {2} channels", spec.kernel, spec.stride, spec.out_channels)?;
        if spec.groups > 1 { write!(f, " in {} groups", spec.groups) } else { Ok(()) }
    }
}
