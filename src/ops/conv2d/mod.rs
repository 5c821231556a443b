//! Convolution with a fused epilogue: scale and shift (a folded batch norm or a bias), residual, activation.

mod backward;
mod gather;
mod padding;
mod problem;
mod product;
mod spec;

pub use backward::{conv2d_input_gradient, conv2d_weight_gradient};
pub use padding::{PaddedConv, PaddedLinear};
pub use problem::{ConvPass, ConvProblem, Fusion};
pub use spec::ConvSpec;

use anyhow::Result;

use self::gather::Forward;
use self::product::{Operands, Product, Strides};
use super::{Activation, Isa, Shape};

/// A convolution with its weights laid out for the processor.
pub struct Conv2d {
    spec: ConvSpec,
    product: Product,
}

impl Conv2d {
    /// Lays out `weight`, `[out_channels, in_channels, kernel, kernel]` as in a checkpoint. Each output channel is
    /// multiplied by its `scale` and then raised by its `shift`.
    pub fn new(spec: ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>, isa: Isa) -> Self {
        let dims = [spec.out_channels, spec.in_channels, spec.taps()];
        let strides = Strides { out_channel: spec.in_channels * spec.taps(), in_channel: spec.taps() };
        Self { spec, product: Product::pack(dims, weight, strides, scale, shift, isa) }
    }

    pub fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// `out = activation(conv(input) + residual)`; `out` and `residual` are laid out as `spec.output(shape)`.
    pub fn forward(
        &self,
        input: &[f32],
        shape: Shape,
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) -> Result<()> {
        let out_shape = self.spec.output(shape)?;
        assert_eq!(input.len(), shape.len(), "input of {:?}", self.spec);
        assert_eq!(out.len(), out_shape.len(), "output of {:?}", self.spec);
        self.product.run(Operands { input, residual, activation, out }, &Forward::new(&self.spec, shape, out_shape));
        Ok(())
    }
}
