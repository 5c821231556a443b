//! From a graph to a schedule: a step a node, and a place in one arena for every value while it lives.

use anyhow::{Context, Result, bail, ensure};

use super::supported::{DeviceConv, conv, sloped};
use crate::nn::graph::{Graph, Op, Value};
use crate::ops::cuda::{Element, image_splits, padded};
use crate::ops::{
    Activation, Constants, ConvPass, ConvProblem, GateScratch, Request, Schedule, Shape, Slot, Step, place,
};

impl Graph {
    /// The run up to `output`, a value of `[batch, channels]`, for images `[batch, height, width, channels]`.
    ///
    /// # Errors
    /// If images of this shape do not suit the network, a device has no kernels for one of its ops, or `output` is a map.
    pub fn schedule(&self, image: Shape, output: Value, element: Element) -> Result<Schedule> {
        let shapes = self.shapes(image)?;
        let nodes = &self.nodes[..=output.0];
        if !matches!(nodes.last().map(|node| &node.op), Some(Op::GlobalAveragePool | Op::Linear { .. })) {
            bail!("value {} is no result of a network", output.0);
        }
        let mut requests: Vec<Request> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let last = nodes.iter().rposition(|reader| reader.inputs.contains(&Value(at))).unwrap_or(at);
            let last = if at == output.0 { nodes.len() } else { last };
            requests.push(Request { bytes: bytes(&node.op, shapes[at], element), first: at, last });
        }
        for (at, node) in nodes.iter().enumerate() {
            if let Op::SqueezeExcite { hidden, .. } = node.op {
                let scratch = gate_bytes(map(shapes[at]), hidden);
                requests.extend(scratch.map(|bytes| Request { bytes, first: at, last: at }));
            }
        }
        let (slots, arena_bytes) = place(&requests);
        let (values, scratch) = slots.split_at(nodes.len());
        let mut lowering = Lowering { shapes: &shapes, values, scratch: scratch.chunks_exact(4), constants: 0 };
        let steps = (0..nodes.len()).map(|at| lowering.step(self, at, image)).collect::<Result<_>>()?;
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
        if let Some(DeviceConv { spec, activation, .. }) = conv(&node.op)? {
            let pass = ConvPass::Forward { residual: residual.is_some(), activation };
            let problem = ConvProblem { spec: spec.padded(), input: shape, pass };
            return Ok(Step::Conv { problem, constants: self.take(2), input, residual, out });
        }
        Ok(match node.op {
            Op::BlurPool => Step::BlurPool { shape, input, out },
            Op::AveragePool2x2 => Step::AveragePool2x2 { shape, input, out },
            Op::SqueezeExcite { hidden, activation, between, .. } => {
                ensure!(between == Activation::Relu, "a gate with {between:?} has no kernels on a GPU yet");
                sloped(activation)?;
                let constants = self.take(4);
                let Some(&[parts, mean, kept, gates]) = self.scratch.next() else {
                    bail!("the gate of node {at} has no place to work")
                };
                let scratch = GateScratch { splits: image_splits(shape), parts, mean, hidden: kept, gates };
                Step::SqueezeExcite { shape, hidden, activation, constants, input, residual, out, scratch }
            }
            Op::GlobalAveragePool => Step::GlobalAveragePool { shape, input, out },
            Op::Linear { .. } => {
                let constants = self.take(2);
                let (batch, inputs) = (shape.batch, shape.channels);
                Step::Linear { batch, inputs, outputs: node.channels, constants, input, out }
            }
            ref op => bail!("{op:?} has no kernels on a GPU yet"),
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
