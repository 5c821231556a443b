//! What a network computes, apart from any weights, input size or device.
//!
//! A family's file writes its forward once, as calls of this builder. From the graph come the parameters and their
//! shapes, the multiplications for an input size, the memory plan and the run itself.

use candle_nn::Init;

use super::layers::{ConvLayer, SqueezeExciteLayer};
use crate::ops::{Activation, ConvSpec, Subsample};

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

/// Added to a variance before its root where a network says nothing else: PyTorch's default.
pub const NORM_EPSILON: f32 = 1e-5;

/// A weight and its bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    pub weight: ParameterId,
    pub bias: ParameterId,
}

/// A convolution of its own, or one of those that make a mixed one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conv {
    pub spec: ConvSpec,
    pub weight: ParameterId,
}

/// One op. `Node::inputs` holds what it reads, in the order named here.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The image, rearranged in cells of `cell` by `cell` pixels.
    Input { cell: usize },
    /// input, perhaps residual
    Conv { convs: Vec<Conv>, norm: Option<Norm>, activation: Activation },
    /// input
    Norm { norm: Norm, activation: Activation },
    /// input
    BlurPool,
    /// input
    AveragePool2x2,
    /// input
    MaxPool3x3,
    /// input
    Subsample(Subsample),
    /// input, perhaps residual
    SqueezeExcite { hidden: usize, reduce: Affine, expand: Affine, between: Activation, activation: Activation },
    /// input
    Dropout { rate: f64 },
    /// input
    GlobalAveragePool,
    /// input
    Linear { affine: Affine },
}

impl Op {
    pub fn norm(&self) -> Option<Norm> {
        match *self {
            Self::Conv { norm, .. } => norm,
            Self::Norm { norm, .. } => Some(norm),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub inputs: Vec<Value>,
    pub channels: usize,
    /// How far down the network it stands, from 0 to 1, where the family says so.
    pub depth: Option<f64>,
}

/// A network's ops in the order in which they run.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    parameters: Vec<Parameter>,
    in_channels: usize,
    norm_epsilon: f32,
}

impl Graph {
    /// A graph of its input alone: images of `in_channels`, taken in cells of `cell` by `cell` pixels (1: as they are).
    pub fn new(in_channels: usize, cell: usize) -> (Self, Value) {
        let input =
            Node { op: Op::Input { cell }, inputs: Vec::new(), channels: in_channels * cell * cell, depth: None };
        (Self { nodes: vec![input], parameters: Vec::new(), in_channels, norm_epsilon: NORM_EPSILON }, Value(0))
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Trainable values.
    pub fn param_count(&self) -> usize {
        self.parameters.iter().filter(|p| p.trainable).map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// What all norms add to a variance before its root.
    pub fn norm_epsilon(&self) -> f32 {
        self.norm_epsilon
    }

    /// Sets what all norms add to a variance before its root: [`NORM_EPSILON`] otherwise.
    pub fn set_norm_epsilon(&mut self, epsilon: f32) {
        self.norm_epsilon = epsilon;
    }

    /// Channels of the image.
    pub fn in_channels(&self) -> usize {
        self.in_channels
    }

    pub fn channels(&self, value: Value) -> usize {
        self.nodes[value.0].channels
    }

    pub fn conv(&mut self, input: Value, layer: ConvLayer) -> Value {
        let mut convs = Vec::with_capacity(layer.kernels.len());
        for (path, spec) in layer.convs(self.channels(input)) {
            let weight = self.parameter(&path, "weight", &spec.weight_shape(), (layer.init)(&spec), true);
            convs.push(Conv { spec, weight });
        }
        let norm = layer.norm.as_ref().map(|path| self.norm_parameters(path, layer.out_channels, layer.norm_init));
        let op = Op::Conv { convs, norm, activation: layer.activation };
        self.push(op, [Some(input), layer.residual], layer.out_channels)
    }

    /// A batch norm of its own, as where it stands before a convolution, and its activation.
    pub fn norm(&mut self, input: Value, path: &str, activation: Activation) -> Value {
        let channels = self.channels(input);
        let norm = self.norm_parameters(path, channels, 1.0);
        self.push(Op::Norm { norm, activation }, [Some(input), None], channels)
    }

    fn norm_parameters(&mut self, path: &str, channels: usize, init: f64) -> Norm {
        let mut norm = |part, init, trainable| self.parameter(path, part, &[channels], Init::Const(init), trainable);
        Norm {
            weight: norm("weight", init, true),
            bias: norm("bias", 0.0, true),
            mean: norm("running_mean", 0.0, false),
            variance: norm("running_var", 1.0, false),
        }
    }

    pub fn blur_pool(&mut self, input: Value) -> Value {
        self.push(Op::BlurPool, [Some(input), None], self.channels(input))
    }

    pub fn average_pool_2x2(&mut self, input: Value) -> Value {
        self.push(Op::AveragePool2x2, [Some(input), None], self.channels(input))
    }

    pub fn max_pool_3x3(&mut self, input: Value) -> Value {
        self.push(Op::MaxPool3x3, [Some(input), None], self.channels(input))
    }

    /// The input itself where nothing is to change.
    pub fn subsample(&mut self, input: Value, stride: usize, channels: usize) -> Value {
        if stride == 1 && channels == self.channels(input) {
            return input;
        }
        self.push(Op::Subsample(Subsample { stride, channels }), [Some(input), None], channels)
    }

    pub fn squeeze_excite(&mut self, input: Value, layer: SqueezeExciteLayer) -> Value {
        let channels = self.channels(input);
        let SqueezeExciteLayer { hidden, between, activation, .. } = layer;
        let mut affine = |path: &str, inputs, outputs| {
            let spec = ConvSpec::new(inputs, outputs, 1, 1);
            self.affine(path, &spec.weight_shape(), [(layer.init)(&spec), (layer.bias_init)(inputs)])
        };
        let reduce = affine(&layer.reduce, channels, hidden);
        let expand = affine(&layer.expand, hidden, channels);
        let op = Op::SqueezeExcite { hidden, reduce, expand, between, activation };
        self.push(op, [Some(input), layer.residual], channels)
    }

    /// Tells how far down the network, from 0 to 1, the block that ends with `value` stands: its share of what
    /// stochastic depth drops. Blocks that are not told of are spaced evenly.
    pub fn set_depth(&mut self, value: Value, depth: f64) {
        self.nodes[value.0].depth = Some(depth);
    }

    /// The input itself where nothing is to be dropped.
    pub fn dropout(&mut self, input: Value, rate: f64) -> Value {
        if rate == 0.0 {
            return input;
        }
        self.push(Op::Dropout { rate }, [Some(input), None], self.channels(input))
    }

    pub fn global_average_pool(&mut self, input: Value) -> Value {
        self.push(Op::GlobalAveragePool, [Some(input), None], self.channels(input))
    }

    /// Starts with the weight and the bias of `init`.
    pub fn linear(&mut self, input: Value, path: &str, outputs: usize, init: [Init; 2]) -> Value {
        let affine = self.affine(path, &[outputs, self.channels(input)], init);
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
        self.nodes.push(Node { op, inputs: inputs.into_iter().flatten().collect(), channels, depth: None });
        Value(self.nodes.len() - 1)
    }
}
