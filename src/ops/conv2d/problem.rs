//! A convolution as a device computes it: its geometry for a batch, and what is to be computed in the same kernel.

use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::ConvSpec;
use crate::ops::cuda::Element;
use crate::ops::{Activation, Shape};

/// One of a convolution's three products, with its surroundings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConvPass {
    /// `y = activation(conv(x) + bias + residual)`: evaluation, with the batch norm folded into weight and bias.
    Forward { residual: bool, activation: Activation },
    /// `y = conv(x)`, and of each channel the sum and the sum of squares: training, before a batch norm.
    Statistics,
    /// `dx = conv^T(dy) + add`, the gradient of the input.
    InputGradient { add: bool },
    /// `dx = activation'(conv^T(dy))`: the gradient of the input and on through the activation that gave it, behind a batch
    /// norm whose input was saved; and of each channel the sums that are the gradients of the norm's bias and weight.
    NormGradient { activation: Activation },
    /// `dw`, the weight's gradient.
    WeightGradient,
}

/// A convolution of a batch. Sizes are those that the device sees, channels padded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvProblem {
    pub spec: ConvSpec,
    /// The shape of `x`, in whichever direction the product goes.
    pub input: Shape,
    pub pass: ConvPass,
}

/// How much of a problem one kernel takes; the rest is left to kernels of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fusion {
    Whole,
    /// The product alone.
    Bare,
}

impl ConvProblem {
    pub fn output(&self) -> Result<Shape> {
        self.spec.output(self.input)
    }

    /// What to ask for, best first; the last is the product alone.
    pub fn fusions(&self) -> &'static [Fusion] {
        use Fusion::{Bare, Whole};
        match self.pass {
            ConvPass::Forward { .. }
            | ConvPass::Statistics
            | ConvPass::InputGradient { add: true }
            | ConvPass::NormGradient { .. } => &[Whole, Bare],
            ConvPass::InputGradient { add: false } | ConvPass::WeightGradient => &[Bare],
        }
    }

    /// Bytes of maps of `element` that kernels of our own read and write for what `fusion` leaves to them.
    pub fn rest_bytes(&self, fusion: Fusion, element: Element) -> Result<usize> {
        let map = match self.pass {
            ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. } => self.input,
            _ => self.output()?,
        };
        let passes = match (self.pass, fusion) {
            (_, Fusion::Whole) | (ConvPass::WeightGradient, _) => 0,
            (ConvPass::Statistics, _) => 1,
            (ConvPass::Forward { residual, .. }, _) => 2 + usize::from(residual),
            (ConvPass::InputGradient { add }, _) => 3 * usize::from(add),
            (ConvPass::NormGradient { .. }, _) => 2,
        };
        Ok(passes * map.len() * element.size())
    }

    /// Multiplications with accumulation.
    pub fn macs(&self) -> Result<u64> {
        Ok(self.spec.macs(self.output()?.pixels()))
    }
}

/// `64x56x56x48 -> 64, 3x3/1: conv + bias + leaky 0.01`, by which caches and reports know the problem.
impl fmt::Display for ConvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { batch, height, width, channels } = self.input;
        let ConvSpec { out_channels, kernel, stride, padding, .. } = self.spec;
        write!(f, "{batch}x{height}x{width}x{channels} -> {out_channels}, {kernel}x{kernel}/{stride}")?;
        if padding != kernel / 2 {
            write!(f, " padded by {padding}")?;
        }
        if self.spec.groups > 1 {
            write!(f, " in {} groups", self.spec.groups)?;
        }
        write!(f, ": {}", self.pass)
    }
}

impl fmt::Display for ConvPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { residual, activation } => {
                write!(f, "conv + bias{}{}", if *residual { " + residual" } else { "" }, After(*activation))
            }
            Self::Statistics => f.write_str("conv + statistics"),
            Self::InputGradient { add } => write!(f, "input gradient{}", if *add { " + add" } else { "" }),
            Self::NormGradient { activation } => write!(f, "input gradient{} + norm's gradient", After(*activation)),
            Self::WeightGradient => f.write_str("weight gradient"),
        }
    }
}

struct After(Activation);

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Activation::Identity => Ok(()),
            Activation::Relu => f.write_str(" + relu"),
            Activation::LeakyRelu(slope) => write!(f, " + leaky {slope}"),
            Activation::Silu => f.write_str(" + silu"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(pass: ConvPass) -> ConvProblem {
        let spec = ConvSpec::new(48, 64, 3, 1);
        ConvProblem { spec, input: Shape::new(2, 56, 56, 48), pass }
    }

    #[test]
    fn a_problem_reads_as_its_layer() {
        let forward = ConvPass::Forward { residual: true, activation: Activation::LeakyRelu(0.01) };
        assert_eq!(problem(forward).to_string(), "2x56x56x48 -> 64, 3x3/1: conv + bias + residual + leaky 0.01");
        let gradient = ConvPass::InputGradient { add: true };
        assert_eq!(problem(gradient).to_string(), "2x56x56x48 -> 64, 3x3/1: input gradient + add");
        let norms = ConvPass::NormGradient { activation: Activation::Relu };
        assert_eq!(problem(norms).to_string(), "2x56x56x48 -> 64, 3x3/1: input gradient + relu + norm's gradient");
    }

    #[test]
    fn every_problem_ends_with_the_product_alone() {
        let gradients = [false, true].into_iter().map(|add| ConvPass::InputGradient { add });
        let forward = ConvPass::Forward { residual: false, activation: Activation::Relu };
        let norms = ConvPass::NormGradient { activation: Activation::Relu };
        for pass in gradients.chain([forward, ConvPass::Statistics, norms, ConvPass::WeightGradient]) {
            assert_eq!(problem(pass).fusions().last(), Some(&Fusion::Bare), "{pass}");
        }
    }
}
