//! A node's forward pass, and the loss.

use anyhow::{Context, Result, bail};

use super::{Lowering, Record, TrainedConv};
use crate::nn::graph::{Norm, Op, Value};
use crate::nn::training::NORM_MOMENTUM;
use crate::ops::cuda::batch_norm::partial_sums;
use crate::ops::cuda::image_splits;
use crate::ops::cuda::linear::LinearShape;
use crate::ops::training::{GatePlaces, GateSizes, TrainingOp, Variable};
use crate::ops::{Activation, ConvPass, ConvProblem, Shape, Subsample};

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
            return self.conv_forward(at, conv, input, shape, residual);
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
            Op::SqueezeExcite { hidden, reduce, expand, activation, .. } => {
                let sizes = GateSizes { shape, hidden, splits: image_splits(shape) };
                let layers =
                    GatePlaces { reduce: self.parameters.affine(reduce), expand: self.parameters.affine(expand) };
                let rows = shape.batch * shape.channels;
                let parts = self.builder.words(sizes.splits * rows);
                let gate = [rows, shape.batch * hidden, rows].map(|count| self.builder.words(count));
                let [mean, kept, gates] = gate;
                self.builder.push(TrainingOp::Gate { sizes, layers }, [input], [parts, mean, kept, gates]);
                let (added, after) = self.joined(at, residual, activation);
                let mut out = self.builder.map(shape);
                let reads = [Some(input), Some(gates), added].into_iter().flatten().collect();
                self.builder.push_all(TrainingOp::Gated { shape, activation: after }, reads, vec![out]);
                out = self.join(at, out, own, residual, activation);
                Record { gate: Some(gate), ..Record::of(out) }
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
            ref op => bail!("{op:?} is not trained on a GPU yet"),
        })
    }

    fn simple(&mut self, op: TrainingOp, input: Variable, shape: Shape) -> Record {
        let out = self.builder.map(shape);
        self.builder.push(op, [input], [out]);
        Record::of(out)
    }

    fn conv_forward(
        &mut self,
        at: usize,
        conv: TrainedConv,
        input: Variable,
        shape: Shape,
        residual: Option<Variable>,
    ) -> Result<Record> {
        let own = self.map(Value(at));
        let weight = self.parameters.place(conv.weight);
        let (added, after) = self.joined(at, residual, conv.activation);
        let problem = |pass| ConvProblem { spec: conv.spec.padded(), input: shape, pass };
        let out = self.builder.map(own);
        let Some(norm) = conv.norm else {
            let pass = ConvPass::Forward { residual: added.is_some(), activation: after };
            let reads = [Some(input), added].into_iter().flatten().collect();
            self.builder.push_all(TrainingOp::Conv { problem: problem(pass), weight }, reads, vec![out]);
            let out = self.join(at, out, own, residual, conv.activation);
            return Ok(Record::of(out));
        };
        let sums = [own.channels; 2].map(|count| self.builder.words(count));
        let op = TrainingOp::Conv { problem: problem(ConvPass::Statistics), weight };
        self.builder.push(op, [input], [out, sums[0], sums[1]]);
        let numbers = self.statistics(norm, out, own, Some(sums));
        let in_place = self.in_place(conv.activation, residual.is_some());
        let result = if in_place { self.builder.over(out) } else { self.builder.map(own) };
        let op = TrainingOp::Norm { shape: own, norm: self.parameters.norm(norm), activation: after };
        let reads = [Some(out), Some(numbers), added].into_iter().flatten().collect();
        self.builder.push_all(op, reads, vec![result]);
        let result = self.join(at, result, own, residual, conv.activation);
        Ok(Record { norm: Some(((!in_place).then_some(out), numbers)), ..Record::of(result) })
    }

    fn statistics(&mut self, norm: Norm, values: Variable, shape: Shape, sums: Option<[Variable; 2]>) -> Variable {
        let moments = self.builder.words(partial_sums(shape));
        let numbers = self.builder.words(NUMBERS * shape.channels);
        let norm = self.parameters.norm(norm);
        let op = TrainingOp::Statistics { shape, norm, epsilon: self.graph.norm_epsilon(), momentum: NORM_MOMENTUM };
        let reads = std::iter::once(values).chain(sums.into_iter().flatten()).collect();
        self.builder.push_all(op, reads, vec![moments, numbers]);
        numbers
    }

    /// What an op adds and which activation it ends with: nothing where the branch is dropped for some images, which
    /// then joins its residual afterwards.
    fn joined(&self, at: usize, residual: Option<Variable>, activation: Activation) -> (Option<Variable>, Activation) {
        match (residual, self.drops[at]) {
            (Some(_), Some(_)) => (None, Activation::Identity),
            _ => (residual, activation),
        }
    }

    fn join(
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
