//! Layers as a family's file describes them to [`Graph`](super::Graph): an op with the names and the first values of
//! its parameters.

use candle_nn::Init;
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};

use super::graph::Value;
use crate::ops::{Activation, ConvSpec, Window};

/// A convolution without bias, its batch norm where it has one, what is added to that and the activation.
#[derive(Clone, Debug)]
pub struct ConvLayer {
    /// Path of the convolution: its weight is `<conv>.weight`, those of a mixed one `<conv>.0.weight` and so on.
    pub conv: String,
    /// Path of the batch norm.
    pub norm: Option<String>,
    pub out_channels: usize,
    /// Sides of square kernels, odd; the padding keeps the size at stride 1. Several make a mixed convolution (MixConv,
    /// Tan and Le, arXiv 1907.09595): each kernel has its share of the channels, in and out.
    pub kernels: &'static [usize],
    pub grouping: Grouping,
    pub stride: usize,
    pub activation: Activation,
    /// Added before the activation.
    pub residual: Option<Value>,
    /// Where the weight starts.
    pub init: fn(&ConvSpec) -> Init,
    /// Where the batch norm's weight starts: 1, or 0 to start a residual branch as nothing.
    pub norm_init: f64,
}

/// Which input channels an output channel sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// All of them.
    Dense,
    /// Those of its group, one of so many.
    Groups(usize),
    /// One.
    Depthwise,
}

impl ConvLayer {
    /// A 1x1 convolution of stride 1 with nothing after it.
    pub fn new(conv: String, out_channels: usize) -> Self {
        Self {
            conv,
            norm: None,
            out_channels,
            kernels: &[1],
            grouping: Grouping::Dense,
            stride: 1,
            activation: Activation::Identity,
            residual: None,
            init: kaiming_normal_fan_out,
            norm_init: 1.0,
        }
    }

    /// The same with a batch norm.
    pub fn normed(conv: String, norm: String, out_channels: usize) -> Self {
        Self { norm: Some(norm), ..Self::new(conv, out_channels) }
    }

    /// The convolutions that it is made of, each with its path.
    pub(super) fn convs(&self, in_channels: usize) -> Vec<(String, ConvSpec)> {
        let count = self.kernels.len();
        let (mut first_input, mut first_output) = (0, 0);
        let mut convs = Vec::with_capacity(count);
        for (at, &kernel) in self.kernels.iter().enumerate() {
            let [inputs, outputs] = [in_channels, self.out_channels].map(|channels| share(channels, count, at));
            let groups = match self.grouping {
                Grouping::Dense => 1,
                Grouping::Groups(groups) => groups,
                Grouping::Depthwise => inputs,
            };
            let path = if count == 1 { self.conv.clone() } else { format!("{}.{at}", self.conv) };
            let input = Window { first: first_input, of: in_channels };
            let output = Window { first: first_output, of: self.out_channels };
            convs.push((
                path,
                ConvSpec { groups, input, output, ..ConvSpec::new(inputs, outputs, kernel, self.stride) },
            ));
            first_input += inputs;
            first_output += outputs;
        }
        convs
    }
}

/// Channels of share `at` out of `count`: equal ones, and the first has what is left over, as in timm's `MixedConv2d`.
fn share(channels: usize, count: usize, at: usize) -> usize {
    channels / count + if at == 0 { channels % count } else { 0 }
}

/// A gate on every channel: two 1x1 convolutions with biases on the channels' means.
#[derive(Clone, Debug)]
pub struct SqueezeExciteLayer {
    /// Path of the convolution to `hidden` channels.
    pub reduce: String,
    /// Path of the convolution back.
    pub expand: String,
    pub hidden: usize,
    /// Stands between the convolutions.
    pub between: Activation,
    /// Added to the gated values.
    pub residual: Option<Value>,
    /// Follows the sum.
    pub activation: Activation,
    /// Where the weights start, and the biases for a number of inputs.
    pub init: fn(&ConvSpec) -> Init,
    pub bias_init: fn(usize) -> Init,
}

impl SqueezeExciteLayer {
    /// timm's `SEModule`: `<path>.fc1` to `hidden` channels, ReLU, `<path>.fc2`.
    pub fn new(path: &str, hidden: usize) -> Self {
        Self {
            reduce: format!("{path}.fc1"),
            expand: format!("{path}.fc2"),
            hidden,
            between: Activation::Relu,
            residual: None,
            activation: Activation::Identity,
            init: kaiming_normal_fan_out,
            bias_init: torch_default,
        }
    }
}

/// Kaiming normal, fan-out, with the gain of ReLU (He, arXiv 1502.01852): what the convolutions of TResNet and of the
/// ResNets start from. (TResNet's code names leaky ReLU, but leaves its slope at PyTorch's default of 0.)
pub fn kaiming_normal_fan_out(_: &ConvSpec) -> Init {
    Init::Kaiming { dist: NormalOrUniform::Normal, fan: FanInOut::FanOut, non_linearity: NonLinearity::ReLU }
}

/// Where PyTorch starts a bias, and the weight of a linear layer: uniform within `1 / sqrt(inputs)`.
pub fn torch_default(inputs: usize) -> Init {
    let bound = 1.0 / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}
