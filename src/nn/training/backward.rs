//! One node backward.

use anyhow::{Context, Result, bail, ensure};

use super::{Record, Tape, Trainable};
use crate::nn::graph::{Conv, Norm, Op, Value};
use crate::nn::profile::Part;
use crate::ops::{
    Activation, LinearGradients, Saved, Shape, activation_gradient, average_pool_2x2_gradient, batch_norm_gradient,
    batch_norm_into, blur_pool_gradient, conv2d_input_gradient, conv2d_weight_gradient, global_average_pool_gradient,
    linear_gradient, max_pool_3x3_gradient, scale_runs, silu_gradient, subsample_gradient,
};

/// The gradient of each value, once something has given it one.
type Gradients = [Option<Vec<f32>>];

/// What a branch joins, and the scales of the branch's images where some are dropped.
type Residual = (Value, Option<Vec<f32>>);

impl Trainable {
    pub(super) fn backward_node(&mut self, tape: &mut Tape, at: usize, gradients: &mut Gradients) -> Result<()> {
        self.recorder.enter(at);
        let started = self.recorder.start();
        let node = self.graph.nodes[at].clone();
        let Some(&input) = node.inputs.first() else { return Ok(()) };
        let mut gradient = gradients[at].take().with_context(|| format!("nothing depends on node {at}"))?;
        let record = std::mem::take(&mut tape.records[at]);
        let shape = tape.shapes[input.0];
        let x = &tape.records[input.0].output;
        match node.op {
            Op::Input { .. } => bail!("the input has no input"),
            Op::Conv { convs, norm, activation } => {
                let residual = node.inputs.get(1).map(|&residual| (residual, self.dropping.branches(at, shape.batch)));
                let gradient = match norm {
                    Some(norm) => self.norm_gradient(gradient, &record, None, norm, activation, residual, gradients)?,
                    None => {
                        activation_gradient(&mut gradient, &record.output, activation);
                        self.split_residual(residual, &mut gradient, gradients);
                        gradient
                    }
                };
                self.recorder.stop(started, Part::Gradient);
                self.conv_gradients(&convs, x, shape, &gradient, input, gradients)?;
                self.buffers.give_back(gradient);
                record.release(&mut self.buffers);
                return Ok(());
            }
            Op::Norm { norm, activation } => {
                let out = self.norm_gradient(gradient, &record, Some(x), norm, activation, None, gradients)?;
                self.accumulate(gradients, input, out);
            }
            Op::SqueezeExcite { reduce, expand, activation, .. } => {
                activation_gradient(&mut gradient, &record.output, activation);
                let residual = node.inputs.get(1).map(|&residual| (residual, self.dropping.branches(at, shape.batch)));
                self.split_residual(residual, &mut gradient, gradients);
                let gate = record.gate.as_ref().context("the gate was not recorded")?;
                let weights = [reduce, expand].map(|affine| &self.parameters[affine.weight][..]);
                let places = [reduce.weight, reduce.bias, expand.weight, expand.bias];
                let [w1, b1, w2, b2] = self.gradients.get_disjoint_mut(places)?;
                gate.gradient(&mut gradient, x, shape, weights, [[w1, b1], [w2, b2]], self.isa)?;
                self.accumulate(gradients, input, gradient);
            }
            Op::Dropout { .. } => {
                if let Some(dropout) = self.dropping.values(at) {
                    dropout.apply(&mut gradient);
                }
                self.accumulate(gradients, input, gradient);
            }
            Op::Linear { affine } => {
                let dropout = self.dropping.values(at);
                let dropped = dropout.map(|dropout| dropout.applied(x));
                let x = dropped.as_ref().unwrap_or(x);
                let mut out = self.buffers.take(shape.len());
                let [weight, bias] = self.gradients.get_disjoint_mut([affine.weight, affine.bias])?;
                let into = LinearGradients { weight, bias, input: &mut out };
                linear_gradient(&self.parameters[affine.weight], x, &gradient, shape.batch, into, self.isa)?;
                if let Some(dropout) = dropout {
                    dropout.apply(&mut out);
                }
                self.accumulate(gradients, input, out);
            }
            Op::BlurPool | Op::AveragePool2x2 | Op::MaxPool3x3 | Op::Subsample(_) | Op::GlobalAveragePool => {
                let mut out = self.buffers.take(shape.len());
                match node.op {
                    Op::BlurPool => blur_pool_gradient(&gradient, shape, &mut out)?,
                    Op::AveragePool2x2 => average_pool_2x2_gradient(&gradient, shape, &mut out),
                    Op::MaxPool3x3 => max_pool_3x3_gradient(&gradient, x, shape, &mut out)?,
                    Op::Subsample(op) => subsample_gradient(op, &gradient, shape, &mut out),
                    _ => global_average_pool_gradient(&gradient, shape, &mut out),
                }
                self.buffers.give_back(gradient);
                self.accumulate(gradients, input, out);
            }
        }
        record.release(&mut self.buffers);
        self.recorder.stop(started, Part::Gradient);
        Ok(())
    }

    /// From the activation's output back to the norm's input, with the norm's own gradients on the way. `stored` is that
    /// input where another record holds it.
    #[allow(clippy::too_many_arguments)]
    fn norm_gradient(
        &mut self,
        mut gradient: Vec<f32>,
        record: &Record,
        stored: Option<&[f32]>,
        norm: Norm,
        activation: Activation,
        residual: Option<Residual>,
        gradients: &mut Gradients,
    ) -> Result<Vec<f32>> {
        let statistics = record.statistics.as_ref().context("the batch's statistics were not recorded")?;
        let saved = match stored.or(record.norm_input.as_deref()) {
            Some(norm_input) => {
                if activation.is_curved() {
                    // Its slope depends on what it was given, which is cheaper to compute again than to keep.
                    let mut given = self.buffers.take(gradient.len());
                    let [weight, bias] = [norm.weight, norm.bias].map(|id| &self.parameters[id][..]);
                    ensure!(residual.is_none(), "a sum's curved activation has no gradient here");
                    batch_norm_into(norm_input, statistics, weight, bias, None, Activation::Identity, &mut given);
                    silu_gradient(&mut gradient, &given);
                    self.buffers.give_back(given);
                } else {
                    activation_gradient(&mut gradient, &record.output, activation);
                }
                self.split_residual(residual, &mut gradient, gradients);
                Saved::Input(norm_input)
            }
            None => Saved::Output(&record.output, activation),
        };
        let values = [norm.weight, norm.bias].map(|id| &self.parameters[id][..]);
        let [weight, bias] = self.gradients.get_disjoint_mut([norm.weight, norm.bias])?;
        batch_norm_gradient(&mut gradient, saved, statistics, values, [weight, bias]);
        Ok(gradient)
    }

    fn conv_gradients(
        &mut self,
        convs: &[Conv],
        x: &[f32],
        shape: Shape,
        gradient: &[f32],
        input: Value,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let started = self.recorder.start();
        for Conv { spec, weight } in convs {
            if !self.frozen[*weight] {
                conv2d_weight_gradient(spec, x, shape, gradient, &mut self.gradients[*weight], self.isa)?;
            }
        }
        self.recorder.stop(started, Part::WeightGradient);
        // Nobody asks for the image's gradient.
        if input == Value(0) {
            return Ok(());
        }
        let started = self.recorder.start();
        let mut out = self.buffers.take(shape.len());
        let before = gradients[input.0].take();
        for Conv { spec, weight } in convs {
            let weight = &self.parameters[*weight];
            conv2d_input_gradient(spec, weight, gradient, shape, before.as_deref(), &mut out, self.isa)?;
        }
        self.recorder.stop(started, Part::InputGradient);
        self.buffers.give_back(before.unwrap_or_default());
        gradients[input.0] = Some(out);
        Ok(())
    }

    /// A residual's gradient is the sum's; the branch's is that times the scales of its images.
    fn split_residual(&mut self, residual: Option<Residual>, gradient: &mut [f32], gradients: &mut Gradients) {
        let Some((residual, scales)) = residual else { return };
        let mut copy = self.buffers.take(gradient.len());
        copy.copy_from_slice(gradient);
        self.accumulate(gradients, residual, copy);
        if let Some(scales) = scales {
            scale_runs(gradient, &scales);
        }
    }

    fn accumulate(&mut self, gradients: &mut Gradients, value: Value, gradient: Vec<f32>) {
        match &mut gradients[value.0] {
            Some(sum) => {
                for (sum, g) in sum.iter_mut().zip(&gradient) {
                    *sum += g;
                }
                self.buffers.give_back(gradient);
            }
            none => *none = Some(gradient),
        }
    }
}
