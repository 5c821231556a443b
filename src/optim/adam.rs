//! Adam (Kingma and Ba, arXiv 1412.6980) and AdamW (Loshchilov and Hutter, arXiv 1711.05101), PyTorch's.

use rayon::prelude::*;

use super::optimizer::{Rule, Update};
use super::{CHUNK, lerp};

/// `p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)`. Adam decays by way of the gradient, AdamW decays the
/// parameter itself by `lr * decay`, before the rest.
pub(super) struct Adam {
    pub betas: [f64; 2],
    pub epsilon: f32,
    pub decoupled: bool,
}

impl Rule for Adam {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn update(&self, update: Update) {
        let corrections = self.betas.map(|beta| 1.0 - beta.powf(update.step as f64));
        let step_size = (update.lr / corrections[0]) as f32;
        let root = corrections[1].sqrt() as f32;
        let [weight, weight_sq] = self.betas.map(|beta| (1.0 - beta) as f32);
        let beta_sq = self.betas[1] as f32;
        let (kept, coupled) = match self.decoupled {
            true => ((1.0 - update.lr * update.weight_decay) as f32, 0.0),
            false => (1.0, update.weight_decay as f32),
        };
        let chunks = update.values.par_chunks_mut(CHUNK).zip(update.gradient.par_chunks(CHUNK));
        let moments = update.first.par_chunks_mut(CHUNK).zip(update.second.par_chunks_mut(CHUNK));
        chunks.zip(moments).for_each(|((values, gradient), (first, second))| {
            for ((p, g), (m, v)) in values.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)) {
                let g = g + coupled * *p;
                *m = lerp(*m, g, weight);
                *v = beta_sq * *v + weight_sq * g * g;
                *p = kept * *p - step_size * (*m / (v.sqrt() / root + self.epsilon));
            }
        });
    }
}
