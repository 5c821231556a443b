//! How a network learns once its gradients are known: parameter groups, clipping, optimisers, learning-rate schedules,
//! loss scaling and the moving average of the weights. Definitions and defaults are timm's, which are PyTorch's
//! wherever timm takes PyTorch's own.
//!
//! Values and gradients are passed as `nn::Trainable` holds them: one vector a parameter, in the graph's order. Sums
//! run over fixed chunks in order, so that no result depends on the number of threads.

mod adam;
mod clip;
mod ema;
mod groups;
mod lamb;
mod lion;
mod optimizer;
mod scaler;
mod schedule;
mod settings;
mod sgd;

use rayon::prelude::*;

pub use clip::{Clip, gradient_norm};
pub use ema::Ema;
pub use groups::{GroupOptions, Groups, Member};
pub use optimizer::{Optimizer, Rule, Update};
pub use scaler::GradScaler;
pub use schedule::{Cycles, Goal, LearningRate, Noise, PlateauState, Scaling, Schedule, ScheduleKind, ScheduleOptions};
pub use settings::OptimizerSettings;

/// Elements that one task works on: fixed, so that partial sums are the same for any number of threads.
const CHUNK: usize = 1 << 14;

/// The point `weight` of the way from `start` to `end`, as PyTorch's `lerp` computes it: exact at both ends.
#[inline(always)]
fn lerp(start: f32, end: f32, weight: f32) -> f32 {
    if weight < 0.5 { start + weight * (end - start) } else { end - (end - start) * (1.0 - weight) }
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let square = |x: &f32| f64::from(*x) * f64::from(*x);
    let chunks: Vec<f64> = values.par_chunks(CHUNK).map(|chunk| chunk.iter().map(square).sum()).collect();
    chunks.iter().sum()
}
