//! timm's own `.pth.tar` files as a start: epoch, weights and averaged weights. Its optimizer's tensors are numbered by
//! parameter groups of the script that wrote them, and are left.

use anyhow::{Context, Result};

use super::super::{Checkpoint, Weights};

/// What of a timm run goes on.
#[derive(Debug)]
pub struct TimmState {
    /// The epoch to go on with, from 0.
    pub epoch: u64,
    pub model: Weights,
    /// The moving average of the weights, where the run kept one.
    pub ema: Option<Weights>,
}

impl TimmState {
    /// Takes what timm's trainer saved.
    ///
    /// # Errors
    ///
    /// Where the file is none of timm's trainer's: it says no epoch, or holds no weights.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let number = |key: &str| {
            let text = checkpoint.metadata().iter().find(|(name, _)| name == key);
            text.and_then(|(_, text)| text.parse::<u64>().ok())
        };
        let saved = number("epoch").with_context(|| {
            format!("{} says no epoch: it is no training's state; give it as --initial-checkpoint", checkpoint.name)
        })?;
        // timm's resume_checkpoint: since version 2 the epoch is the one that was finished, before it the next.
        let epoch = if number("version").is_some_and(|version| version > 1) { saved.saturating_add(1) } else { saved };
        let averaged = checkpoint.state_dicts().iter().any(|dict| dict.is_ema());
        let ema = averaged.then(|| checkpoint.weights(true)).transpose()?;
        Ok(Self { epoch, model: checkpoint.weights(false)?, ema })
    }
}
