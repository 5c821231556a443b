//! Gradient clipping: by the norm of all, by value, or by the ratio of each unit's gradient to its weights.

use rayon::prelude::*;

use super::groups::{Groups, Member};
use super::{CHUNK, sum_of_squares};
use crate::ops::training::Clipping;

/// `--clip-mode` with `--clip-grad`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// All gradients together to at most this L2 norm.
    Norm(f64),
    /// Each value to at most this magnitude.
    Value(f64),
    /// Each output unit's gradient to at most this share of its weights' norm, the classifier excepted (adaptive
    /// gradient clipping, Brock et al., arXiv 2102.06171).
    Adaptive(f64),
}

/// Weights of a smaller norm are taken to have this one.
const SMALLEST_UNIT_NORM: f64 = 1e-3;
/// Kept between a divisor and 0.
const EPSILON: f64 = 1e-6;

impl Clip {
    /// What the kernels of a device are told.
    pub fn on_device(self, groups: &Groups) -> Clipping {
        match self {
            Self::Norm(max) => Clipping::Norm(max as f32),
            Self::Value(max) => Clipping::Value(max.abs() as f32),
            Self::Adaptive(factor) => {
                let clipped = groups.members().iter().map(Member::clipped_units).collect();
                Clipping::Units { factor: factor as f32, clipped }
            }
        }
    }

    /// Clips the gradients of the groups' parameters. Both slices hold every parameter of the graph.
    pub fn apply(self, values: &[Vec<f32>], gradients: &mut [Vec<f32>], groups: &Groups) {
        match self {
            Self::Norm(max) => clip_norm(gradients, groups, max),
            Self::Value(max) => {
                let max = max.abs() as f32;
                for member in groups.members() {
                    if let Some(gradient) = gradients.get_mut(member.parameter) {
                        each(gradient, |g| g.clamp(-max, max));
                    }
                }
            }
            Self::Adaptive(factor) => {
                for member in groups.members().iter().filter(|member| !member.head) {
                    if let (Some(values), Some(gradient)) =
                        (values.get(member.parameter), gradients.get_mut(member.parameter))
                    {
                        clip_units(values, gradient, member, factor);
                    }
                }
            }
        }
    }
}

/// The L2 norm of all the groups' gradients; not finite where one of them is not.
pub fn gradient_norm(gradients: &[Vec<f32>], groups: &Groups) -> f64 {
    let own = groups.members().iter().filter_map(|member| gradients.get(member.parameter));
    own.map(|gradient| sum_of_squares(gradient)).sum::<f64>().sqrt()
}

fn clip_norm(gradients: &mut [Vec<f32>], groups: &Groups, max: f64) {
    let factor = max / (gradient_norm(gradients, groups) + EPSILON);
    // A factor that is not a number reaches the gradients too.
    if factor >= 1.0 {
        return;
    }
    for member in groups.members() {
        if let Some(gradient) = gradients.get_mut(member.parameter) {
            each(gradient, |g| g * factor as f32);
        }
    }
}

fn each(gradient: &mut [f32], change: impl Fn(f32) -> f32 + Sync) {
    gradient.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|g| *g = change(*g)));
}

fn clip_units(values: &[f32], gradient: &mut [f32], member: &Member, factor: f64) {
    let len = (values.len() / member.units().max(1)).max(1);
    gradient.par_chunks_mut(len).zip(values.par_chunks(len)).for_each(|(gradient, values)| {
        let max = sum_of_squares(values).sqrt().max(SMALLEST_UNIT_NORM) * factor;
        let norm = sum_of_squares(gradient).sqrt();
        if norm < max {
            return;
        }
        let scale = (max / norm.max(EPSILON)) as f32;
        gradient.iter_mut().for_each(|g| *g *= scale);
    });
}
