//! Launches of linear.cu. All is f32, laid out as on the CPU.

use anyhow::Result;

use super::conv2d::tiles;
use super::launch::{BLOCK, Builder, Launch, Region};
use crate::ops::Activation;

/// Images and outputs that a warp makes the sums of.
const IMAGES: usize = 8;
const OUTPUTS: usize = 2;
/// Outputs of a block.
const OF_A_BLOCK: usize = BLOCK / 32 * OUTPUTS;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl LinearShape {
    fn builder(self, name: &str) -> Builder {
        Builder::plain(name, format_args!("[{}, {}] to {}", self.batch, self.inputs, self.outputs))
    }

    fn sizes(self) -> [usize; 3] {
        [self.batch, self.inputs, self.outputs]
    }
}

/// [`crate::ops::Linear`].
pub fn linear(
    shape: LinearShape,
    input: &Region,
    [weight, bias]: [&Region; 2],
    activation: Activation,
    out: &Region,
) -> Result<Launch> {
    let LinearShape { batch, inputs, outputs } = shape;
    shape
        .builder("linear")
        .words(input, batch * inputs)
        .words(weight, outputs * inputs)
        .words(bias, outputs)
        .activation(activation)
        .words(out, batch * outputs)
        .ints(shape.sizes())
        .grid([outputs.div_ceil(OF_A_BLOCK), batch.div_ceil(IMAGES), 1])
}

/// The input's gradient of [`crate::ops::linear_gradient`].
pub fn linear_input_gradient(shape: LinearShape, gradient: &Region, weight: &Region, out: &Region) -> Result<Launch> {
    let LinearShape { batch, inputs, outputs } = shape;
    shape
        .builder("linear_input_gradient")
        .words(gradient, batch * outputs)
        .words(weight, outputs * inputs)
        .words(out, batch * inputs)
        .ints(shape.sizes())
        .grid(tiles(batch, inputs))
}

/// The weight's and the bias's gradients of [`crate::ops::linear_gradient`], which are added to.
pub fn linear_weight_gradient(
    shape: LinearShape,
    gradient: &Region,
    input: &Region,
    [weight_gradient, bias_gradient]: [&Region; 2],
) -> Result<Launch> {
    let LinearShape { batch, inputs, outputs } = shape;
    shape
        .builder("linear_weight_gradient")
        .words(gradient, batch * outputs)
        .words(input, batch * inputs)
        .words(weight_gradient, outputs * inputs)
        .words(bias_gradient, outputs)
        .ints(shape.sizes())
        .grid(tiles(outputs, inputs))
}
