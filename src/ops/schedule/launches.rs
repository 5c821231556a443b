//! The launches that a step consists of, for given memory.

use anyhow::{Context, Result};

use super::{Constants, GateScratch, Slot, Step};
use crate::ops::cuda::batch_norm::{self, Norm};
use crate::ops::cuda::conv2d::conv2d;
use crate::ops::cuda::depthwise::depthwise;
use crate::ops::cuda::linear::{LinearShape, linear};
use crate::ops::cuda::squeeze_excite::{self, Gate, Layers};
use crate::ops::cuda::{Element, Launch, Region, blur_pool, max_pool, normalize, pool, subsample};
use crate::ops::{Activation, ConvPass, ConvProblem};

/// What steps work on.
pub struct Memory {
    pub element: Element,
    /// As large as the schedule says.
    pub arena: Region,
    /// The batch as bytes, `[batch, height, width, colours]`.
    pub images: Region,
    /// Mean and standard deviation, f32, one a colour.
    pub normalization: [Region; 2],
    /// By their numbers: weights of convolutions are made of `element`, all others f32.
    pub constants: Vec<Region>,
    /// f32, as many as any map has channels.
    pub ones: Region,
}

impl Memory {
    /// A slot's part of the arena.
    pub fn slot(&self, slot: Slot) -> Result<Region> {
        self.arena.part(slot.offset, slot.bytes)
    }

    /// A step's constants.
    pub fn constants<const N: usize>(&self, Constants(first): Constants) -> Result<[&Region; N]> {
        let found = self.constants.get(first..first + N).and_then(|found| found.first_chunk::<N>());
        Ok(found.with_context(|| format!("constants {first} to {} are missing", first + N))?.each_ref())
    }

    /// What a kernel of our own does after a convolution that left it: `out = activation(out + bias + residual)`.
    ///
    /// # Errors
    /// If the memory is not what the problem needs.
    pub fn epilogue(
        &self,
        problem: &ConvProblem,
        bias: &Region,
        residual: Option<&Region>,
        activation: Activation,
        out: &Region,
    ) -> Result<Launch> {
        let norm = affine(self.ones.clone(), bias.clone());
        batch_norm::apply(self.element, problem.output()?, out, &norm, residual, activation, out)
    }
}

/// A batch norm of these alone: the launch that applies one takes nothing else of it.
fn affine(scale: Region, shift: Region) -> Norm {
    let [weight, mean, inverse] = [(); 3].map(|()| scale.clone());
    Norm { weight, bias: shift.clone(), mean, inverse, scale, shift }
}

impl Step {
    /// The step's launches in order; a convolution's is the slow one of our own.
    ///
    /// # Errors
    /// If the memory is not what the step needs.
    pub fn launches(&self, memory: &Memory) -> Result<Vec<Launch>> {
        let element = memory.element;
        let at = |slot: &Slot| memory.slot(*slot);
        let maybe = |slot: &Option<Slot>| slot.map(|slot| memory.slot(slot)).transpose();
        let launch = match self {
            Self::Images { image, cell, out } => {
                let [mean, std] = memory.normalization.each_ref();
                normalize::normalize(element, *image, *cell, &memory.images, [mean, std], &at(out)?)?
            }
            Self::Conv { problem, constants, input, residual, out } => {
                let ConvPass::Forward { activation, .. } = problem.pass else {
                    anyhow::bail!("{problem} is no step of a forward pass")
                };
                let [weight, bias] = memory.constants(*constants)?;
                let residual = maybe(residual)?;
                let operands = [&at(input)?, weight];
                let terms = [Some(bias), residual.as_ref()];
                conv2d(element, &problem.spec, problem.input, operands, terms, activation, &at(out)?)?
            }
            Self::Depthwise { bands, shape, activation, constants, input, residual, out } => {
                let [weight, bias] = memory.constants(*constants)?;
                let (input, residual, out) = (at(input)?, maybe(residual)?, at(out)?);
                let operands = [&input, weight];
                return depthwise(element, bands, *shape, operands, [Some(bias), residual.as_ref()], *activation, &out);
            }
            Self::Norm { shape, activation, constants, input, out } => {
                let [scale, shift] = memory.constants(*constants)?.map(Clone::clone);
                batch_norm::apply(element, *shape, &at(input)?, &affine(scale, shift), None, *activation, &at(out)?)?
            }
            Self::BlurPool { shape, input, out } => {
                blur_pool::blur_pool(element, *shape, &at(input)?, None, &at(out)?)?
            }
            Self::MaxPool3x3 { shape, input, out } => max_pool::max_pool_3x3(element, *shape, &at(input)?, &at(out)?)?,
            Self::Subsample { op, shape, input, out } => {
                subsample::subsample(element, *op, *shape, &at(input)?, &at(out)?)?
            }
            Self::AveragePool2x2 { shape, input, out } => {
                pool::average_pool_2x2(element, *shape, &at(input)?, &at(out)?)?
            }
            Self::SqueezeExcite { shape, hidden, between, activation, constants, input, residual, out, scratch } => {
                let GateScratch { splits, parts, mean, hidden: kept, gates } = scratch;
                let [w1, b1, w2, b2] = memory.constants(*constants)?.map(Clone::clone);
                let layers = Layers { reduce: [w1, b1], expand: [w2, b2], hidden: *hidden, between: *between };
                let gate = Gate { mean: at(mean)?, reduced: None, hidden: at(kept)?, gates: at(gates)? };
                let (input, parts, residual) = (at(input)?, at(parts)?, maybe(residual)?);
                return Ok(vec![
                    pool::global_average_pool(element, *shape, &input, *splits, &parts)?,
                    squeeze_excite::gate(*shape, &parts, *splits, &layers, &gate)?,
                    squeeze_excite::apply(
                        element,
                        *shape,
                        &input,
                        &gate.gates,
                        residual.as_ref(),
                        *activation,
                        &at(out)?,
                    )?,
                ]);
            }
            Self::GlobalAveragePool { shape, input, out } => {
                pool::global_average_pool(element, *shape, &at(input)?, 1, &at(out)?)?
            }
            Self::Linear { batch, inputs, outputs, constants, input, out } => {
                let shape = LinearShape { batch: *batch, inputs: *inputs, outputs: *outputs };
                linear(shape, &at(input)?, memory.constants(*constants)?, Activation::Identity, &at(out)?)?
            }
        };
        Ok(vec![launch])
    }
}
