//! The trainer of the first GPU, under the name that the checks know the host's by.

use anyhow::Result;
use tresnet::ops::training::{self, Trainer, TrainingSetup};

/// Of its norm a tensor may be away in f32. The device's exponentials and sums are rounded otherwise than the CPU's, and a
/// value that falls on the other side of ReLU's kink for it moves all gradients of the layers before it.
pub const TOLERANCE: f32 = 2e-2;

/// On the first GPU.
pub fn trainer(setup: &TrainingSetup) -> Result<Box<dyn Trainer>> {
    training::trainer(0, setup)
}
