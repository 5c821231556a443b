//! Convolution with a fused epilogue: scale and shift (a folded batch norm or a bias), residual, activation.
//!
//! Dense and grouped convolutions are products over the channels of a group; where each channel is filtered alone
//! there is nothing to sum over but taps, and the loop over channels is the one that is widened.

mod algorithm;
mod backward;
mod bands;
mod depthwise;
mod filters;
mod gather;
mod joined;
mod level;
mod outer;
mod pack;
mod padding;
mod pieces;
mod problem;
mod product;
mod spec;
mod winograd;

pub use algorithm::Algorithm;
pub use backward::{conv2d_input_gradient, conv2d_weight_gradient};
pub use bands::{Band, Bands};
pub use padding::{PaddedConv, PaddedLinear, padded_vector};
pub use pieces::Piece;
pub use problem::{ConvPass, ConvProblem, Fusion};
pub use spec::{ConvSpec, Window};

use anyhow::Result;

use self::depthwise::Depthwise;
use self::gather::Forward;
use self::pack::Sides;
use self::product::{Operands, Product};
use self::winograd::{Transforms, Winograd};
use super::{Activation, Isa, Shape};

/// A convolution with its weights laid out for the processor.
pub struct Conv2d {
    spec: ConvSpec,
    method: Method,
}

/// How it is computed.
enum Method {
    Direct(Product),
    Winograd(Winograd),
    Depthwise(Depthwise),
}

impl Conv2d {
    /// Lays out `weight`, `[out_channels, in_channels / groups, kernel, kernel]` as in a checkpoint, for evaluation:
    /// results may be off by 1e-5 of the largest, where products are in bf16 by 2e-2. Each output channel is multiplied by its `scale` and then raised by
    /// its `shift`.
    pub fn new(spec: ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>, isa: Isa) -> Self {
        Self::by(winograd::transforms(&spec, false, isa), spec, weight, [scale, shift], isa)
    }

    /// As [`Self::new`], for training: rounds as a plain sum, of products in bf16 on such a set, does.
    pub fn exact(spec: ConvSpec, weight: &[f32], isa: Isa) -> Self {
        Self::by(winograd::transforms(&spec, true, isa), spec, weight, [None; 2], isa)
    }

    fn by(
        transforms: Option<&'static Transforms>,
        spec: ConvSpec,
        weight: &[f32],
        [scale, shift]: [Option<&[f32]>; 2],
        isa: Isa,
    ) -> Self {
        let sides = Sides::forward(&spec);
        let method = match transforms {
            Some(transforms) => {
                let dims = [spec.out_channels, spec.in_channels];
                Method::Winograd(Winograd::pack(transforms, dims, weight, sides.strides, false, [scale, shift], isa))
            }
            None if spec.is_depthwise() => Method::Depthwise(Depthwise::new(&spec, weight, scale, shift, isa)),
            None => Method::Direct(Product::pack(&sides, weight, scale, shift, isa)),
        };
        Self { spec, method }
    }

    pub fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// `out = activation(conv(input) + residual)`; `out` and `residual` are laid out as `spec.output(shape)`. Where the
    /// convolution's channels are a window of the output's, nothing else of `out` is touched.
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
        let operands = Operands { input, residual, activation, out };
        let gather = Forward::new(&self.spec, shape, out_shape);
        match &self.method {
            Method::Direct(product) => product.run(operands, &gather),
            Method::Winograd(winograd) => winograd.run(operands, shape),
            Method::Depthwise(depthwise) => depthwise.run(operands, &gather),
        }
        Ok(())
    }
}
