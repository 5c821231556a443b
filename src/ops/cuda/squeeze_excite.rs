//! Launches of squeeze_excite.cu. The means before it come from `global_average_pool`, the gradients of the layers'
//! weights from `linear_weight_gradient`.

use anyhow::Result;

use super::columns::column_blocks;
use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use crate::ops::{Activation, Shape};

/// `MOST_CHANNELS` and `MOST_HIDDEN` of squeeze_excite.cu.
const MOST: [usize; 2] = [4096, 1024];

/// The gate's layers in f32: `reduce` `[hidden, channels]`, `expand` `[channels, hidden]`, each with its bias. Padding
/// channels' weights are 0.
pub struct Layers {
    pub reduce: [Region; 2],
    pub expand: [Region; 2],
    pub hidden: usize,
    /// Stands between them.
    pub between: Activation,
}

/// What a gate computes on the way, in f32, for its gradient.
pub struct Gate {
    /// `[batch, channels]`
    pub mean: Region,
    /// `[batch, hidden]`, before what stands between the layers: where SiLU does and a gradient is to go back.
    pub reduced: Option<Region>,
    /// `[batch, hidden]`
    pub hidden: Region,
    /// `[batch, channels]`
    pub gates: Region,
}

fn builder(name: &str, shape: Shape, hidden: usize) -> Builder {
    Builder::plain(name, shape)
        .channels(shape.channels)
        .require(shape.channels <= MOST[0] && (1..=MOST[1]).contains(&hidden), || {
            format!("{} channels and {hidden} hidden ones are more than {MOST:?}", shape.channels)
        })
}

/// The gates, out of the means `[splits, batch, channels]` of `shape`.
pub fn gate(shape: Shape, parts: &Region, splits: usize, layers: &Layers, out: &Gate) -> Result<Launch> {
    let (rows, weights) = (shape.batch * shape.channels, shape.channels * layers.hidden);
    builder("squeeze_excite_gate", shape, layers.hidden)
        .words(parts, splits * rows)
        .words(&layers.reduce[0], weights)
        .words(&layers.reduce[1], layers.hidden)
        .words(&layers.expand[0], weights)
        .words(&layers.expand[1], shape.channels)
        .activation(layers.between)
        .words(&out.mean, rows)
        .optional_words(out.reduced.as_ref(), shape.batch * layers.hidden)
        .words(&out.hidden, shape.batch * layers.hidden)
        .words(&out.gates, rows)
        .ints([splits, shape.batch, shape.channels, layers.hidden])
        .grid([shape.batch, 1, 1])
}

/// `out = activation(input * gate + residual)`; `out` may be either.
pub fn apply(
    element: Element,
    shape: Shape,
    input: &Region,
    gates: &Region,
    residual: Option<&Region>,
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    Builder::new("squeeze_excite_apply", element, shape)
        .channels(shape.channels)
        .values(input, shape.len())
        .words(gates, shape.batch * shape.channels)
        .optional_values(residual, shape.len())
        .activation(activation)
        .values(out, shape.len())
        .ints([shape.batch, shape.area(), shape.channels])
        .threads(shape.len() / EIGHT)
}

/// Takes the gradient through the activation, in place, and sums its products with the input over each image:
/// `[splits, batch, channels]` in f32. The residual's gradient is `gradient` afterwards.
pub fn gradient_sums(
    element: Element,
    shape: Shape,
    gradient: &Region,
    [output, input]: [&Region; 2],
    activation: Activation,
    splits: usize,
    parts: &Region,
) -> Result<Launch> {
    Builder::new("squeeze_excite_sums", element, shape)
        .channels(shape.channels)
        .values(gradient, shape.len())
        .values(output, shape.len())
        .values(input, shape.len())
        .require(!activation.is_curved(), || format!("{activation:?} does not go back by what it gave"))
        .float(activation.slope())
        .words(parts, splits * shape.batch * shape.channels)
        .ints([shape.batch, shape.area(), shape.channels, splits])
        .grid([shape.batch, column_blocks(shape.channels), splits])
}

/// Gradients on the way back through the gate, in f32.
pub struct GateGradient {
    /// Of what the sigmoid took, `[batch, channels]`.
    pub expanded: Region,
    /// Of what was given to the activation between the layers, `[batch, hidden]`.
    pub hidden: Region,
    /// Of each position of the input, by way of the mean, `[batch, channels]`.
    pub position: Region,
}

/// Back through the gate, from the sums of [`gradient_sums`].
pub fn gate_gradient(
    shape: Shape,
    parts: &Region,
    splits: usize,
    gate: &Gate,
    layers: &Layers,
    out: &GateGradient,
) -> Result<Launch> {
    let (rows, weights) = (shape.batch * shape.channels, shape.channels * layers.hidden);
    builder("squeeze_excite_gate_gradient", shape, layers.hidden)
        .require(gate.reduced.is_some() || !layers.between.is_curved(), || {
            format!("{:?} does not go back by what it gave", layers.between)
        })
        .words(parts, splits * rows)
        .words(&gate.gates, rows)
        .optional_words(gate.reduced.as_ref(), shape.batch * layers.hidden)
        .words(&gate.hidden, shape.batch * layers.hidden)
        .words(&layers.reduce[0], weights)
        .words(&layers.expand[0], weights)
        .activation(layers.between)
        .words(&out.expanded, rows)
        .words(&out.hidden, shape.batch * layers.hidden)
        .words(&out.position, rows)
        .ints([splits, shape.batch, shape.area(), shape.channels, layers.hidden])
        .grid([shape.batch, 1, 1])
}

/// The input's gradient, `gradient * gate + position`; `out` may be `gradient`.
pub fn gradient_apply(
    element: Element,
    shape: Shape,
    gradient: &Region,
    gates: &Region,
    position: &Region,
    out: &Region,
) -> Result<Launch> {
    Builder::new("squeeze_excite_gradient_apply", element, shape)
        .channels(shape.channels)
        .values(gradient, shape.len())
        .words(gates, shape.batch * shape.channels)
        .words(position, shape.batch * shape.channels)
        .values(out, shape.len())
        .ints([shape.batch, shape.area(), shape.channels])
        .threads(shape.len() / EIGHT)
}
