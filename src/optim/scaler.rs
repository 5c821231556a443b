//! The loss scale of half-precision training: PyTorch's `GradScaler`.

use anyhow::{Result, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CHUNK;
use super::groups::Groups;
use crate::ops::cuda::optimizer::ScaleRules;

/// Keeps small gradients above f16's smallest number: the loss is multiplied by a scale that halves when a gradient
/// overflows and doubles after 2,000 steps without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradScaler {
    scale: f32,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u32,
    #[serde(rename = "_growth_tracker")]
    growth_tracker: u32,
}

/// PyTorch's defaults.
impl Default for GradScaler {
    fn default() -> Self {
        Self { scale: 65536.0, growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000, growth_tracker: 0 }
    }
}

impl GradScaler {
    /// A scaler that starts at `scale` and grows after `growth_interval` good steps.
    pub fn new(scale: f32, growth_interval: u32) -> Result<Self> {
        ensure!(scale.is_finite() && scale > 0.0, "the loss scale must be positive and finite, got {scale}");
        ensure!(growth_interval > 0, "the loss scale cannot grow after 0 steps");
        Ok(Self { scale, growth_interval, ..Self::default() })
    }

    /// What the loss, or its gradient at the logits, is to be multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The same on a device.
    pub fn rules(&self) -> ScaleRules {
        ScaleRules {
            growth_factor: self.growth_factor as f32,
            backoff_factor: self.backoff_factor as f32,
            growth_interval: self.growth_interval as usize,
        }
    }

    /// Divides the groups' gradients by the scale; whether all of them are finite. If not, the optimiser must not step.
    pub fn unscale(&self, gradients: &mut [Vec<f32>], groups: &Groups) -> bool {
        let inverse = (1.0 / f64::from(self.scale)) as f32;
        let mut finite = true;
        for member in groups.members() {
            if let Some(gradient) = gradients.get_mut(member.parameter) {
                finite &= gradient
                    .par_chunks_mut(CHUNK)
                    .map(|chunk| {
                        let finite = chunk.iter().all(|g| g.is_finite());
                        chunk.iter_mut().for_each(|g| *g *= inverse);
                        finite
                    })
                    .reduce(|| true, |a, b| a && b);
            }
        }
        finite
    }

    /// Adapts the scale after a step, taken or skipped: `finite` is what [`Self::unscale`] returned.
    pub fn update(&mut self, finite: bool) {
        if !finite {
            self.scale = (f64::from(self.scale) * self.backoff_factor) as f32;
            self.growth_tracker = 0;
            return;
        }
        self.growth_tracker += 1;
        if self.growth_tracker >= self.growth_interval {
            let grown = (f64::from(self.scale) * self.growth_factor) as f32;
            if grown.is_finite() {
                self.scale = grown;
            }
            self.growth_tracker = 0;
        }
    }
}
