//! One node forward, in training mode.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

use super::{Images, NORM_MOMENTUM, Record, Tape, Trainable};
use crate::nn::graph::{Conv, Norm, Op};
use crate::nn::profile::Part;
use crate::ops::{
    Activation, BatchStatistics, Conv2d, Linear, Shape, SqueezeExcite, average_pool_2x2, batch_norm, batch_norm_into,
    batch_statistics, blur_pool, global_average_pool, join_scaled, max_pool_3x3, space_to_depth, subsample,
};

/// Below this a batch norm's weight has not the digits left to recover the normalised value: the error is about
/// f32's 6e-8 divided by it.
const SMALLEST_INVERTIBLE_WEIGHT: f32 = 1e-3;

impl Trainable {
    pub(super) fn read_images(&mut self, images: Images, shape: Shape, cells: Shape) -> Vec<f32> {
        self.recorder.begin(shape);
        self.recorder.enter(0);
        let started = self.recorder.start();
        let mut out = self.buffers.take(shape.len());
        let cell = shape.height / cells.height;
        match images {
            Images::Bytes(bytes) => self.normalize.forward(bytes, shape, cell, &mut out),
            Images::Floats(values) => space_to_depth(values, shape, cell, &mut out),
        }
        self.recorder.stop(started, Part::Forward);
        out
    }

    /// Runs the nodes of a segment. Running statistics are updated the first time alone.
    pub(super) fn forward_segment(&mut self, tape: &mut Tape, segment: Range<usize>, first_time: bool) -> Result<()> {
        for at in segment.start.max(1)..segment.end {
            let kept = std::mem::take(&mut tape.records[at].output);
            self.buffers.give_back(kept);
            let record = self.forward_node(tape, at)?;
            if first_time && let (Some(norm), Some(statistics)) = (self.graph.nodes[at].op.norm(), &record.statistics) {
                self.update_running(norm, statistics, tape.shapes[at].pixels());
            }
            tape.records[at] = record;
        }
        Ok(())
    }

    fn forward_node(&mut self, tape: &Tape, at: usize) -> Result<Record> {
        self.recorder.enter(at);
        let started = self.recorder.start();
        let node = &self.graph.nodes[at];
        let Some(input) = node.inputs.first() else { bail!("node {at} has no input") };
        let (x, shape) = (&tape.records[input.0].output[..], tape.shapes[input.0]);
        let residual = node.inputs.get(1).map(|residual| &tape.records[residual.0].output[..]);
        let mut output = self.buffers.take(tape.shapes[at].len());
        let mut record = Record::default();
        // A branch that is dropped for some images joins its residual after the op.
        let scales = residual.and_then(|_| self.dropping.branches(at, shape.batch));
        match &node.op {
            Op::Input { .. } => bail!("the input is not computed"),
            Op::Conv { convs, norm, activation } => {
                // Without a norm a residual that is not scaled is added at once.
                let at_once = norm.is_none() && scales.is_none();
                let (added, after) = if at_once { (residual, *activation) } else { (None, Activation::Identity) };
                for Conv { spec, weight } in convs {
                    let conv = Conv2d::exact(*spec, &self.parameters[*weight], self.isa);
                    conv.forward(x, shape, added, after, &mut output)?;
                }
                if let Some(norm) = *norm {
                    let residual = residual.map(|residual| (residual, scales));
                    let (activation, channels) = (*activation, node.channels);
                    self.recorder.stop(started, Part::Forward);
                    let started = self.recorder.start();
                    let record = self.norm_of_conv(norm, activation, channels, residual, output)?;
                    self.recorder.stop(started, Part::Norm);
                    return Ok(record);
                }
                if let (Some(residual), Some(scales)) = (residual, &scales) {
                    join_scaled(&mut output, scales, residual, *activation);
                }
            }
            &Op::Norm { norm, activation } => {
                let statistics = self.statistics(x, node.channels)?;
                let [weight, bias] = [norm.weight, norm.bias].map(|id| &self.parameters[id][..]);
                batch_norm_into(x, &statistics, weight, bias, None, activation, &mut output);
                record.statistics = Some(statistics);
            }
            Op::BlurPool => blur_pool(x, shape, &mut output)?,
            Op::AveragePool2x2 => average_pool_2x2(x, shape, &mut output),
            Op::MaxPool3x3 => max_pool_3x3(x, shape, &mut output)?,
            Op::Subsample(op) => subsample(*op, x, shape, &mut output),
            &Op::SqueezeExcite { hidden, reduce, expand, between, activation } => {
                let [reduce, expand] =
                    [reduce, expand].map(|affine| [affine.weight, affine.bias].map(|id| &self.parameters[id][..]));
                let op = SqueezeExcite::new([shape.channels, hidden], reduce, expand, between, self.isa);
                record.gate = Some(match (residual, &scales) {
                    (Some(residual), Some(scales)) => {
                        let gate = op.forward(x, shape, None, Activation::Identity, &mut output)?;
                        join_scaled(&mut output, scales, residual, activation);
                        gate
                    }
                    _ => op.forward(x, shape, residual, activation, &mut output)?,
                });
            }
            Op::Dropout { .. } => {
                output.copy_from_slice(x);
                if let Some(dropout) = self.dropping.values(at) {
                    dropout.apply(&mut output);
                }
            }
            Op::GlobalAveragePool => global_average_pool(x, shape, &mut output)?,
            Op::Linear { affine } => {
                let [weight, bias] = [affine.weight, affine.bias].map(|id| &self.parameters[id][..]);
                let linear = Linear::new(shape.channels, node.channels, weight, Some(bias), self.isa);
                let dropped = self.dropping.values(at).map(|dropout| dropout.applied(x));
                linear.forward(dropped.as_deref().unwrap_or(x), shape.batch, Activation::Identity, &mut output)?;
            }
        }
        self.recorder.stop(started, Part::Forward);
        Ok(Record { output, ..record })
    }

    /// What follows a convolution whose `output` this is.
    fn norm_of_conv(
        &mut self,
        norm: Norm,
        activation: Activation,
        channels: usize,
        residual: Option<(&[f32], Option<Vec<f32>>)>,
        mut output: Vec<f32>,
    ) -> Result<Record> {
        let statistics = self.statistics(&output, channels)?;
        let [weight, bias] = [norm.weight, norm.bias].map(|id| &self.parameters[id][..]);
        let invertible = weight.iter().all(|weight| weight.abs() >= SMALLEST_INVERTIBLE_WEIGHT);
        let in_place = residual.is_none() && !activation.is_curved() && activation.slope() > 0.0 && invertible;
        let norm_input = if in_place {
            batch_norm(&mut output, &statistics, weight, bias, activation);
            None
        } else {
            let norm_input = output;
            output = self.buffers.take(norm_input.len());
            match residual {
                Some((residual, Some(scales))) => {
                    batch_norm_into(&norm_input, &statistics, weight, bias, None, Activation::Identity, &mut output);
                    join_scaled(&mut output, &scales, residual, activation);
                }
                residual => {
                    let residual = residual.map(|(residual, _)| residual);
                    batch_norm_into(&norm_input, &statistics, weight, bias, residual, activation, &mut output);
                }
            }
            Some(norm_input)
        };
        Ok(Record { output, norm_input, statistics: Some(statistics), gate: None })
    }

    fn statistics(&self, values: &[f32], channels: usize) -> Result<BatchStatistics> {
        ensure!(
            values.len() > channels,
            "batch norm cannot train on one value a channel: take a larger batch or a larger input"
        );
        Ok(batch_statistics(values, channels, self.graph.norm_epsilon()))
    }

    /// PyTorch's running statistics: of the variance, the unbiased one.
    fn update_running(&mut self, norm: Norm, statistics: &BatchStatistics, values: usize) {
        let unbias = values as f32 / (values as f32 - 1.0);
        for (running, now) in self.parameters[norm.mean].iter_mut().zip(&statistics.mean) {
            *running += NORM_MOMENTUM * (now - *running);
        }
        for (running, now) in self.parameters[norm.variance].iter_mut().zip(&statistics.variance) {
            *running += NORM_MOMENTUM * (now * unbias - *running);
        }
    }
}
