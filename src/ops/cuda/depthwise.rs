//! Launches of conv2d/depthwise.cu and conv2d/depthwise_gradient.cu: one a band.

use anyhow::{Result, bail};

use super::element::Element;
use super::filter_parts::split;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Band, Bands, Piece, Shape};

/// Sides of the kernels and strides that are compiled.
const KERNELS: [usize; 5] = [3, 5, 7, 9, 11];
const STRIDES: [usize; 2] = [1, 2];

/// Outputs along a row that one thread makes: `STRIP` of depthwise.cu.
const fn strip(stride: usize) -> usize {
    if stride == 1 { 4 } else { 2 }
}

/// Pixels along a row that a thread takes on the way back: `STRIP` of depthwise_gradient.cu.
const STRIP: usize = 4;
/// Channels that a block sums the weight's gradient for, and its threads of each eight: `BLOCK_CHANNELS` and `WORKERS`.
const BLOCK_CHANNELS: usize = 32;
const WORKERS: usize = 64;
/// Blocks that fill the largest GPUs, and rounds of a block below which another costs more than it brings.
const BLOCKS: usize = 1024;
const LEAST_ROUNDS: usize = 8;

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
    let launch = |(band, offset): (&Band, usize)| {
        let strips = out_shape.width.div_ceil(strip(bands.stride));
        builder("depthwise", element, bands, band, shape)
            .values(input, shape.len())
            .values(&filter(element, band, weight, offset)?, filter_len(band))
            .optional_words(bias, shape.channels)
            .optional_values(residual, out_shape.len())
            .activation(activation)
            .values(out, out_shape.len())
            .ints(geometry(band, shape, out_shape))
            .threads(out_shape.batch * out_shape.height * strips * band.channels / EIGHT)
    };
    with_offsets(bands).map(launch).collect()
}

/// The input's gradient plus `add`, which may be `out`; `shape` is the input's.
pub fn depthwise_input_gradient(
    element: Element,
    bands: &Bands,
    shape: Shape,
    [gradient, weight]: [&Region; 2],
    add: Option<&Region>,
    out: &Region,
) -> Result<Vec<Launch>> {
    let out_shape = bands.output(shape);
    let launch = |(band, offset): (&Band, usize)| {
        builder("depthwise_input_gradient", element, bands, band, shape)
            .values(gradient, out_shape.len())
            .values(&filter(element, band, weight, offset)?, filter_len(band))
            .optional_values(add, shape.len())
            .values(out, shape.len())
            .ints(geometry(band, shape, out_shape))
            .threads(shape.batch * shape.height * shape.width.div_ceil(STRIP) * band.channels / EIGHT)
    };
    with_offsets(bands).map(launch).collect()
}

/// The weight's gradient in chunks, f32, as many as [`weight_gradient_len`] says: band after band
/// `[chunks][kernel][kernel][channels]`. Their sums are left to [`split_weight_gradient`].
pub fn depthwise_weight_gradient(
    element: Element,
    bands: &Bands,
    shape: Shape,
    [input, gradient]: [&Region; 2],
    sums: &Region,
) -> Result<Vec<Launch>> {
    let out_shape = bands.output(shape);
    let mut offset = 0;
    let launch = |band: &Band| {
        let chunks = weight_gradient_chunks(bands, band, shape);
        let len = chunks * filter_len(band);
        let own = sums.part(offset * size_of::<f32>(), len * size_of::<f32>())?;
        offset += len;
        builder("depthwise_weight_gradient", element, bands, band, shape)
            .values(input, shape.len())
            .values(gradient, out_shape.len())
            .words(&own, len)
            .ints(geometry(band, shape, out_shape))
            .int(chunk_strips(band, out_shape))
            .grid([chunks, band.channels.div_ceil(BLOCK_CHANNELS), 1])
    };
    bands.bands.iter().map(launch).collect()
}

/// Adds what [`depthwise_weight_gradient`] gave for a part to its gradient, f32 in a checkpoint's order.
pub fn split_weight_gradient(
    bands: &Bands,
    shape: Shape,
    piece: &Piece,
    sums: &Region,
    gradient: &Region,
) -> Result<Launch> {
    let mut start = 0;
    for (band, offset) in with_offsets(bands) {
        let chunks = weight_gradient_chunks(bands, band, shape);
        if offset == piece.start {
            let of_band = Piece { start, ..*piece };
            return split(Element::F32, &of_band, sums, [chunks, filter_len(band)], gradient);
        }
        start += chunks * filter_len(band);
    }
    bail!("no band starts at {}", piece.start)
}

/// Chunks that a band's weight gradient comes in.
fn weight_gradient_chunks(bands: &Bands, band: &Band, shape: Shape) -> usize {
    let out_shape = bands.output(shape);
    strips(out_shape).div_ceil(chunk_strips(band, out_shape)).max(1)
}

/// f32 that [`depthwise_weight_gradient`] writes.
pub fn weight_gradient_len(bands: &Bands, shape: Shape) -> usize {
    bands.bands.iter().map(|band| weight_gradient_chunks(bands, band, shape) * filter_len(band)).sum()
}

/// Strips of outputs that a block sums up. The split depends on the shape alone, so that every device adds in the same
/// order.
fn chunk_strips(band: &Band, out_shape: Shape) -> usize {
    let sets = (WORKERS / band.kernel.max(1)).max(1);
    let wanted = (BLOCKS / band.channels.div_ceil(BLOCK_CHANNELS)).max(1);
    strips(out_shape).div_ceil(wanted).next_multiple_of(sets).max(LEAST_ROUNDS * sets)
}

fn strips(out_shape: Shape) -> usize {
    out_shape.batch * out_shape.height * out_shape.width.div_ceil(STRIP)
}

fn builder(name: &str, element: Element, bands: &Bands, band: &Band, shape: Shape) -> Builder {
    let stride = bands.stride;
    let known = KERNELS.contains(&band.kernel) && STRIDES.contains(&stride);
    Builder::new(&format!("{name}_{}_by_{stride}", band.kernel), element, shape)
        .require(known, || format!("no kernel of side {} and stride {stride}", band.kernel))
        .require(bands.channels() == shape.channels, || format!("bands of {} channels", bands.channels()))
        .channels(band.channels)
        .channels(shape.channels)
}

/// Each band with where its filter starts.
fn with_offsets(bands: &Bands) -> impl Iterator<Item = (&Band, usize)> {
    bands.bands.iter().scan(0, |next, band| {
        let offset = *next;
        *next += filter_len(band);
        Some((band, offset))
    })
}

fn filter(element: Element, band: &Band, weight: &Region, offset: usize) -> Result<Region> {
    weight.part(offset * element.size(), filter_len(band) * element.size())
}

fn filter_len(band: &Band) -> usize {
    band.kernel * band.kernel * band.channels
}

fn geometry(band: &Band, shape: Shape, out_shape: Shape) -> [usize; 8] {
    let Shape { batch, height, width, channels } = shape;
    [batch, height, width, channels, out_shape.height, out_shape.width, band.first, band.channels]
}
