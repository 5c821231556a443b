//! Networks that learn on a GPU: their parameters there, and the schedule of a training step. As for evaluation, all
//! of it is data, made and tested without one.

mod backward;
mod forward;
mod parameters;
mod trainable;

use anyhow::{Result, bail, ensure};

use super::form::conv;
use crate::nn::graph::{Graph, Norm, Op, ParameterId, Value};
use crate::nn::training::Dropping;
use crate::ops::cuda::{Element, padded};
use crate::ops::training::{BatchLayout, LossRule, TargetKind, TrainingBuilder, TrainingSchedule, Variable};
use crate::ops::{Activation, ConvSpec, Shape};

pub use parameters::DeviceParameters;
pub use trainable::{DeviceTrainable, DeviceTraining, LearntState, NormChoice};

/// How a batch norm with leaky ReLU and no residual goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormMode {
    /// Over the convolution's output, which backward recovers from the result (in-place activated batch norm, Rota Bulo
    /// et al., arXiv 1712.02616): least memory.
    InPlace,
    /// Beside it: least arithmetic, and exact however small the norm's weight is.
    Stored,
}

/// What a training step is to be like.
#[derive(Clone, Copy, Debug)]
pub struct TrainingOptions {
    pub element: Element,
    pub norms: NormMode,
    pub loss: LossRule,
    pub targets: TargetKind,
    /// Whether images are bytes; else f32, normalised already.
    pub bytes: bool,
}

impl Graph {
    /// Forward pass, loss and backward pass for a batch of `image`, up to `logits`. What `frozen` flags, one a parameter,
    /// gets no gradient where that spares work.
    ///
    /// # Errors
    /// If images of this shape do not suit the network, or a device cannot train one of its ops.
    pub(super) fn training_schedule(
        &self,
        image: Shape,
        logits: Value,
        parameters: &DeviceParameters,
        frozen: &[bool],
        dropping: &Dropping,
        options: &TrainingOptions,
    ) -> Result<TrainingSchedule> {
        let shapes = self.shapes(image)?;
        self.check_trainable(logits)?;
        let mut scales = Vec::new();
        let mut drops = Vec::with_capacity(logits.0 + 1);
        for at in 0..=logits.0 {
            let runs = match (&self.nodes[at].op, self.nodes[at].inputs.first()) {
                (Op::Linear { .. }, Some(input)) => shapes[input.0].len(),
                _ => image.batch,
            };
            drops.push(dropping.drops(at).then(|| {
                scales.push(runs);
                scales.len() - 1
            }));
        }
        let classes = self.channels(logits);
        let batch = BatchLayout::new(image, options.bytes, options.targets, classes, &scales);
        let mut lowering = Lowering {
            graph: self,
            shapes: &shapes,
            parameters,
            frozen,
            drops,
            options,
            builder: TrainingBuilder::new(options.element, image),
            records: Vec::new(),
        };
        for at in 0..=logits.0 {
            let record = lowering.forward(at, image)?;
            lowering.records.push(record);
        }
        let output = lowering.output(logits);
        let gradient = lowering.loss(output, image.batch, classes);
        lowering.backward(logits, gradient)?;
        lowering.builder.finish(batch, output)
    }

    /// Refuses by name what a device cannot train.
    fn check_trainable(&self, logits: Value) -> Result<()> {
        let nodes = &self.nodes[..=logits.0];
        if !matches!(nodes.last().map(|node| &node.op), Some(Op::Linear { .. })) {
            bail!("value {} is no network's logits", logits.0);
        }
        for (at, node) in nodes.iter().enumerate() {
            if let Some(own) = conv(&node.op)? {
                own.trained()?;
            }
            match node.op {
                Op::SqueezeExcite { between, activation, .. } => {
                    ensure!(
                        between == Activation::Relu && !activation.is_curved(),
                        "a gate with {between:?} and {activation:?} is not trained on a GPU yet"
                    );
                }
                Op::Norm { activation, .. } => {
                    ensure!(!activation.is_curved(), "a norm with SiLU is not trained on a GPU yet");
                }
                Op::Dropout { .. } => bail!("dropout within the network is not trained on a GPU yet"),
                Op::Input { .. } => ensure!(at == 0, "a network with two inputs"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A convolution as it is trained.
#[derive(Clone, Copy)]
struct TrainedConv {
    spec: ConvSpec,
    weight: ParameterId,
    norm: Option<Norm>,
    activation: Activation,
}

impl TrainedConv {
    /// `None` for an op that is no convolution.
    fn of(op: &Op) -> Result<Option<Self>> {
        let Some(conv) = conv(op)? else { return Ok(None) };
        let (spec, [own]) = (conv.trained()?, conv.convs) else {
            bail!("mixed convolutions are not trained on a GPU yet")
        };
        Ok(Some(Self { spec, weight: own.weight, norm: conv.norm, activation: conv.activation }))
    }
}

/// A graph on its way to a schedule.
struct Lowering<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    parameters: &'a DeviceParameters,
    frozen: &'a [bool],
    /// Of each node the number of its scales, where it drops something.
    drops: Vec<Option<usize>>,
    options: &'a TrainingOptions,
    builder: TrainingBuilder,
    records: Vec<Record>,
}

/// What a node's forward pass left for its backward pass.
struct Record {
    output: Variable,
    /// The norm's input where the norm did not work in place, and its numbers.
    norm: Option<(Option<Variable>, Variable)>,
    /// Mean, hidden values and gates.
    gate: Option<[Variable; 3]>,
    /// What a linear layer was given, where something was dropped.
    input: Option<Variable>,
}

impl Record {
    fn of(output: Variable) -> Self {
        Self { output, norm: None, gate: None, input: None }
    }
}

impl Lowering<'_> {
    fn output(&self, value: Value) -> Variable {
        self.records[value.0].output
    }

    /// A value's shape on the device.
    fn map(&self, value: Value) -> Shape {
        let shape = self.shapes[value.0];
        Shape { channels: padded(shape.channels), ..shape }
    }

    /// Whether the norm behind a convolution works over the convolution's output. A norm without an activation may start
    /// with weights of 0, out of which nothing comes back; with ReLU nothing does either.
    fn in_place(&self, activation: Activation, residual: bool) -> bool {
        let leaky = matches!(activation, Activation::LeakyRelu(slope) if slope > 0.0);
        self.options.norms == NormMode::InPlace && leaky && !residual
    }

    fn conv(&self, at: usize) -> Result<Option<TrainedConv>> {
        TrainedConv::of(&self.graph.nodes[at].op)
    }
}
