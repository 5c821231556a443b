//! The learning rate that a schedule starts from: given, or in proportion to the batch.

use anyhow::{Result, ensure};

/// `--lr` and what takes its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// `--lr`, used as it is; 0 counts as not given, as for timm.
    pub fixed: Option<f64>,
    /// `--lr-base`: the rate for a batch of `base_size`.
    pub base: f64,
    /// `--lr-base-size`
    pub base_size: u64,
    /// `--lr-base-scale`. Default: by the root for optimisers with `ada` or `lamb` in their name, else linear.
    pub scaling: Option<Scaling>,
}

/// How the rate grows with the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    Linear,
    Sqrt,
}

/// timm's defaults.
impl Default for LearningRate {
    fn default() -> Self {
        Self { fixed: None, base: 0.1, base_size: 256, scaling: None }
    }
}

impl LearningRate {
    /// The rate for `global_batch` images an update, over all processes and accumulated steps.
    pub fn resolve(&self, global_batch: u64, optimizer: &str) -> Result<f64> {
        if let Some(lr) = self.fixed.filter(|&lr| lr != 0.0) {
            ensure!(lr.is_finite() && lr > 0.0, "--lr must be positive and finite, got {lr}");
            return Ok(lr);
        }
        ensure!(self.base.is_finite() && self.base > 0.0, "--lr-base must be positive and finite, got {}", self.base);
        ensure!(self.base_size > 0, "--lr-base-size must be at least 1");
        let adaptive = optimizer.contains("ada") || optimizer.contains("lamb");
        let ratio = global_batch as f64 / self.base_size as f64;
        Ok(match self.scaling.unwrap_or(if adaptive { Scaling::Sqrt } else { Scaling::Linear }) {
            Scaling::Linear => self.base * ratio,
            Scaling::Sqrt => self.base * ratio.sqrt(),
        })
    }
}
