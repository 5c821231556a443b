//! A node's backward pass. Gradients of one value are summed from the last of its readers to the first.

use std::ops::Range;

use anyhow::{Context, Result, bail};

use super::Lowering;
use crate::nn::graph::{Norm, Op, Value};
use crate::ops::cuda::batch_norm::{FACTORS, partial_sums};
use crate::ops::cuda::image_splits;
use crate::ops::cuda::linear::LinearShape;
use crate::ops::training::{GatePlaces, GateSizes, SavedNorm, TrainingOp, Variable};
use crate::ops::{Activation, Shape, Subsample};

/// The gradient of each value, once something has given it one. Nobody else reads it then.
pub(super) type Gradients = Vec<Option<Variable>>;

impl Lowering<'_> {
    /// The whole backward pass, from the gradient of the last node of the last segment. The segments before are run again,
    /// so that nothing within them is kept until then.
    pub fn backward(&mut self, segments: Vec<Range<usize>>, image: Shape, gradient: Variable) -> Result<()> {
        let count = self.records.len();
        let mut gradients: Gradients = vec![None; count];
        gradients[count - 1] = Some(gradient);
        for segment in segments.into_iter().rev() {
            let nodes = segment.start.max(1)..segment.end;
            self.again = segment.end < count;
            if self.again {
                for at in nodes.clone() {
                    self.records[at] = self.forward(at, image)?;
                }
            }
            nodes.clone().rev().try_for_each(|at| self.backward_node(at, &nodes, &mut gradients))?;
        }
        Ok(())
    }

    /// `segment` are the nodes whose values are there.
    fn backward_node(&mut self, at: usize, segment: &Range<usize>, gradients: &mut Gradients) -> Result<()> {
        let node = &self.graph.nodes[at];
        let Some(&input) = node.inputs.first() else { bail!("node {at} has no input") };
        let gradient = gradients[at].take().with_context(|| format!("nothing depends on node {at}"))?;
        let residual = node.inputs.get(1).copied();
        let (own, shape) = (self.map(Value(at)), self.map(input));
        if let Some(conv) = self.conv(at)? {
            let activation = conv.activation;
            let gradient = match conv.norm {
                Some(norm) => self.norm(at, norm, activation, residual, gradient, gradients)?,
                None => {
                    let behind = self.behind(at, gradient, activation);
                    self.split(at, residual, behind, gradients)
                }
            };
            return self.conv_backward(at, &conv, input, segment, gradient, gradients);
        }
        match node.op {
            Op::Norm { norm, activation } => {
                let out = self.norm(at, norm, activation, None, gradient, gradients)?;
                self.give(input, out, gradients);
            }
            Op::SqueezeExcite { hidden, reduce, expand, between, activation } => {
                let [reduce, expand] = [reduce, expand].map(|layer| self.parameters.affine(layer));
                let layers = GatePlaces { reduce, expand, between };
                let sizes = GateSizes { shape: own, hidden, splits: image_splits(own) };
                self.gate(at, sizes, layers, activation, gradient, gradients)?;
            }
            Op::BlurPool => self.spread(TrainingOp::BlurPoolGradient { shape }, gradient, input, gradients),
            Op::AveragePool2x2 => self.spread(TrainingOp::AveragePool2x2Gradient { shape }, gradient, input, gradients),
            Op::MaxPool3x3 => {
                let (x, out) = (self.output(input), self.builder.map(shape));
                self.builder.push(TrainingOp::MaxPool3x3Gradient { shape }, [gradient, x], [out]);
                self.give(input, out, gradients);
            }
            Op::Subsample(op) => {
                let op = Subsample { channels: own.channels, ..op };
                self.spread(TrainingOp::SubsampleGradient { shape, op }, gradient, input, gradients);
            }
            Op::GlobalAveragePool => {
                self.spread(TrainingOp::GlobalAveragePoolGradient { shape }, gradient, input, gradients);
            }
            Op::Linear { affine } => {
                let sizes = LinearShape { batch: shape.batch, inputs: shape.channels, outputs: node.channels };
                let layer = self.parameters.affine(affine);
                let given = self.records[at].input.context("a linear layer's input was not recorded")?;
                self.builder.push(TrainingOp::LinearWeightGradient { shape: sizes, layer }, [gradient, given], []);
                let mut out = self.builder.words(shape.len());
                self.builder.push(TrainingOp::LinearInputGradient { shape: sizes, layer }, [gradient], [out]);
                if let Some(scales) = self.drops[at] {
                    let channels = self.shapes[input.0].channels;
                    let dropped = self.builder.over(out);
                    let op = TrainingOp::Drop { rows: shape.batch, channels, width: shape.channels, scales };
                    self.builder.push(op, [out], [dropped]);
                    out = dropped;
                }
                // Features are f32 and have one reader.
                gradients[input.0] = Some(out);
            }
            Op::Dropout { .. } => {
                let mut gradient = gradient;
                if let Some(op) = self.dropout(at, own) {
                    let dropped = self.builder.over(gradient);
                    self.builder.push(op, [gradient], [dropped]);
                    gradient = dropped;
                }
                self.give(input, gradient, gradients);
            }
            ref op @ (Op::Input { .. } | Op::Conv { .. }) => bail!("{op:?} is no step of its own"),
        }
        Ok(())
    }

    /// From the activation's output back to the norm's input.
    fn norm(
        &mut self,
        at: usize,
        norm: Norm,
        activation: Activation,
        residual: Option<Value>,
        gradient: Variable,
        gradients: &mut Gradients,
    ) -> Result<Variable> {
        let shape = self.map(Value(at));
        let output = self.records[at].output;
        let (input, numbers) = self.records[at].norm.context("the batch's statistics were not recorded")?;
        let norm = self.parameters.norm(norm);
        let sums = self.builder.words(partial_sums(shape));
        let factors = self.builder.words(FACTORS * shape.channels);
        let dropped = residual.is_some() && self.drops[at].is_some();
        // The sum's gradient behind the activation is the residual's too: the first pass writes it.
        let behind = residual.is_some() && activation != Activation::Identity && !dropped;
        let (gradient, activation) = if dropped {
            let behind = self.behind(at, gradient, activation);
            (self.split(at, residual, behind, gradients), Activation::Identity)
        } else {
            (gradient, activation)
        };
        let (saved, held) = match input {
            Some(input) if activation == Activation::Identity => (SavedNorm::Input, input),
            Some(input) if behind => (SavedNorm::InputAndOutput, input),
            Some(input) => (SavedNorm::InputAgain, input),
            None => (SavedNorm::Output, output),
        };
        let op = TrainingOp::NormGradientSums { shape, norm, saved, activation, behind };
        if !behind {
            let reads = [gradient, held, numbers].into_iter().chain(self.sums[at].take()).collect();
            self.builder.push_all(op, reads, vec![sums, factors]);
            let keeps = residual.is_some() && !dropped;
            let out = if keeps { self.builder.map(shape) } else { self.builder.over(gradient) };
            let op = TrainingOp::NormGradient { shape, norm, saved, activation };
            self.builder.push(op, [gradient, held, numbers, factors], [out]);
            if let (Some(residual), true) = (residual, keeps) {
                self.give(residual, gradient, gradients);
            }
            return Ok(out);
        }
        let through = self.builder.over(gradient);
        self.builder.push(op, [gradient, held, numbers, output], [sums, factors, through]);
        let out = self.builder.map(shape);
        let op = TrainingOp::NormGradient { shape, norm, saved: SavedNorm::Input, activation: Activation::Identity };
        self.builder.push(op, [through, held, numbers, factors], [out]);
        if let Some(residual) = residual {
            self.give(residual, through, gradients);
        }
        Ok(out)
    }

    fn gate(
        &mut self,
        at: usize,
        sizes: GateSizes,
        layers: GatePlaces,
        activation: Activation,
        gradient: Variable,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let node = &self.graph.nodes[at];
        let (input, residual) = (node.inputs[0], node.inputs.get(1).copied());
        let ([mean, hidden, gates], reduced) = self.records[at].gate.context("the gate was not recorded")?;
        let x = self.output(input);
        let shape = sizes.shape;
        let (mut gradient, mut activation) = (gradient, activation);
        if residual.is_some() && self.drops[at].is_some() {
            let behind = self.behind(at, gradient, activation);
            gradient = self.split(at, residual, behind, gradients);
            activation = Activation::Identity;
        }
        let through = activation != Activation::Identity;
        let output = if through { self.records[at].output } else { x };
        let rows = shape.batch * shape.channels;
        let sizes_of_scratch = [sizes.splits * rows, rows, shape.batch * sizes.hidden, rows];
        let [parts, expanded, hidden_gradient, position] = sizes_of_scratch.map(|count| self.builder.words(count));
        let mut writes = vec![parts, expanded, hidden_gradient, position];
        let reads = [gradient, output, x, mean, hidden, gates].into_iter().chain(reduced).collect();
        if through {
            gradient = self.builder.over(gradient);
            writes.push(gradient);
        }
        self.builder.push_all(TrainingOp::GateGradient { sizes, layers, activation }, reads, writes);
        let out = self.builder.map(shape);
        self.builder.push(TrainingOp::GatedGradient { shape }, [gradient, gates, position], [out]);
        if let (Some(residual), None) = (residual, self.drops[at]) {
            self.give(residual, gradient, gradients);
        }
        self.give(input, out, gradients);
        Ok(())
    }

    /// The gradient behind a node's activation, in place.
    fn behind(&mut self, at: usize, gradient: Variable, activation: Activation) -> Variable {
        if activation == Activation::Identity {
            return gradient;
        }
        let (shape, out) = (self.map(Value(at)), self.builder.over(gradient));
        let output = self.records[at].output;
        self.builder.push(TrainingOp::ActivationGradient { shape, activation }, [gradient, output], [out]);
        out
    }

    /// Gives a sum's gradient to its residual; the branch's, which is that times the scales of its images.
    fn split(&mut self, at: usize, residual: Option<Value>, gradient: Variable, gradients: &mut Gradients) -> Variable {
        let Some(residual) = residual else { return gradient };
        let shape = self.map(Value(at));
        let branch = match self.drops[at] {
            Some(scales) => {
                let branch = self.builder.map(shape);
                self.builder.push(TrainingOp::ScaleImages { shape, scales }, [gradient], [branch]);
                branch
            }
            // Both are read and neither is changed where the branch's convolution has no norm.
            None => gradient,
        };
        self.give(residual, gradient, gradients);
        branch
    }

    /// An op that makes the input's gradient out of the output's alone.
    fn spread(&mut self, op: TrainingOp, gradient: Variable, input: Value, gradients: &mut Gradients) {
        let out = self.builder.map(self.map(input));
        self.builder.push(op, [gradient], [out]);
        self.give(input, out, gradients);
    }

    fn give(&mut self, value: Value, gradient: Variable, gradients: &mut Gradients) {
        let shape = self.map(value);
        gradients[value.0] = Some(match gradients[value.0] {
            Some(sum) => {
                let out = self.builder.over(sum);
                self.builder.push(TrainingOp::Add { shape }, [sum, gradient], [out]);
                out
            }
            None => gradient,
        });
    }
}
