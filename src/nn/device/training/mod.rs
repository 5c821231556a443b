//! Networks that learn on a GPU: their parameters there, and the schedule of a training step. As for evaluation, all
//! of it is data, made and tested without one.

mod backward;
mod convolution;
mod forward;
mod parameters;
mod trainable;

use anyhow::{Result, bail, ensure};

use super::form::{DeviceConv, conv};
use crate::nn::graph::{Graph, Op, Value};
use crate::nn::training::Dropping;
use crate::ops::cuda::{Element, padded};
use crate::ops::training::{BatchLayout, LossRule, TargetKind, TrainingBuilder, TrainingSchedule, Variable};
use crate::ops::{Activation, Shape};

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
    /// Whether the values between blocks alone are kept, and each block is run again on the way back.
    pub checkpointing: bool,
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
        let (mut scales, mut dropouts) = (Vec::new(), 0);
        let mut drops = Vec::with_capacity(logits.0 + 1);
        for at in 0..=logits.0 {
            let node = &self.nodes[at];
            drops.push(dropping.drops(at).then(|| {
                match (&node.op, node.inputs.first()) {
                    (Op::Dropout { .. }, _) => {
                        dropouts += 1;
                        return dropouts - 1;
                    }
                    (Op::Linear { .. }, Some(input)) => scales.push(shapes[input.0].len()),
                    _ => scales.push(image.batch),
                }
                scales.len() - 1
            }));
        }
        let classes = self.channels(logits);
        let batch = BatchLayout::new(image, options.bytes, options.targets, classes, &scales, dropouts);
        let mut lowering = Lowering {
            graph: self,
            shapes: &shapes,
            parameters,
            frozen,
            dropping,
            drops,
            options,
            builder: TrainingBuilder::new(options.element, image),
            records: Vec::new(),
            sums: vec![None; logits.0 + 1],
            again: false,
        };
        for at in 0..=logits.0 {
            let record = lowering.forward(at, image)?;
            lowering.records.push(record);
        }
        let output = lowering.output(logits);
        let gradient = lowering.loss(output, image.batch, classes);
        let segments = match options.checkpointing {
            true => self.segments(logits),
            false => std::iter::once(0..logits.0 + 1).collect(),
        };
        lowering.backward(segments, image, gradient)?;
        lowering.builder.finish(batch, output)
    }

    /// Refuses by name what a device cannot train.
    fn check_trainable(&self, logits: Value) -> Result<()> {
        let nodes = &self.nodes[..=logits.0];
        if !matches!(nodes.last().map(|node| &node.op), Some(Op::Linear { .. })) {
            bail!("value {} is no network's logits", logits.0);
        }
        for (at, node) in nodes.iter().enumerate() {
            let input = node.inputs.first().map(|input| &nodes[input.0].op);
            match node.op {
                // A curved activation's gradient needs what it was given: the norm's input and no more, as on the CPU.
                Op::Conv { norm, activation, .. } => {
                    let recovered = norm.is_some() && node.inputs.len() == 1;
                    ensure!(recovered || !activation.is_curved(), "SiLU without a norm of its own is not trained");
                }
                Op::SqueezeExcite { activation, .. } => {
                    ensure!(!activation.is_curved(), "SiLU behind a gate is not trained");
                }
                Op::Dropout { .. } => {
                    let is_map = !matches!(input, Some(Op::GlobalAveragePool | Op::Linear { .. }));
                    ensure!(is_map, "a dropout behind the last pool is not trained: it is the classifier's own");
                }
                Op::Input { .. } => ensure!(at == 0, "a network with two inputs"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A graph on its way to a schedule.
struct Lowering<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    parameters: &'a DeviceParameters,
    frozen: &'a [bool],
    dropping: &'a Dropping,
    /// Of each node the number of its scales, or of its dropout, where it drops something.
    drops: Vec<Option<usize>>,
    options: &'a TrainingOptions,
    builder: TrainingBuilder,
    records: Vec<Record>,
    /// Of each node the sums that its gradient came with, until its norm takes them.
    sums: Vec<Option<Variable>>,
    /// Whether nodes are run again: running statistics have moved then.
    again: bool,
}

/// What a node's forward pass left for its backward pass.
struct Record {
    output: Variable,
    /// The norm's input where the norm did not work in place, and its numbers.
    norm: Option<(Option<Variable>, Variable)>,
    /// Mean, hidden values and gates, and for SiLU what it was given.
    gate: Option<([Variable; 3], Option<Variable>)>,
    /// A convolution's joined weight.
    filter: Option<Variable>,
    /// What a linear layer was given, where something was dropped.
    input: Option<Variable>,
}

impl Record {
    fn of(output: Variable) -> Self {
        Self { output, norm: None, gate: None, filter: None, input: None }
    }
}

impl<'a> Lowering<'a> {
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

    fn conv(&self, at: usize) -> Result<Option<DeviceConv<'a>>> {
        conv(&self.graph.nodes[at].op)
    }
}
