//! What drop-out and stochastic depth do to values: each run of them times its scale, 0 where it is dropped.

use rayon::prelude::*;

use super::Activation;
use super::simd::vectorized;

/// Multiplies `values`, in place, by `scales`: as many runs of equal length as there are scales. One a value is
/// drop-out, one an image stochastic depth; and as the ops are linear, it takes a gradient back as well.
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
