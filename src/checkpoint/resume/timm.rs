//! timm's own `.pth.tar` files as a start: epoch, weights, averaged weights and the optimizer's buffers.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use super::super::{Checkpoint, Weights};

/// What of a timm run goes on.
#[derive(Debug)]
pub struct TimmState {
    /// The epoch to go on with, from 0.
    pub epoch: u64,
    pub model: Weights,
    /// The moving average of the weights, where the run kept one.
    pub ema: Option<Weights>,
    /// The optimizer's, or why it cannot go on.
    pub optimizer: Result<TimmOptimizer>,
}

/// An optimizer's state.
#[derive(Debug)]
pub struct TimmOptimizer {
    /// Steps that it has taken, 0 where it does not count them.
    pub steps: u64,
    /// `<buffer>.<parameter>`, by PyTorch's names of buffers.
    pub buffers: HashMap<String, Vec<f32>>,
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
        let model = checkpoint.weights(false)?;
        let optimizer = optimizer(checkpoint, &model);
        Ok(Self { epoch, model, ema, optimizer })
    }
}

fn optimizer(checkpoint: &Checkpoint, model: &Weights) -> Result<TimmOptimizer> {
    let state = checkpoint.optimizer.as_ref().context("the file holds none")?;
    let trained = model.names().filter(|(name, _)| !name.ends_with(".running_mean") && !name.ends_with(".running_var"));
    let trained: Vec<(&str, &[usize])> = trained.collect();
    // The parameters' numbers are those of timm's param_groups_weight_decay: what does not decay first. Without weight
    // decay there is one group.
    let decays = |(name, shape): &(&str, &[usize])| shape.len() > 1 && !name.ends_with(".bias");
    let (decaying, others): (Vec<_>, Vec<_>) = trained.iter().copied().partition(decays);
    let order: Vec<(&str, &[usize])> = match state.group_sizes()[..] {
        [all] if all == trained.len() => trained,
        [first, second] if (first, second) == (others.len(), decaying.len()) => [others, decaying].concat(),
        ref sizes => bail!("its parameters are in groups of {sizes:?}, which are not those of weight decay alone"),
    };
    let names: Vec<&str> = order.iter().map(|(name, _)| *name).collect();
    let (steps, buffers) = state.read(&names, &checkpoint.reader)?;
    for (name, shape) in order {
        let lengths = buffers.iter().filter(|(buffer, _)| buffer.split_once('.').is_some_and(|(_, of)| of == name));
        if lengths.into_iter().any(|(_, values)| values.len() != shape.iter().product::<usize>()) {
            bail!("a buffer of {name} has not the parameter's shape");
        }
    }
    Ok(TimmOptimizer { steps, buffers })
}
