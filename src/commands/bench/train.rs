//! Whole training steps.

use anyhow::Result;
use candle_core::DType;

use super::device_step::DeviceStep;
use super::step::Step;
use super::trial::Trial;
use crate::commands::element;
use crate::ops::{Isa, Shape};

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    let (batch, side) = (trial.batch_size, trial.subject.preprocessing.input_size);
    let variant = trial.subject.variant;
    let architecture = variant.architecture(&trial.request())?;
    if let Some(number) = trial.settings.runtime.cuda {
        let (shape, element) = (Shape::new(batch, side, side, super::RGB), element(trial.settings.runtime.dtype));
        let mut step = DeviceStep::new(variant, architecture, shape, number, element)?;
        return trial.time(|| step.run().map(|()| batch));
    }
    let isa = Isa::of(trial.settings.runtime.dtype == DType::BF16);
    let mut step = Step::new(variant, architecture, Shape::new(batch, side, side, super::RGB), isa)?;
    trial.time(|| {
        step.learn()?;
        step.update()?;
        Ok(batch)
    })
}
