//! The trainer of the first GPU, under the name that the checks know the host's by.

use anyhow::Result;
use tresnet::ops::training::{self, Trainer, TrainingSetup};

/// On the first GPU.
pub fn trainer(setup: &TrainingSetup) -> Result<Box<dyn Trainer>> {
    training::trainer(0, setup)
}
