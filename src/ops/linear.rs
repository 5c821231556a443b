//! The fully connected layer: a 1x1 convolution of a feature map of one position.

use anyhow::Result;

use super::{Activation, Conv2d, ConvSpec, Isa, Shape};

/// A linear layer with its weights laid out for the processor.
pub struct Linear(Conv2d);

impl Linear {
    /// `weight` is `[outputs, inputs]`, `bias` `[outputs]`.
    pub fn new(inputs: usize, outputs: usize, weight: &[f32], bias: Option<&[f32]>, isa: Isa) -> Self {
        let spec = ConvSpec { in_channels: inputs, out_channels: outputs, kernel: 1, stride: 1, padding: 0 };
        Self(Conv2d::new(spec, weight, None, bias, isa))
    }

    /// `input` is `[batch, inputs]`, `out` `[batch, outputs]`.
    pub fn forward(&self, input: &[f32], batch: usize, activation: Activation, out: &mut [f32]) -> Result<()> {
        self.0.forward(input, Shape::new(batch, 1, 1, self.0.spec().in_channels), None, activation, out)
    }
}
