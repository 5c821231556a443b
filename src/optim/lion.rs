//! Lion (Chen et al., arXiv 2302.06675): the sign of a moving average.

use rayon::prelude::*;

use super::optimizer::{Rule, Update};
use super::{CHUNK, lerp};

/// `p -= lr * decay * p + lr * sign(lerp(m, g, 1 - b1))`, then `m = lerp(m, g, 1 - b2)`.
pub(super) struct Lion {
    pub betas: [f64; 2],
}

impl Rule for Lion {
    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn update(&self, update: Update) {
        let lr = update.lr as f32;
        let kept = (1.0 - update.lr * update.weight_decay) as f32;
        let [now, later] = self.betas.map(|beta| (1.0 - beta) as f32);
        let chunks = update.values.par_chunks_mut(CHUNK).zip(update.gradient.par_chunks(CHUNK));
        chunks.zip(update.first.par_chunks_mut(CHUNK)).for_each(|((values, gradient), average)| {
            for ((p, g), m) in values.iter_mut().zip(gradient).zip(average) {
                *p = kept * *p - lr * sign(lerp(*m, *g, now));
                *m = lerp(*m, *g, later);
            }
        });
    }
}

/// -1, 0 or 1; NaN stays.
fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
