//! Stochastic gradient descent with momentum, as PyTorch has it: weight decay is part of the gradient, and the learning
//! rate stands outside the momentum.

use rayon::prelude::*;

use super::CHUNK;
use super::optimizer::{Rule, Update};

/// `v = momentum * v + g` with `g = gradient + decay * p`; then `p -= lr * v`, or with Nesterov
/// `p -= lr * (g + momentum * v)`.
pub(super) struct Sgd {
    pub momentum: f32,
    pub nesterov: bool,
}

impl Rule for Sgd {
    fn buffers(&self) -> &'static [&'static str] {
        &["momentum_buffer"]
    }

    fn update(&self, update: Update) {
        let (lr, decay) = (update.lr as f32, update.weight_decay as f32);
        let chunks = update.values.par_chunks_mut(CHUNK).zip(update.gradient.par_chunks(CHUNK));
        chunks.zip(update.first.par_chunks_mut(CHUNK)).for_each(|((values, gradient), velocity)| {
            for ((p, g), v) in values.iter_mut().zip(gradient).zip(velocity) {
                let g = g + decay * *p;
                *v = self.momentum * *v + g;
                let direction = if self.nesterov { g + self.momentum * *v } else { *v };
                *p -= lr * direction;
            }
        });
    }
}
