//! A node's forward pass, and the loss.

use anyhow::{Context, Result, bail};

use super::{Lowering, Record};
use crate::nn::graph::{Norm, Op, Value};
use crate::nn::training::NORM_MOMENTUM;
use crate::ops::cuda::batch_norm::partial_sums;
use crate::ops::cuda::image_splits;
use crate::ops::cuda::linear::LinearShape;
use crate::ops::training::{GatePlaces, GateSizes, TrainingOp, Variable};
use crate::ops::{Activation, Shape, Subsample};

/// f32 of a channel that a norm keeps: mean, inverse deviation, scale and shift.
const NUMBERS: usize = 4;

impl Lowering<'_> {
    pub fn forward(&mut self, at: usize, image: Shape) -> Result<Record> {
        let node = &self.graph.nodes[at];
        let own = self.map(Value(at));
        if let Op::Input { cell } = node.op {
            let out = self.builder.map(own);
            self.builder.push(TrainingOp::Images { image, cell }, [], [out]);
            return Ok(Record::of(out));
        }
        let first = *node.inputs.first().with_context(|| format!("node {at} has no input"))?;
        let (input, shape) = (self.output(first), self.map(first));
        let residual = node.inputs.get(1).map(|&residual| self.output(residual));
        if let Some(conv) = self.conv(at)? {
            return self.conv_forward(at, &conv, input, shape, residual);
        }
        Ok(match node.op {
            Op::Norm { norm, activation } => {
                let numbers = self.statistics(norm, input, own, None);
                let out = self.builder.map(own);
                let op = TrainingOp::Norm { shape: own, norm: self.parameters.norm(norm), activation };
                self.builder.push(op, [input, numbers], [out]);
                Record { norm: Some((Some(input), numbers)), ..Record::of(out) }
            }
            Op::BlurPool => self.simple(TrainingOp::BlurPool { shape }, input, own),
            Op::AveragePool2x2 => self.simple(TrainingOp::AveragePool2x2 { shape }, input, own),
            Op::MaxPool3x3 => self.simple(TrainingOp::MaxPool3x3 { shape }, input, own),
            Op::Subsample(op) => {
                let op = Subsample { channels: own.channels, ..op };
                self.simple(TrainingOp::Subsample { shape, op }, input, own)
            }
            Op::SqueezeExcite { hidden, reduce, expand, between, activation } => {
                let sizes = GateSizes { shape, hidden, splits: image_splits(shape) };
                let [reduce, expand] = [reduce, expand].map(|layer| self.parameters.affine(layer));
                let layers = GatePlaces { reduce, expand, between };
                let rows = shape.batch * shape.channels;
                let parts = self.builder.words(sizes.splits * rows);
                let gate = [rows, shape.batch * hidden, rows].map(|count| self.builder.words(count));
                let [mean, kept, gates] = gate;
                let reduced = between.is_curved().then(|| self.builder.words(shape.batch * hidden));
                let writes = [parts, mean, kept, gates].into_iter().chain(reduced).collect();
                self.builder.push_all(TrainingOp::Gate { sizes, layers }, vec![input], writes);
                let (added, after) = self.joined(at, residual, activation);
                let mut out = self.builder.map(shape);
                let reads = [Some(input), Some(gates), added].into_iter().flatten().collect();
                self.builder.push_all(TrainingOp::Gated { shape, activation: after }, reads, vec![out]);
                out = self.join(at, out, own, residual, activation);
                Record { gate: Some((gate, reduced)), ..Record::of(out) }
            }
            Op::GlobalAveragePool => {
                let out = self.builder.words(own.len());
                self.builder.push(TrainingOp::GlobalAveragePool { shape }, [input], [out]);
                Record::of(out)
            }
            Op::Linear { affine } => {
                let mut given = input;
                if let Some(scales) = self.drops[at] {
                    given = self.builder.words(shape.len());
                    let channels = self.shapes[first.0].channels;
                    let op = TrainingOp::Drop { rows: shape.batch, channels, width: shape.channels, scales };
                    self.builder.push(op, [input], [given]);
                }
                let out = self.builder.words(shape.batch * node.channels);
                let shape = LinearShape { batch: shape.batch, inputs: shape.channels, outputs: node.channels };
                let layer = self.parameters.affine(affine);
                self.builder.push(TrainingOp::Linear { shape, layer }, [given], [out]);
                Record { input: Some(given), ..Record::of(out) }
            }
            Op::Dropout { .. } => match self.dropout(at, shape) {
                Some(op) => self.simple(op, input, own),
                None => Record::of(input),
            },
            ref op @ (Op::Input { .. } | Op::Conv { .. }) => bail!("{op:?} is no step of its own"),
        })
    }

    fn simple(&mut self, op: TrainingOp, input: Variable, shape: Shape) -> Record {
        let out = self.builder.map(shape);
        self.builder.push(op, [input], [out]);
        Record::of(out)
    }

    /// A dropout within the network, which is the same both ways.
    pub fn dropout(&self, at: usize, shape: Shape) -> Option<TrainingOp> {
        let (draw, dropout) = (self.drops[at]?, self.dropping.values(at)?);
        let channels = self.graph.nodes[at].channels;
        Some(TrainingOp::Dropout { shape, channels, draw, scale: dropout.scale() })
    }

    pub fn statistics(&mut self, norm: Norm, values: Variable, shape: Shape, sums: Option<[Variable; 2]>) -> Variable {
        let moments = self.builder.words(partial_sums(shape));
        let numbers = self.builder.words(NUMBERS * shape.channels);
        let norm = self.parameters.norm(norm);
        let momentum = (!self.again).then_some(NORM_MOMENTUM);
        let op = TrainingOp::Statistics { shape, norm, epsilon: self.graph.norm_epsilon(), momentum };
        let reads = std::iter::once(values).chain(sums.into_iter().flatten()).collect();
        self.builder.push_all(op, reads, vec![moments, numbers]);
        numbers
    }

    /// What an op adds and which activation it ends with: nothing where the branch is dropped for some images, which
    /// then joins its residual afterwards.
    pub fn joined(
        &self,
        at: usize,
        residual: Option<Variable>,
        activation: Activation,
    ) -> (Option<Variable>, Activation) {
        match (residual, self.drops[at]) {
            (Some(_), Some(_)) => (None, Activation::Identity),
            _ => (residual, activation),
        }
    }

    pub fn join(
        &mut self,
        at: usize,
        branch: Variable,
        shape: Shape,
        residual: Option<Variable>,
        activation: Activation,
    ) -> Variable {
        let (Some(residual), Some(scales)) = (residual, self.drops[at]) else { return branch };
        let out = self.builder.over(branch);
        self.builder.push(TrainingOp::Join { shape, scales, activation }, [branch, residual], [out]);
        out
    }

    /// The loss; its gradient at the logits.
    pub fn loss(&mut self, logits: Variable, batch: usize, classes: usize) -> Variable {
        let [losses, ranks, finite] = [(); 3].map(|()| self.builder.words(batch));
        let gradient = self.builder.words(batch * classes);
        let op = TrainingOp::Loss { batch, classes, rule: self.options.loss };
        self.builder.push(op, [logits], [losses, ranks, finite, gradient]);
        gradient
    }
}
