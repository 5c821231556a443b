//! A batch norm that is made up, for plans that go on through one; and its gradients as a plan gives them, held against
//! those of the plan's own output.
//!
//! Mean, inverse deviation and weight are odd sixteenths, the bias is one times 2^-9. What the activation is given is then
//! exact in f32 however it is computed, and never 0, so that no kernel can take its sign for the other one.

use anyhow::Result;

use super::operands::Made;
use super::reference::Reference;
use super::sums::{Statistics, floats};
use super::tolerance;
use crate::ops::cuda::batch_norm::{self, FACTORS, Norm, Saved};
use crate::ops::cuda::verification::made_up;
use crate::ops::cuda::{Arena, Device, Element, Launch, Region};
use crate::ops::cudnn::Role;
use crate::ops::schedule::gpu::convolution::Operands;
use crate::ops::{Activation, Shape};

/// What the bias is scaled by.
const OF_BIASES: f32 = 1.0 / 512.0;

/// Memory for the norm, its gradients by kernels of our own, and what they are held to.
pub struct MadeNorm {
    pub norm: Norm,
    /// What the activation is given, of the images that are computed again.
    pub given: Region,
    statistics: Statistics,
    factors: Region,
    weight_gradient: Region,
    bias_gradient: Region,
}

impl MadeNorm {
    /// `images` are those that are computed again.
    fn sizes(element: Element, shape: Shape, images: usize) -> [usize; 10] {
        let mut sizes = [shape.channels * size_of::<f32>(); 10];
        sizes[8] *= FACTORS;
        sizes[9] = images * shape.image_len() * element.size();
        sizes
    }

    /// Bytes that it takes.
    pub fn bytes(element: Element, shape: Shape, images: usize) -> usize {
        let own: usize = Self::sizes(element, shape, images).into_iter().map(Arena::footprint).sum();
        own + Statistics::bytes(shape)
    }

    pub fn take(arena: &mut Arena, element: Element, shape: Shape, images: usize) -> Result<Self> {
        let [weight, bias, mean, inverse, scale, shift, weight_gradient, bias_gradient, factors, given] =
            Self::sizes(element, shape, images).map(|bytes| arena.take(bytes));
        let norm = Norm { weight: weight?, bias: bias?, mean: mean?, inverse: inverse?, scale: scale?, shift: shift? };
        let (factors, given) = (factors?, given?);
        let (weight_gradient, bias_gradient) = (weight_gradient?, bias_gradient?);
        let statistics = Statistics::take(arena, shape)?;
        Ok(Self { norm, given, statistics, factors, weight_gradient, bias_gradient })
    }

    /// Fills the norm's numbers, of so many channels; its gradients start at 0.
    pub fn make_up(&self, device: &Device, channels: usize) -> Result<()> {
        let Norm { weight, bias, mean, inverse, scale, shift } = &self.norm;
        let roles = [Role::NormWeight, Role::NormBias, Role::NormMean, Role::NormInverse];
        for (role, region) in roles.into_iter().zip([weight, bias, mean, inverse]) {
            let of = if role == Role::NormBias { OF_BIASES } else { 1.0 };
            device.launch(&made_up(Element::F32, channels, region, role as usize, of)?)?;
        }
        let [weight, bias, mean, inverse] = [weight, bias, mean, inverse].map(|own| floats(device, own, channels));
        let (bias, mean) = (bias?, mean?);
        let scales: Vec<f32> = weight?.iter().zip(&inverse?).map(|(weight, inverse)| weight * inverse).collect();
        let shifts = bias.iter().zip(mean.iter().zip(&scales)).map(|(bias, (mean, scale))| bias - mean * scale);
        device.write(shift, &shifts.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
        device.write(scale, &scales.iter().flat_map(|scale| scale.to_le_bytes()).collect::<Vec<u8>>())?;
        let nothing = vec![0; channels * size_of::<f32>()];
        device.write(&self.weight_gradient, &nothing)?;
        device.write(&self.bias_gradient, &nothing)
    }

    /// What the activation is given of an image that the norm's input is.
    pub fn give(&self, element: Element, image: Shape, saved: &Region, out: &Region) -> Result<Launch> {
        batch_norm::apply(element, image, saved, &self.norm, None, Activation::Identity, out)
    }

    /// What is wrong with the gradients that a plan gave along with its output, if anything is.
    pub fn deviation(&self, device: &Device, reference: &Reference, made: &Made) -> Result<Option<String>> {
        let (element, shape) = (reference.element, reference.problem.input);
        let map = |role| made.region(role, shape.len() * element.size());
        let (gradient, saved) = (map(Role::Dx)?, Saved::Input(map(Role::Saved)?));
        let totals = self.statistics.totals(device, element, shape, gradient)?;
        let Self { norm, statistics, factors, weight_gradient, bias_gradient, .. } = self;
        let sums = &statistics.moments;
        device.launch(&batch_norm::gradient_sums(element, shape, gradient, saved, norm, None, sums)?)?;
        let own = [weight_gradient, bias_gradient];
        device.launch(&batch_norm::gradient_finish(shape, sums, saved, norm, factors, own)?)?;
        let channels = shape.channels;
        let inverse = floats(device, &norm.inverse, channels)?;
        for (role, expected, name) in
            [(Role::NormBiasGradient, bias_gradient, "bias"), (Role::NormWeightGradient, weight_gradient, "weight")]
        {
            let found = floats(device, made.region(role, channels * size_of::<f32>())?, channels)?;
            for (channel, (found, expected)) in found.iter().zip(floats(device, expected, channels)?).enumerate() {
                let [sum, _] = tolerance::of_sums(element, shape.pixels(), totals[channel][1]);
                // A normalised value is at most twice the inverse deviation.
                let size = if role == Role::NormWeightGradient { 2.0 * f64::from(inverse[channel].abs()) } else { 1.0 };
                let apart = (f64::from(*found) - f64::from(expected)).abs();
                if apart.is_nan() || apart > sum * size {
                    let what = format!("the norm's {name} has a gradient of {found:.6e} in place of {expected:.6e}");
                    return Ok(Some(format!("{what}: that of channel {channel}")));
                }
            }
        }
        Ok(None)
    }
}
