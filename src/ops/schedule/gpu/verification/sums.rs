//! Each channel's sum and sum of squares as a plan gives them, held against those of the plan's own output.

use anyhow::Result;

use super::operands::Made;
use super::reference::Reference;
use super::tolerance;
use crate::ops::cuda::batch_norm::{self, Norm};
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::Role;
use crate::ops::schedule::gpu::convolution::Operands;
use crate::ops::{ConvProblem, Shape};

/// Memory for statistics by kernels of our own.
pub struct Statistics {
    pub moments: Region,
    norm: Norm,
}

impl Statistics {
    fn sizes(shape: Shape) -> [usize; 7] {
        let mut sizes = [shape.channels * size_of::<f32>(); 7];
        sizes[0] = batch_norm::partial_sums(shape) * size_of::<f32>();
        sizes
    }

    /// Bytes that they take.
    pub fn bytes(shape: Shape) -> usize {
        Self::sizes(shape).into_iter().map(Arena::footprint).sum()
    }

    pub fn take(arena: &mut Arena, shape: Shape) -> Result<Self> {
        let [moments, weight, bias, mean, inverse, scale, shift] = Self::sizes(shape).map(|bytes| arena.take(bytes));
        let norm = Norm { weight: weight?, bias: bias?, mean: mean?, inverse: inverse?, scale: scale?, shift: shift? };
        Ok(Self { moments: moments?, norm })
    }

    /// Each channel's sum and sum of squares in a map.
    pub fn totals(&self, device: &Device, element: Element, shape: Shape, map: &Region) -> Result<Vec<[f64; 2]>> {
        device.launch(&batch_norm::moments(element, shape, map, &self.moments)?)?;
        device.launch(&batch_norm::finish(shape, &self.moments, &self.norm, None, 0.0)?)?;
        let [mean, inverse] = [&self.norm.mean, &self.norm.inverse].map(|own| floats(device, own, shape.channels));
        Ok(mean?.iter().zip(&inverse?).map(|(mean, inverse)| totals(shape.pixels(), *mean, *inverse)).collect())
    }

    /// What is wrong with the sums that a plan gave along with its output, if anything is.
    pub fn deviation(&self, device: &Device, reference: &Reference, made: &Made) -> Result<Option<String>> {
        let (element, shape) = (reference.element, reference.problem.output()?);
        let expected = self.totals(device, element, shape, made.region(Role::Y, shape.len() * element.size())?)?;
        let bytes = shape.channels * size_of::<f32>();
        let numbers = |role| floats(device, made.region(role, bytes)?, shape.channels);
        let (sum, squares) = (numbers(Role::Sum)?, numbers(Role::Squares)?);
        let found = sum.iter().zip(&squares).map(|(sum, squares)| [f64::from(*sum), f64::from(*squares)]);
        Ok(found.zip(expected).enumerate().find_map(|(channel, (found, expected))| {
            wrong(&reference.problem, element, found, expected).map(|what| format!("{what} of channel {channel}"))
        }))
    }
}

/// The first `count` of a region's f32.
pub fn floats(device: &Device, region: &Region, count: usize) -> Result<Vec<f32>> {
    let bytes = device.read(&region.part(0, count * size_of::<f32>())?)?;
    Ok(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

/// Sum and sum of squares out of a mean and the inverse of the standard deviation.
fn totals(pixels: usize, mean: f32, inverse: f32) -> [f64; 2] {
    let [pixels, mean, inverse] = [pixels as f64, f64::from(mean), f64::from(inverse)];
    [pixels * mean, pixels * (inverse.powi(-2) + mean * mean)]
}

/// Which of a channel's sums is too far from what is expected, if one is.
fn wrong(problem: &ConvProblem, element: Element, found: [f64; 2], expected: [f64; 2]) -> Option<String> {
    let pixels = problem.output().ok()?.pixels();
    let tolerances = tolerance::of_sums(element, pixels, expected[1]);
    let names = ["the sum", "the sum of squares"];
    let apart = |at: usize| (found[at] - expected[at]).abs();
    let at = (0..2).find(|&at| apart(at).is_nan() || apart(at) > tolerances[at])?;
    Some(format!("{} is {:.6e} in place of {:.6e}: that", names[at], found[at], expected[at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{ConvPass, ConvSpec};

    #[test]
    fn sums_are_right_within_their_roundings_alone() {
        let problem = ConvProblem {
            spec: ConvSpec::new(64, 64, 3, 1),
            input: Shape::new(256, 56, 56, 64),
            pass: ConvPass::Statistics,
        };
        let pixels = 256 * 56 * 56;
        let expected = totals(pixels, 1e-3, 2.0);
        let squares = 0.25 * pixels as f64;
        assert!((expected[1] - squares).abs() < 1.0 && (expected[0] - 1e-3 * pixels as f64).abs() < 1e-3);
        let told = |found| wrong(&problem, Element::F16, found, expected);
        assert_eq!(told(expected), None);
        assert_eq!(told([expected[0] + 0.002 * squares.sqrt(), expected[1] * 1.0001]), None);
        assert!(told([expected[0] * 1.05, expected[1]]).is_some_and(|what| what.starts_with("the sum is ")));
        let image_less = [expected[0], expected[1] * 255.0 / 256.0];
        assert!(told(image_less).is_some_and(|what| what.starts_with("the sum of squares is ")));
        assert!(told([f64::NAN, expected[1]]).is_some() && told([expected[0], f64::INFINITY]).is_some());
    }
}
