//! What drop-out (Srivastava et al. 2014) and stochastic depth do to values: each run of them times its scale, 0 where
//! it is dropped.

use rayon::prelude::*;

use super::Activation;
use super::simd::vectorized;
use crate::random::mix;

/// Multiplies `values`, in place, by `scales`: as many runs of equal length as there are scales, one an image. It takes
/// the gradient of a branch back that [`join_scaled`] joined.
pub fn scale_runs(values: &mut [f32], scales: &[f32]) {
    let run = run_len(values, scales);
    values.par_chunks_mut(run).zip(scales).for_each(|(values, scale)| values.iter_mut().for_each(|x| *x *= scale));
}

/// Ends a residual block whose branch is dropped for some images: `branch` becomes
/// `activation(branch * scale + residual)`, with one of `scales` an image.
pub fn join_scaled(branch: &mut [f32], scales: &[f32], residual: &[f32], activation: Activation) {
    let run = run_len(branch, scales);
    let images = branch.par_chunks_mut(run).zip(residual.par_chunks(run)).zip(scales);
    images.for_each(|((branch, residual), &scale)| join(branch, residual, scale, activation.slope()));
}

fn run_len(values: &[f32], scales: &[f32]) -> usize {
    (values.len() / scales.len().max(1)).max(1)
}

vectorized! {
    fn join(branch: &mut [f32], residual: &[f32], scale: f32, slope: f32) {
        for (y, r) in branch.iter_mut().zip(residual) {
            let sum = *y * scale + *r;
            *y = if sum > 0.0 { sum } else { sum * slope };
        }
    }
}

/// Which values fall: a function of the stream and a value's place, so that forward and backward pass agree without a
/// stored mask, whatever the number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that a value falls, in [0, 1).
    pub rate: f64,
    pub stream: u64,
}

impl Dropout {
    /// What [`Self::apply`] makes of `values`.
    pub fn applied(&self, values: &[f32]) -> Vec<f32> {
        let mut values = values.to_vec();
        self.apply(&mut values);
        values
    }

    /// By what values that stay are multiplied.
    pub fn scale(&self) -> f32 {
        (1.0 / (1.0 - self.rate)) as f32
    }

    /// A value falls where its 64 random bits, as a number, lie below this.
    pub fn bound(&self) -> u64 {
        (self.rate * 2f64.powi(64)) as u64
    }

    /// `values * mask / (1 - rate)` in place: the forward pass on values, the backward pass on their gradients.
    pub fn apply(&self, values: &mut [f32]) {
        /// Values a task takes.
        const CHUNK: usize = 1 << 12;
        let (scale, bound) = (self.scale(), self.bound());
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            for (at, value) in values.iter_mut().enumerate() {
                let bits = mix(self.stream.wrapping_add((chunk * CHUNK + at) as u64));
                *value = if bits < bound { 0.0 } else { *value * scale };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_dropped_values_is_the_rate_and_the_mean_stays() {
        let dropout = Dropout { rate: 0.3, stream: 7 };
        let mut values = vec![1.0; 100_000];
        dropout.apply(&mut values);
        let dropped = values.iter().filter(|&&value| value == 0.0).count() as f64 / 1e5;
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / 1e5;
        assert!((dropped - 0.3).abs() < 0.005 && (mean - 1.0).abs() < 0.01, "{dropped} dropped, mean {mean}");
    }

    #[test]
    fn gradients_fall_where_values_fell() {
        let dropout = Dropout { rate: 0.5, stream: 3 };
        let (mut values, mut gradients) = (vec![1.0; 1000], vec![2.0; 1000]);
        dropout.apply(&mut values);
        dropout.apply(&mut gradients);
        assert!(values.iter().zip(&gradients).all(|(value, gradient)| 2.0 * value == *gradient));
    }
}
