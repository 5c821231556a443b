//! Launches of the backward pass.

use anyhow::{Result, bail};

use crate::ops::cuda::batch_norm::{self, Saved};
use crate::ops::cuda::linear::{self, LinearShape};
use crate::ops::cuda::squeeze_excite::{self, Gate, GateGradient};
use crate::ops::cuda::{
    Element, Launch, Region, activation as slopes, blur_pool, conv2d, depthwise, drop, filter_parts, max_pool, pool,
    subsample, training,
};
use crate::ops::training::memory::Bound;
use crate::ops::training::{AffinePlaces, Filter, FilterPart, GatePlaces, GateSizes, SavedNorm, TrainingOp};
use crate::ops::{Activation, ConvProblem};

impl Bound<'_> {
    /// Of any step.
    pub fn launches(&self) -> Result<Vec<Launch>> {
        let element = self.memory.element;
        let launch = match &self.step.op {
            TrainingOp::LinearWeightGradient { shape, layer } => {
                self.linear_weight_gradient(*shape, &self.read(0)?, &self.read(1)?, layer)?
            }
            TrainingOp::LinearInputGradient { shape, layer } => {
                let weight = self.value(layer.weight)?;
                linear::linear_input_gradient(*shape, &self.read(0)?, &weight, &self.write(0)?)?
            }
            TrainingOp::GlobalAveragePoolGradient { shape } => {
                pool::global_average_pool_gradient(element, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::GateGradient { sizes, layers, activation } => {
                return self.gate_gradient(*sizes, layers, *activation);
            }
            TrainingOp::GatedGradient { shape } => {
                let [gradient, gates, position] = [&self.read(0)?, &self.read(1)?, &self.read(2)?];
                squeeze_excite::gradient_apply(element, *shape, gradient, gates, position, &self.write(0)?)?
            }
            TrainingOp::NormGradientSums { shape, norm, saved, activation, behind } => {
                let gradient = self.read(0)?;
                let (held, output) = (self.read(1)?, self.maybe_read(3)?);
                let places = norm;
                let norm = self.norm(places, &self.read(2)?)?;
                let (sums, factors) = (self.write(0)?, self.write(1)?);
                let saved = saved_norm(*saved, &held, output.as_ref(), *activation)?;
                let behind = behind.then_some(&gradient);
                let own = [&self.gradient(places.weight)?, &self.gradient(places.bias)?];
                return Ok(vec![
                    batch_norm::gradient_sums(element, *shape, &gradient, saved, &norm, behind, &sums)?,
                    batch_norm::gradient_finish(*shape, &sums, saved, &norm, &factors, own)?,
                ]);
            }
            TrainingOp::NormGradient { shape, norm, saved, activation } => {
                let (gradient, held, factors) = (self.read(0)?, self.read(1)?, self.read(3)?);
                let norm = self.norm(norm, &self.read(2)?)?;
                let saved = saved_norm(*saved, &held, None, *activation)?;
                batch_norm::gradient_apply(element, *shape, &gradient, saved, &norm, &factors, &self.write(0)?)?
            }
            TrainingOp::ConvInputGradient { problem, weight, .. } => {
                let operands = [&self.read(0)?, &self.filter(weight)?];
                let add = self.added()?;
                let out = self.write(0)?;
                conv2d::conv2d_input_gradient(element, &problem.spec, problem.input, operands, add.as_ref(), &out)?
            }
            TrainingOp::ConvWeightGradient { problem, weight } => return self.weight_gradient(problem, weight),
            TrainingOp::DepthwiseInputGradient { bands, shape } => {
                let (operands, add) = ([&self.read(0)?, &self.read(1)?], self.maybe_read(2)?);
                let out = self.write(0)?;
                return depthwise::depthwise_input_gradient(element, bands, *shape, operands, add.as_ref(), &out);
            }
            TrainingOp::DepthwiseWeightGradient { bands, shape, parts } => {
                let (operands, sums) = ([&self.read(0)?, &self.read(1)?], self.write(0)?);
                let mut launches = depthwise::depthwise_weight_gradient(element, bands, *shape, operands, &sums)?;
                for FilterPart { piece, place } in parts {
                    let own = self.gradient(*place)?;
                    launches.push(depthwise::split_weight_gradient(bands, *shape, piece, &sums, &own)?);
                }
                return Ok(launches);
            }
            TrainingOp::ActivationGradient { shape, activation } => {
                slopes::activation_gradient(element, *shape, &self.read(0)?, &self.read(1)?, *activation)?
            }
            TrainingOp::ScaleImages { shape, scales } => {
                drop::scale_images(element, *shape, &self.read(0)?, &self.scales(*scales)?, &self.write(0)?)?
            }
            TrainingOp::Add { shape } => {
                let terms = [&self.read(0)?, &self.read(1)?];
                slopes::add(element, *shape, terms, Activation::Identity, &self.write(0)?)?
            }
            TrainingOp::BlurPoolGradient { shape } => {
                blur_pool::blur_pool_gradient(element, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::MaxPool3x3Gradient { shape } => {
                let maps = [&self.read(0)?, &self.read(1)?];
                max_pool::max_pool_3x3_gradient(element, *shape, maps, &self.write(0)?)?
            }
            TrainingOp::SubsampleGradient { shape, op } => {
                subsample::subsample_gradient(element, *op, *shape, &self.read(0)?, &self.write(0)?)?
            }
            TrainingOp::AveragePool2x2Gradient { shape } => {
                pool::average_pool_2x2_gradient(element, *shape, &self.read(0)?, &self.write(0)?)?
            }
            // What goes forward, some of it again.
            _ => return self.forward(),
        };
        Ok(vec![launch])
    }

    /// By the slow kernels of our own: straight into the parameter's gradient, or by way of the joined filter's in f32.
    fn weight_gradient(&self, problem: &ConvProblem, weight: &Filter) -> Result<Vec<Launch>> {
        let ConvProblem { spec, input, .. } = problem;
        let element = self.memory.element;
        let operands = [&self.read(0)?, &self.read(1)?];
        if let Filter::Parameter(place) = weight {
            let own = self.gradient(*place)?;
            return Ok(vec![conv2d::conv2d_weight_gradient(element, spec, *input, operands, &own)?]);
        }
        let whole = self.write(0)?;
        let mut launches = vec![
            training::zero(whole.bytes() / size_of::<f32>(), &whole)?,
            conv2d::conv2d_weight_gradient(element, spec, *input, operands, &whole)?,
        ];
        launches.extend(self.raise(weight, Element::F32, &whole)?);
        Ok(launches)
    }

    /// Adds a bare gradient, of `element`, to the parameters' whose weight it is.
    pub fn raise(&self, weight: &Filter, element: Element, bare: &Region) -> Result<Vec<Launch>> {
        match weight {
            Filter::Parameter(place) => {
                Ok(vec![training::accumulate(element, place.len, bare, &self.gradient(*place)?)?])
            }
            Filter::Joined(parts) => {
                let split = |FilterPart { piece, place }: &FilterPart| {
                    filter_parts::split(element, piece, bare, [1, 0], &self.gradient(*place)?)
                };
                parts.iter().map(split).collect()
            }
        }
    }

    fn gate_gradient(&self, sizes: GateSizes, layers: &GatePlaces, activation: Activation) -> Result<Vec<Launch>> {
        let GateSizes { shape, hidden, splits } = sizes;
        let gradient = self.read(0)?;
        let maps = [&self.read(1)?, &self.read(2)?];
        let [mean, kept, gates] = [self.read(3)?, self.read(4)?, self.read(5)?];
        let gate = Gate { mean, reduced: self.maybe_read(6)?, hidden: kept, gates };
        let parts = self.write(0)?;
        let out = GateGradient { expanded: self.write(1)?, hidden: self.write(2)?, position: self.write(3)? };
        let reduce = LinearShape { batch: shape.batch, inputs: shape.channels, outputs: hidden };
        let expand = LinearShape { batch: shape.batch, inputs: hidden, outputs: shape.channels };
        let own = self.layers(layers, hidden)?;
        Ok(vec![
            squeeze_excite::gradient_sums(self.memory.element, shape, &gradient, maps, activation, splits, &parts)?,
            squeeze_excite::gate_gradient(shape, &parts, splits, &gate, &own, &out)?,
            self.linear_weight_gradient(reduce, &out.hidden, &gate.mean, &layers.reduce)?,
            self.linear_weight_gradient(expand, &out.expanded, &gate.hidden, &layers.expand)?,
        ])
    }

    fn linear_weight_gradient(
        &self,
        shape: LinearShape,
        gradient: &Region,
        input: &Region,
        layer: &AffinePlaces,
    ) -> Result<Launch> {
        let own = [&self.gradient(layer.weight)?, &self.gradient(layer.bias)?];
        linear::linear_weight_gradient(shape, gradient, input, own)
    }
}

fn saved_norm<'a>(
    saved: SavedNorm,
    held: &'a Region,
    output: Option<&'a Region>,
    activation: Activation,
) -> Result<Saved<'a>> {
    Ok(match (saved, output) {
        (SavedNorm::Input, _) => Saved::Input(held),
        (SavedNorm::InputAgain, _) => Saved::InputAgain(held, activation),
        (SavedNorm::InputAndOutput, Some(output)) => Saved::InputAndOutput(held, output, activation),
        (SavedNorm::InputAndOutput, None) => bail!("a norm's output is missing"),
        (SavedNorm::Output, _) => Saved::Output(held, activation),
    })
}
