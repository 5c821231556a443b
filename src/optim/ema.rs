//! A moving average of the weights: timm's `ModelEmaV3`.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::{CHUNK, lerp};

/// The exponent of the decay's warm-up.
const WARMUP_POWER: f64 = 2.0 / 3.0;

/// The average of every parameter and running statistic.
#[derive(Clone, Debug)]
pub struct Ema {
    values: Vec<Vec<f32>>,
    decay: f64,
    warmup: bool,
}

impl Ema {
    /// Starts at `values`, all of a graph's parameters and running statistics. With `warmup` the decay rises to
    /// `decay` as `1 - (1 + updates)^(-2/3)`.
    ///
    /// # Errors
    ///
    /// If `decay` is not in [0, 1].
    pub fn new(values: Vec<Vec<f32>>, decay: f64, warmup: bool) -> Result<Self> {
        ensure!((0.0..=1.0).contains(&decay), "--model-ema-decay must lie in [0, 1], got {decay}");
        Ok(Self { values, decay, warmup })
    }

    /// The share of the average that stays in update number `update`, from 1. The first update copies.
    pub fn decay_at(&self, update: u64) -> f64 {
        match (update.saturating_sub(1), self.warmup) {
            (0, _) => 0.0,
            (past, true) => (1.0 - (1.0 + past as f64).powf(-WARMUP_POWER)).min(self.decay),
            (_, false) => self.decay,
        }
    }

    /// Moves towards `values` after the optimiser's update number `update` of the whole run, from 1.
    pub fn update(&mut self, values: &[Vec<f32>], update: u64) {
        let weight = (1.0 - self.decay_at(update)) as f32;
        self.values.par_iter_mut().zip(values).for_each(|(average, now)| {
            average.par_chunks_mut(CHUNK).zip(now.par_chunks(CHUNK)).for_each(|(average, now)| {
                for (average, now) in average.iter_mut().zip(now) {
                    *average = lerp(*average, *now, weight);
                }
            });
        });
    }

    /// The averages, in the order of the values given.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// The averages, to be restored from a checkpoint.
    pub fn values_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.values
    }
}
