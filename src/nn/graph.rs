//! What a network computes, apart from any weights, input size or device.
//!
//! A family's file writes its forward once, as calls of this builder. From the graph come the parameters and their
//! shapes, the multiplications for an input size, the memory plan and the run itself.

use candle_nn::Init;
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};

use crate::ops::{Activation, ConvSpec};

/// What a node of the graph puts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(super) usize);

/// A tensor that a checkpoint holds for this network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The canonical key: timm's for TResNet, torch-resnet's for its own networks.
    pub name: String,
    pub shape: Vec<usize>,
    pub init: Init,
    /// False for the running statistics of a batch norm, which no gradient reaches.
    pub trainable: bool,
}

/// The index of a parameter in [`Graph::parameters`].
pub(super) type ParameterId = usize;

/// Batch norm's four tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub weight: ParameterId,
    pub bias: ParameterId,
    pub mean: ParameterId,
    pub variance: ParameterId,
}

/// Added to the variance before its root: PyTorch's default, which all these networks keep.
pub(super) const NORM_EPSILON: f32 = 1e-5;

/// A weight and its bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    pub weight: ParameterId,
    pub bias: ParameterId,
}

/// One op. `Node::inputs` holds what it reads, in the order named here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// The image, rearranged in cells of `cell` by `cell` pixels.
    Input { cell: usize },
    /// input, perhaps residual
    Conv { spec: ConvSpec, weight: ParameterId, norm: Norm, activation: Activation },
    /// input
    BlurPool,
    /// input
    AveragePool2x2,
    /// input, perhaps residual
    SqueezeExcite { hidden: usize, reduce: Affine, expand: Affine, activation: Activation },
    /// input
    GlobalAveragePool,
    /// input
    Linear { affine: Affine },
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub inputs: Vec<Value>,
    pub channels: usize,
}

/// A convolution without bias, its batch norm, what is added to that and the activation.
#[derive(Clone, Debug)]
pub struct ConvNorm {
    /// Path of the convolution: its weight is `<conv>.weight`.
    pub conv: String,
    /// Path of the batch norm.
    pub norm: String,
    pub out_channels: usize,
    /// Side of the square kernel, odd; the padding keeps the size at stride 1.
    pub kernel: usize,
    pub stride: usize,
    pub activation: Activation,
    /// Added before the activation.
    pub residual: Option<Value>,
    /// Where the batch norm's weight starts: 1, or 0 to start a residual branch as nothing.
    pub norm_init: f64,
}

impl ConvNorm {
    /// A 1x1 convolution of stride 1 with nothing after its batch norm.
    pub fn new(conv: String, norm: String, out_channels: usize) -> Self {
        Self {
            conv,
            norm,
            out_channels,
            kernel: 1,
            stride: 1,
            activation: Activation::Identity,
            residual: None,
            norm_init: 1.0,
        }
    }
}

/// A network's ops in the order in which they run.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    parameters: Vec<Parameter>,
    in_channels: usize,
}

impl Graph {
    /// A graph of its input alone: images of `in_channels`, taken in cells of `cell` by `cell` pixels (1: as they are).
    pub fn new(in_channels: usize, cell: usize) -> (Self, Value) {
        let input = Node { op: Op::Input { cell }, inputs: Vec::new(), channels: in_channels * cell * cell };
        (Self { nodes: vec![input], parameters: Vec::new(), in_channels }, Value(0))
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Trainable values.
    pub fn param_count(&self) -> usize {
        self.parameters.iter().filter(|p| p.trainable).map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Channels of the image.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    pub fn channels(&self, value: Value) -> usize {
        self.nodes[value.0].channels
    }

    pub fn conv_norm(&mut self, input: Value, layer: ConvNorm) -> Value {
        let spec = ConvSpec {
            in_channels: self.channels(input),
            out_channels: layer.out_channels,
            kernel: layer.kernel,
            stride: layer.stride,
            padding: layer.kernel / 2,
        };
        let weight = self.parameter(&layer.conv, "weight", &spec.weight_shape(), KAIMING_NORMAL_FAN_OUT, true);
        let mut norm = |part, init, trainable| {
            self.parameter(&layer.norm, part, &[spec.out_channels], Init::Const(init), trainable)
        };
        let norm = Norm {
            weight: norm("weight", layer.norm_init, true),
            bias: norm("bias", 0.0, true),
            mean: norm("running_mean", 0.0, false),
            variance: norm("running_var", 1.0, false),
        };
        let op = Op::Conv { spec, weight, norm, activation: layer.activation };
        self.push(op, [Some(input), layer.residual], spec.out_channels)
    }

    pub fn blur_pool(&mut self, input: Value) -> Value {
        self.push(Op::BlurPool, [Some(input), None], self.channels(input))
    }

    pub fn average_pool_2x2(&mut self, input: Value) -> Value {
        self.push(Op::AveragePool2x2, [Some(input), None], self.channels(input))
    }

    /// The layers are `<path>.fc1`, to `hidden` channels, and `<path>.fc2`: 1x1 convolutions with biases.
    pub fn squeeze_excite(
        &mut self,
        input: Value,
        path: &str,
        hidden: usize,
        residual: Option<Value>,
        activation: Activation,
    ) -> Value {
        let channels = self.channels(input);
        let reduce = format!("{path}.fc1");
        let reduce = self.affine(&reduce, &[hidden, channels, 1, 1], [KAIMING_NORMAL_FAN_OUT, torch_default(channels)]);
        let expand = format!("{path}.fc2");
        let expand = self.affine(&expand, &[channels, hidden, 1, 1], [KAIMING_NORMAL_FAN_OUT, torch_default(hidden)]);
        self.push(Op::SqueezeExcite { hidden, reduce, expand, activation }, [Some(input), residual], channels)
    }

    pub fn global_average_pool(&mut self, input: Value) -> Value {
        self.push(Op::GlobalAveragePool, [Some(input), None], self.channels(input))
    }

    /// `init` is the weight's; the bias starts as PyTorch's does.
    pub fn linear(&mut self, input: Value, path: &str, outputs: usize, init: Init) -> Value {
        let inputs = self.channels(input);
        let affine = self.affine(path, &[outputs, inputs], [init, torch_default(inputs)]);
        self.push(Op::Linear { affine }, [Some(input), None], outputs)
    }

    fn affine(&mut self, path: &str, shape: &[usize], [weight, bias]: [Init; 2]) -> Affine {
        let outputs = shape[0];
        Affine {
            weight: self.parameter(path, "weight", shape, weight, true),
            bias: self.parameter(path, "bias", &[outputs], bias, true),
        }
    }

    fn parameter(&mut self, path: &str, part: &str, shape: &[usize], init: Init, trainable: bool) -> ParameterId {
        self.parameters.push(Parameter { name: format!("{path}.{part}"), shape: shape.to_vec(), init, trainable });
        self.parameters.len() - 1
    }

    fn push(&mut self, op: Op, inputs: [Option<Value>; 2], channels: usize) -> Value {
        self.nodes.push(Node { op, inputs: inputs.into_iter().flatten().collect(), channels });
        Value(self.nodes.len() - 1)
    }
}

/// Kaiming normal, fan-out, with the gain of ReLU (He, arXiv 1502.01852): what the convolutions of all these networks
/// start from. (TResNet's code names leaky ReLU, but leaves its slope at PyTorch's default of 0.)
const KAIMING_NORMAL_FAN_OUT: Init =
    Init::Kaiming { dist: NormalOrUniform::Normal, fan: FanInOut::FanOut, non_linearity: NonLinearity::ReLU };

/// Where PyTorch starts a bias, and the weight of a linear layer: uniform within `1 / sqrt(inputs)`.
pub fn torch_default(inputs: usize) -> Init {
    let bound = 1.0 / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}
