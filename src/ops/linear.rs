//! The fully connected layer: a 1x1 convolution of a feature map of one position.

use anyhow::Result;

use super::{Activation, Conv2d, ConvSpec, Isa, Shape, conv2d_input_gradient, conv2d_weight_gradient};

/// A linear layer with its weights laid out for the processor; always in f32, being small and last.
pub struct Linear(Conv2d);

impl Linear {
    /// `weight` is `[outputs, inputs]`, `bias` `[outputs]`.
    pub fn new(inputs: usize, outputs: usize, weight: &[f32], bias: Option<&[f32]>, isa: Isa) -> Self {
        Self(Conv2d::new(spec(inputs, outputs), weight, None, bias, isa.exact()))
    }

    /// `input` is `[batch, inputs]`, `out` `[batch, outputs]`.
    pub fn forward(&self, input: &[f32], batch: usize, activation: Activation, out: &mut [f32]) -> Result<()> {
        self.0.forward(input, Shape::new(batch, 1, 1, self.0.spec().in_channels), None, activation, out)
    }
}

const fn spec(inputs: usize, outputs: usize) -> ConvSpec {
    ConvSpec::new(inputs, outputs, 1, 1)
}

/// Where the gradients of a linear layer go: those of its parameters are added to, the input's is written.
pub struct LinearGradients<'a> {
    pub weight: &'a mut [f32],
    pub bias: &'a mut [f32],
    pub input: &'a mut [f32],
}

/// The gradients of a linear layer out of its output's, `[batch, outputs]`.
pub fn linear_gradient(
    weight: &[f32],
    input: &[f32],
    gradient: &[f32],
    batch: usize,
    out: LinearGradients,
    isa: Isa,
) -> Result<()> {
    let spec = spec(input.len() / batch, gradient.len() / batch);
    let shape = Shape::new(batch, 1, 1, spec.in_channels);
    conv2d_weight_gradient(&spec, input, shape, gradient, out.weight, isa.exact())?;
    for row in gradient.chunks_exact(spec.out_channels) {
        for (bias, g) in out.bias.iter_mut().zip(row) {
            *bias += g;
        }
    }
    conv2d_input_gradient(&spec, weight, gradient, shape, None, out.input, isa.exact())
}
