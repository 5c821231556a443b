//! Whole training steps.

use anyhow::{Result, ensure};
use candle_core::DType;

use super::step::Step;
use super::trial::Trial;
use crate::ops::{Isa, Shape};

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    ensure!(trial.settings.runtime.cuda.is_none(), "training runs on the CPU alone so far; use --device cpu");
    let (batch, side) = (trial.batch_size, trial.subject.preprocessing.input_size);
    let variant = trial.subject.variant;
    let architecture = variant.architecture(&trial.request())?;
    let isa = Isa::of(trial.settings.runtime.dtype == DType::BF16);
    let mut step = Step::new(variant, architecture, Shape::new(batch, side, side, super::RGB), isa)?;
    trial.time(|| {
        step.learn()?;
        step.update()?;
        Ok(batch)
    })
}
