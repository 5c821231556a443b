//! Launches of linear.cu. All is f32, laid out as on the CPU.

use anyhow::Result;

use super::conv2d::tiles;
use super::launch::{BLOCK, Builder, Launch, Region};
use crate::ops::Activation;

/// Images whose sums are made by a warp each. Beyond them tiles read each weight less often.
const FEW: usize = 16;
/// Such sums of a block.
const SUMS: usize = BLOCK / 32;

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
    let (name, grid) = match batch <= FEW {
        true => ("linear_few", [outputs.div_ceil(SUMS), batch, 1]),
        false => ("linear", tiles(batch, outputs)),
    };
    shape
        .builder(name)
        .words(input, batch * inputs)
        .words(weight, outputs * inputs)
        .words(bias, outputs)
        .activation(activation)
        .words(out, batch * outputs)
        .ints(shape.sizes())
        .grid(grid)
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
