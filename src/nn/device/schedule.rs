//! From a graph to a schedule: a step a node, and a place in one arena for every value while it lives. A dropout, which
//! does nothing in evaluation, has no step: its value is its input's.

use anyhow::{Context, Result, bail};

use super::form::{DeviceConv, Form, conv};
use crate::nn::graph::{Graph, Node, Op, Value};
use crate::ops::cuda::{Element, image_splits, padded};
use crate::ops::{
    Constants, ConvPass, ConvProblem, GateScratch, Request, Schedule, Shape, Slot, Step, Subsample, place,
};

impl Graph {
    /// The run up to `output`, a value of `[batch, channels]`, for images `[batch, height, width, channels]`.
    ///
    /// # Errors
    /// If images of this shape do not suit the network, or `output` is a map.
    pub fn schedule(&self, image: Shape, output: Value, element: Element) -> Result<Schedule> {
        let shapes = self.shapes(image)?;
        let nodes = &self.nodes[..=output.0];
        if !matches!(nodes.last().map(|node| &node.op), Some(Op::GlobalAveragePool | Op::Linear { .. })) {
            bail!("value {} is no result of a network", output.0);
        }
        // Whose step writes a node's value.
        let mut owners: Vec<usize> = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            owners.push(match (&node.op, node.inputs.first()) {
                (Op::Dropout { .. }, Some(&Value(input))) => owners[input],
                _ => at,
            });
        }
        let mut requests: Vec<Request> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let reads = |reader: &Node| reader.inputs.iter().any(|&Value(input)| owners[input] == at);
            let last = nodes.iter().rposition(reads).unwrap_or(at);
            let last = if at == owners[output.0] { nodes.len() } else { last };
            let bytes = if owners[at] == at { bytes(&node.op, shapes[at], element) } else { 0 };
            requests.push(Request { bytes, first: at, last });
        }
        for (at, node) in nodes.iter().enumerate() {
            if let Op::SqueezeExcite { hidden, .. } = node.op {
                let scratch = gate_bytes(map(shapes[at]), hidden);
                requests.extend(scratch.map(|bytes| Request { bytes, first: at, last: at }));
            }
        }
        let (slots, arena_bytes) = place(&requests);
        let (values, scratch) = slots.split_at(nodes.len());
        let values: Vec<Slot> = owners.iter().map(|&owner| values[owner]).collect();
        let mut lowering =
            Lowering { shapes: &shapes, values: &values, scratch: scratch.chunks_exact(4), constants: 0 };
        let own = (0..nodes.len()).filter(|&at| owners[at] == at);
        let steps = own.map(|at| lowering.step(self, at, image)).collect::<Result<_>>()?;
        let channels = self.channels(output);
        let slot = values[output.0];
        let output_width = slot.bytes / size_of::<f32>() / image.batch.max(1);
        Ok(Schedule { element, image, steps, arena_bytes, output: slot, output_width, output_channels: channels })
    }
}

struct Lowering<'a> {
    shapes: &'a [Shape],
    values: &'a [Slot],
    /// Four slots a gate.
    scratch: std::slice::ChunksExact<'a, Slot>,
    /// Constants of the steps so far.
    constants: usize,
}

impl Lowering<'_> {
    fn step(&mut self, graph: &Graph, at: usize, image: Shape) -> Result<Step> {
        let node = &graph.nodes[at];
        let out = self.values[at];
        if let Op::Input { cell } = node.op {
            return Ok(Step::Images { image, cell, out });
        }
        let first = node.inputs.first().with_context(|| format!("node {at} has no input"))?;
        let (input, shape) = (self.values[first.0], map(self.shapes[first.0]));
        let residual = node.inputs.get(1).map(|residual| self.values[residual.0]);
        if let Some(DeviceConv { form, activation, .. }) = conv(&node.op)? {
            let constants = self.take(2);
            return Ok(match form {
                Form::Product(spec) => {
                    let pass = ConvPass::Forward { residual: residual.is_some(), activation };
                    let problem = ConvProblem { spec: spec.padded(), input: shape, pass };
                    Step::Conv { problem, constants, input, residual, out }
                }
                Form::Depthwise(bands) => Step::Depthwise { bands, shape, activation, constants, input, residual, out },
            });
        }
        Ok(match node.op {
            Op::Norm { activation, .. } => Step::Norm { shape, activation, constants: self.take(2), input, out },
            Op::MaxPool3x3 => Step::MaxPool3x3 { shape, input, out },
            Op::Subsample(op) => {
                let op = Subsample { channels: padded(op.channels), ..op };
                Step::Subsample { op, shape, input, out }
            }
            Op::BlurPool => Step::BlurPool { shape, input, out },
            Op::AveragePool2x2 => Step::AveragePool2x2 { shape, input, out },
            Op::SqueezeExcite { hidden, activation, between, .. } => {
                let constants = self.take(4);
                let Some(&[parts, mean, kept, gates]) = self.scratch.next() else {
                    bail!("the gate of node {at} has no place to work")
                };
                let scratch = GateScratch { splits: image_splits(shape), parts, mean, hidden: kept, gates };
                Step::SqueezeExcite { shape, hidden, between, activation, constants, input, residual, out, scratch }
            }
            Op::GlobalAveragePool => Step::GlobalAveragePool { shape, input, out },
            Op::Linear { .. } => {
                let constants = self.take(2);
                let (batch, inputs) = (shape.batch, shape.channels);
                Step::Linear { batch, inputs, outputs: node.channels, constants, input, out }
            }
            ref op @ (Op::Input { .. } | Op::Conv { .. } | Op::Dropout { .. }) => bail!("{op:?} is no step of its own"),
        })
    }

    fn take(&mut self, count: usize) -> Constants {
        self.constants += count;
        Constants(self.constants - count)
    }
}

/// A map as it is on a device.
fn map(shape: Shape) -> Shape {
    Shape { channels: padded(shape.channels), ..shape }
}

/// Bytes of a node's value.
fn bytes(op: &Op, shape: Shape, element: Element) -> usize {
    match op {
        Op::GlobalAveragePool => map(shape).len() * size_of::<f32>(),
        Op::Linear { .. } => shape.len() * size_of::<f32>(),
        _ => map(shape).len() * element.size(),
    }
}

/// Bytes of a gate's scratch, in the order of [`GateScratch`].
fn gate_bytes(shape: Shape, hidden: usize) -> [usize; 4] {
    let rows = shape.batch * shape.channels;
    [image_splits(shape) * rows, rows, shape.batch * hidden, rows].map(|values| values * size_of::<f32>())
}
