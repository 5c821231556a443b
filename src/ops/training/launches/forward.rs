//! Launches of the forward pass and the loss.

use anyhow::{Result, bail, ensure};

use crate::ops::cuda::batch_norm::{self, Norm};
use crate::ops::cuda::cross_entropy::{self, Gradient, Outcome};
use crate::ops::cuda::squeeze_excite::{self, Gate, Layers};
use crate::ops::cuda::{
    Launch, Region, blur_pool, conv2d, depthwise, drop, filter_parts, linear, max_pool, normalize, optimizer, pool,
    subsample, training,
};
use crate::ops::training::memory::{Bound, part};
use crate::ops::training::{FilterPart, GatePlaces, LossRule, TargetKind, TrainingOp};
use crate::ops::{Activation, ConvPass};

impl Bound<'_> {
    pub fn forward(&self) -> Result<Vec<Launch>> {
        let element = self.memory.element;
        let launch = match &self.step.op {
            TrainingOp::Images { image, cell } => {
                let pixels = part(&self.memory.batch, self.schedule.batch.pixels)?;
                let out = self.write(0)?;
                match self.schedule.batch.bytes_of_pixels {
                    true => {
                        let numbers = self.memory.normalization.each_ref();
                        normalize::normalize(element, *image, *cell, &pixels, numbers, &out)?
                    }
                    false => normalize::space_to_depth(element, *image, *cell, &pixels, &out)?,
                }
            }
            TrainingOp::JoinFilter { parts } => return self.join_filter(parts),
            TrainingOp::Depthwise { bands, shape, activation } => {
                let (input, weight, residual) = (self.read(0)?, self.read(1)?, self.maybe_read(2)?);
                let (operands, terms) = ([&input, &weight], [None, residual.as_ref()]);
                return depthwise::depthwise(element, bands, *shape, operands, terms, *activation, &self.write(0)?);
            }
            TrainingOp::Conv { problem, weight } => {
                let operands = [&self.read(0)?, &self.filter(weight)?];
                let residual = self.added()?;
                let out = self.write(0)?;
                let activation = match problem.pass {
                    ConvPass::Forward { activation, .. } => activation,
                    _ => Activation::Identity,
                };
                let terms = [None, residual.as_ref()];
                conv2d::conv2d(element, &problem.spec, problem.input, operands, terms, activation, &out)?
            }
            TrainingOp::Statistics { shape, norm, epsilon, momentum } => {
                let (values, moments, numbers) = (self.read(0)?, self.write(0)?, self.write(1)?);
                let (norm, running) = (self.norm(norm, &numbers)?, self.running(norm, *momentum)?);
                return Ok(vec![
                    batch_norm::moments(element, *shape, &values, &moments)?,
                    batch_norm::finish(*shape, &moments, &norm, running.as_ref(), *epsilon)?,
                ]);
            }
            TrainingOp::Norm { shape, norm, activation } => {
                let norm: Norm = self.norm(norm, &self.read(1)?)?;
                let residual = self.maybe_read(2)?;
                let (values, out) = (self.read(0)?, self.write(0)?);
                batch_norm::apply(element, *shape, &values, &norm, residual.as_ref(), *activation, &out)?
            }
            TrainingOp::Join { shape, scales, activation } => {
                let [branch, residual] = [&self.read(0)?, &self.read(1)?];
                drop::join(element, *shape, [branch, residual], &self.scales(*scales)?, *activation, &self.write(0)?)?
            }
            TrainingOp::BlurPool { shape } => {
                blur_pool::blur_pool(element, *shape, &self.read(0)?, None, &self.write(0)?)?
            }
            TrainingOp::AveragePool2x2 { shape } => {
                pool::average_pool_2x2(element, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::MaxPool3x3 { shape } => {
                max_pool::max_pool_3x3(element, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::Subsample { shape, op } => {
                subsample::subsample(element, *op, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::Gate { sizes, layers } => {
                let (input, parts) = (self.read(0)?, self.write(0)?);
                let [mean, hidden, gates] = [self.write(1)?, self.write(2)?, self.write(3)?];
                let gate = Gate { mean, reduced: self.maybe_write(4)?, hidden, gates };
                let layers = self.layers(layers, sizes.hidden)?;
                return Ok(vec![
                    pool::global_average_pool(element, sizes.shape, &input, sizes.splits, &parts)?,
                    squeeze_excite::gate(sizes.shape, &parts, sizes.splits, &layers, &gate)?,
                ]);
            }
            TrainingOp::Gated { shape, activation } => {
                let (input, gates, residual) = (self.read(0)?, self.read(1)?, self.maybe_read(2)?);
                let out = self.write(0)?;
                squeeze_excite::apply(element, *shape, &input, &gates, residual.as_ref(), *activation, &out)?
            }
            TrainingOp::GlobalAveragePool { shape } => {
                pool::global_average_pool(element, *shape, &self.read(0)?, 1, &self.write(0)?)?
            }
            TrainingOp::Drop { .. } | TrainingOp::Dropout { .. } => self.drop()?,
            TrainingOp::Linear { shape, layer } => {
                let parameters = [&self.value(layer.weight)?, &self.value(layer.bias)?];
                linear::linear(*shape, &self.read(0)?, parameters, Activation::Identity, &self.write(0)?)?
            }
            TrainingOp::Loss { batch, classes, rule } => self.loss([*batch, *classes], *rule)?,
            op => bail!("{op:?} is no step of a training schedule"),
        };
        Ok(vec![launch])
    }

    fn join_filter(&self, parts: &[FilterPart]) -> Result<Vec<Launch>> {
        let whole = self.write(0)?;
        let join =
            |part: &FilterPart| filter_parts::join(self.memory.element, &part.piece, &self.copy(part.place)?, &whole);
        parts.iter().map(join).collect()
    }

    /// What falls, forward and backward.
    fn drop(&self) -> Result<Launch> {
        let (values, out) = (self.read(0)?, self.write(0)?);
        match &self.step.op {
            TrainingOp::Drop { rows, channels, width, scales } => {
                drop::scale_values([*rows, *channels, *width], &values, &self.scales(*scales)?, &out)
            }
            TrainingOp::Dropout { shape, channels, draw, scale } => {
                drop::dropout(self.memory.element, *shape, *channels, &values, &self.draw(*draw)?, *scale, &out)
            }
            op => bail!("{op:?} drops nothing"),
        }
    }

    /// A gate's layers.
    pub fn layers(&self, places: &GatePlaces, hidden: usize) -> Result<Layers> {
        let GatePlaces { reduce, expand, between } = places;
        Ok(Layers {
            reduce: [self.value(reduce.weight)?, self.value(reduce.bias)?],
            expand: [self.value(expand.weight)?, self.value(expand.bias)?],
            hidden,
            between: *between,
        })
    }

    fn loss(&self, sizes: [usize; 2], rule: LossRule) -> Result<Launch> {
        let logits = self.read(0)?;
        let outcome = Outcome { losses: self.write(0)?, ranks: self.write(1)?, finite: self.write(2)? };
        let given: Region = part(&self.memory.batch, self.schedule.batch.targets)?;
        let scale = self.memory.state.part(optimizer::BATCH_SCALE * 4, 4)?;
        let kind = self.schedule.batch.target_kind;
        match rule {
            LossRule::CrossEntropy { smoothing } => {
                let targets = match kind {
                    TargetKind::Classes => cross_entropy::Targets::Classes { labels: &given, smoothing },
                    TargetKind::Soft => cross_entropy::Targets::Soft { weights: &given, labels: None },
                };
                let gradient = Gradient { out: &self.write(3)?, scale: Some(&scale) };
                cross_entropy::cross_entropy(sizes, &logits, targets, Some(gradient), &outcome)
            }
            LossRule::JensenShannon { .. } => {
                ensure!(kind == TargetKind::Classes, "the Jensen-Shannon loss needs one class an image");
                let results = [&outcome.losses, &outcome.finite, &self.write(3)?];
                training::jensen_shannon(sizes, &logits, &given, rule, &scale, results)
            }
            LossRule::Binary { .. } => training::binary_cross_entropy(
                sizes,
                &logits,
                (&given, kind == TargetKind::Classes),
                rule,
                &scale,
                [&outcome.losses, &outcome.finite, &self.write(3)?],
            ),
        }
    }
}
