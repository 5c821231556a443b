//! LAMB (You et al., arXiv 1904.00962) as timm has it, which is NVIDIA's: all gradients are first brought to a norm of
//! at most 1, and each decayed parameter moves in proportion to its own norm.

use rayon::prelude::*;

use super::optimizer::{Rule, Update};
use super::{CHUNK, lerp, sum_of_squares};

/// The norm above which all gradients are scaled down.
pub(super) const MAX_GRADIENT_NORM: f64 = 1.0;

/// With Adam's direction `u = m / (1 - b1^t) / (sqrt(v) / sqrt(1 - b2^t) + eps) + decay * p`: `p -= lr * |p| / |u| * u`
/// where `p` decays, `p -= lr * u` where not.
pub(super) struct Lamb {
    pub betas: [f64; 2],
    pub epsilon: f32,
}

impl Rule for Lamb {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn gradient_divisor(&self, gradients: &[&[f32]]) -> f32 {
        let norm = gradients.iter().map(|gradient| sum_of_squares(gradient)).sum::<f64>().sqrt();
        // Not `max`, which would hide that the norm is not a number.
        let ratio = norm / MAX_GRADIENT_NORM;
        if ratio < 1.0 { 1.0 } else { ratio as f32 }
    }

    fn update(&self, update: Update) {
        let corrections = self.betas.map(|beta| 1.0 - beta.powf(update.step as f64));
        let (correction, root) = (corrections[0] as f32, corrections[1].sqrt() as f32);
        let [weight, weight_sq] = self.betas.map(|beta| (1.0 - beta) as f32);
        let (beta_sq, decay, divisor) = (self.betas[1] as f32, update.weight_decay as f32, update.divisor);
        let direction = |p: f32, m: f32, v: f32| m / correction / (v.sqrt() / root + self.epsilon) + decay * p;
        let (values, first, second) = (update.values, update.first, update.second);
        // The direction's norm comes first, and the direction is computed again: cheaper than a buffer for it.
        let chunks = values.par_chunks(CHUNK).zip(update.gradient.par_chunks(CHUNK));
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        let squares: Vec<f64> = chunks
            .zip(moments)
            .map(|((values, gradient), (first, second))| {
                let mut squares = 0.0;
                for ((p, g), (m, v)) in values.iter().zip(gradient).zip(first.iter_mut().zip(second)) {
                    let g = g / divisor;
                    *m = lerp(*m, g, weight);
                    *v = beta_sq * *v + weight_sq * g * g;
                    squares += f64::from(direction(*p, *m, *v)).powi(2);
                }
                squares
            })
            .collect();
        let norms = [sum_of_squares(values), squares.iter().sum::<f64>()].map(f64::sqrt);
        let adapts = decay != 0.0 && norms[0] > 0.0 && norms[1] > 0.0;
        let lr = (update.lr * if adapts { norms[0] / norms[1] } else { 1.0 }) as f32;
        let moments = first.par_chunks(CHUNK).zip(second.par_chunks(CHUNK));
        values.par_chunks_mut(CHUNK).zip(moments).for_each(|(values, (first, second))| {
            for (p, (m, v)) in values.iter_mut().zip(first.iter().zip(second)) {
                *p -= lr * direction(*p, *m, *v);
            }
        });
    }
}
