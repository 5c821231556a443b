//! Launches of batch_norm.cu and batch_norm_gradient.cu.

use anyhow::Result;

use super::columns::{chunk_pixels, chunks, column_blocks};
use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Shape};

/// A warp: channels that a block of a `finish` kernel takes.
const WARP: usize = 32;

/// f32 of a channel by which the second pass of the gradient goes: of the gradient, of the value, and what is added.
pub const FACTORS: usize = 3;

/// A norm's numbers on the device, `[channels]` each, in f32. Padding channels' `weight` and `bias` are 0.
pub struct Norm {
    pub weight: Region,
    pub bias: Region,
    /// Of the batch, as `inverse`: 1 / sqrt(variance + epsilon).
    pub mean: Region,
    pub inverse: Region,
    /// weight * inverse and bias - mean * scale: what the forward pass applies.
    pub scale: Region,
    pub shift: Region,
}

/// Running statistics, `[channels]` each, in f32, and the share that a batch takes in them.
pub struct Running {
    pub mean: Region,
    pub variance: Region,
    pub momentum: f32,
}

/// f32 that [`moments`] and [`gradient_sums`] write.
pub fn partial_sums(shape: Shape) -> usize {
    chunks(shape) * 2 * shape.channels
}

/// The first half of [`crate::ops::batch_statistics`]: moments of chunks, [`partial_sums`] of them.
pub fn moments(element: Element, shape: Shape, values: &Region, moments: &Region) -> Result<Launch> {
    let chunk = chunk_pixels(shape.pixels(), shape.channels);
    Builder::new("batch_norm_moments", element, shape)
        .channels(shape.channels)
        .values(values, shape.len())
        .words(moments, partial_sums(shape))
        .ints([shape.pixels(), shape.channels, chunk])
        .grid([chunks(shape), column_blocks(shape.channels), 1])
}

/// The second half: joins the chunks, fills the norm's statistics, and moves the running ones, where there are any.
pub fn finish(shape: Shape, moments: &Region, norm: &Norm, running: Option<&Running>, epsilon: f32) -> Result<Launch> {
    let builder = Builder::plain("batch_norm_finish", shape).words(moments, partial_sums(shape));
    let chunk = chunk_pixels(shape.pixels(), shape.channels);
    statistics(builder, shape, norm, running)
        .ints([shape.pixels(), shape.channels, chunk])
        .float(epsilon)
        .float(running.map_or(0.0, |running| running.momentum))
        .grid([shape.channels.div_ceil(WARP), 1, 1])
}

/// The same out of each channel's sum and sum of squares, as a convolution's epilogue gives them.
pub fn finish_sums(
    shape: Shape,
    [sums, sums_of_squares]: [&Region; 2],
    norm: &Norm,
    running: Option<&Running>,
    epsilon: f32,
) -> Result<Launch> {
    let builder = Builder::plain("batch_norm_finish_sums", shape)
        .words(sums, shape.channels)
        .words(sums_of_squares, shape.channels);
    statistics(builder, shape, norm, running)
        .ints([shape.pixels(), shape.channels])
        .float(epsilon)
        .float(running.map_or(0.0, |running| running.momentum))
        .threads(shape.channels)
}

fn statistics(builder: Builder, shape: Shape, norm: &Norm, running: Option<&Running>) -> Builder {
    let own = [&norm.weight, &norm.bias, &norm.mean, &norm.inverse, &norm.scale, &norm.shift];
    let builder = own.into_iter().fold(builder, |builder, region| builder.words(region, shape.channels));
    builder
        .optional_words(running.map(|running| &running.mean), shape.channels)
        .optional_words(running.map(|running| &running.variance), shape.channels)
        .require(shape.pixels() > 1, || "batch norm cannot train on one value a channel".to_owned())
}

/// [`crate::ops::batch_norm_into`], or where `out` is `values`, [`crate::ops::batch_norm`].
pub fn apply(
    element: Element,
    shape: Shape,
    values: &Region,
    norm: &Norm,
    residual: Option<&Region>,
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    Builder::new("batch_norm_apply", element, shape)
        .channels(shape.channels)
        .values(values, shape.len())
        .words(&norm.scale, shape.channels)
        .words(&norm.shift, shape.channels)
        .optional_values(residual, shape.len())
        .activation(activation)
        .values(out, shape.len())
        .ints([shape.pixels(), shape.channels])
        .threads(shape.len() / EIGHT)
}

/// What the forward pass left, and by what the gradient gets through the activation.
#[derive(Clone, Copy)]
pub enum Saved<'a> {
    /// The norm's input. The gradient is behind the activation already.
    Input(&'a Region),
    /// The norm's input; what the activation was given is computed again: all that SiLU can go back by. Not for a norm
    /// with a residual.
    InputAgain(&'a Region, Activation),
    /// The norm's input and its result, which a residual may have been added to.
    InputAndOutput(&'a Region, &'a Region, Activation),
    /// The result of a norm that worked in place; the activation's slope is not 0.
    Output(&'a Region, Activation),
}

impl Saved<'_> {
    /// Whether it is the result of a norm that worked in place.
    fn in_place(self) -> bool {
        matches!(self, Self::Output(..))
    }

    /// What is taken from a value to normalise it, and what the rest is then multiplied with, or in place divided by.
    fn normalisation(self, norm: &Norm) -> [&Region; 2] {
        if self.in_place() { [&norm.bias, &norm.weight] } else { [&norm.mean, &norm.inverse] }
    }

    /// The arguments that the two passes begin with, and the way back.
    fn pass(self, builder: Builder, shape: Shape, gradient: &Region, norm: &Norm) -> (Builder, usize, Activation) {
        // `Through` of batch_norm_gradient.cu.
        let (saved, output, through, activation) = match self {
            Self::Input(input) => (input, None, 0, Activation::Identity),
            Self::Output(output, activation) => (output, None, 1, activation),
            Self::InputAndOutput(input, output, activation) => (input, Some(output), 2, activation),
            Self::InputAgain(input, activation) => (input, None, 3, activation),
        };
        let invertible = activation.slope() > 0.0 && !activation.is_curved();
        let builder = builder
            .channels(shape.channels)
            .require(!self.in_place() || invertible, || "an in-place norm needs an activation to invert".to_owned())
            .require(through == 3 || !activation.is_curved(), || {
                format!("{activation:?} does not go back by what it gave")
            })
            .values(gradient, shape.len())
            .values(saved, shape.len())
            .optional_values(output, shape.len())
            .words(&norm.scale, shape.channels)
            .words(&norm.shift, shape.channels);
        (builder, through, activation)
    }
}

/// The first pass of [`crate::ops::batch_norm_gradient`]: sums of chunks, [`partial_sums`] of them. With `behind`, for
/// [`Saved::InputAndOutput`] alone, the gradient behind the activation is written there; it may be `gradient`.
pub fn gradient_sums(
    element: Element,
    shape: Shape,
    gradient: &Region,
    saved: Saved,
    norm: &Norm,
    behind: Option<&Region>,
    sums: &Region,
) -> Result<Launch> {
    let builder = Builder::new("batch_norm_gradient_sums", element, shape);
    let (builder, through, activation) = saved.pass(builder, shape, gradient, norm);
    let [centre, factor] = saved.normalisation(norm);
    builder
        .words(centre, shape.channels)
        .words(factor, shape.channels)
        .optional_values(behind, shape.len())
        .require(behind.is_none() || matches!(saved, Saved::InputAndOutput(..)), || {
            "only by a norm's output is the gradient behind its activation written".to_owned()
        })
        .words(sums, partial_sums(shape))
        .int(through)
        .activation(activation)
        .ints([shape.pixels(), shape.channels, chunk_pixels(shape.pixels(), shape.channels)])
        .grid([chunks(shape), column_blocks(shape.channels), 1])
}

/// Between the passes: raises the weight's and the bias's gradients, and writes the `factors` of the second pass,
/// [`FACTORS`] a channel.
pub fn gradient_finish(
    shape: Shape,
    sums: &Region,
    saved: Saved,
    norm: &Norm,
    factors: &Region,
    [weight_gradient, bias_gradient]: [&Region; 2],
) -> Result<Launch> {
    let chunk = chunk_pixels(shape.pixels(), shape.channels);
    finish_gradient(shape, (sums, chunk), saved, norm, factors, [weight_gradient, bias_gradient])
}

/// The same out of the sums over all pixels, two a channel, as a convolution's epilogue gives them.
pub fn gradient_finish_sums(
    shape: Shape,
    sums: &Region,
    saved: Saved,
    norm: &Norm,
    factors: &Region,
    gradients: [&Region; 2],
) -> Result<Launch> {
    finish_gradient(shape, (sums, shape.pixels()), saved, norm, factors, gradients)
}

fn finish_gradient(
    shape: Shape,
    (sums, chunk): (&Region, usize),
    saved: Saved,
    norm: &Norm,
    factors: &Region,
    [weight_gradient, bias_gradient]: [&Region; 2],
) -> Result<Launch> {
    let [centre, factor] = saved.normalisation(norm);
    let own = [centre, factor, &norm.weight, &norm.inverse];
    let count = shape.pixels().div_ceil(chunk) * 2 * shape.channels;
    let builder = Builder::plain("batch_norm_gradient_finish", shape).words(sums, count);
    own.into_iter()
        .fold(builder, |builder, region| builder.words(region, shape.channels))
        .words(factors, FACTORS * shape.channels)
        .words(weight_gradient, shape.channels)
        .words(bias_gradient, shape.channels)
        .int(usize::from(saved.in_place()))
        .ints([shape.pixels(), shape.channels, chunk])
        .grid([shape.channels.div_ceil(WARP), 1, 1])
}

/// The second pass: the input's gradient, into `out`, which may be `gradient`. Where the first pass wrote the gradient
/// behind the activation over `gradient`, `saved` is [`Saved::Input`] here.
pub fn gradient_apply(
    element: Element,
    shape: Shape,
    gradient: &Region,
    saved: Saved,
    norm: &Norm,
    factors: &Region,
    out: &Region,
) -> Result<Launch> {
    let builder = Builder::new("batch_norm_gradient_apply", element, shape);
    let (builder, through, activation) = saved.pass(builder, shape, gradient, norm);
    builder
        .words(factors, FACTORS * shape.channels)
        .values(out, shape.len())
        .int(through)
        .activation(activation)
        .ints([shape.pixels(), shape.channels])
        .threads(shape.len() / EIGHT)
}
