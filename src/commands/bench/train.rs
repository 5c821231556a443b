//! Whole training steps.

use anyhow::Result;
use candle_core::DType;

use super::device_memory::training_bytes;
use super::device_step::{DeviceStep, training};
use super::step::Step;
use super::trial::Trial;
use crate::ops::{Isa, free_device_memory};

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    let (batch, image) = (trial.batch_size, trial.image(trial.batch_size));
    let variant = trial.subject.variant;
    let architecture = variant.architecture(&trial.request())?;
    if let Some(number) = trial.settings.runtime.cuda {
        let training = training(variant, architecture, trial.element())?;
        let known = [free_device_memory(number)?, training_bytes(&training, image)?];
        let mut step = DeviceStep::new(training, image, number)?;
        return trial.time_on_device(number, known, || step.run().map(|()| batch));
    }
    let isa = Isa::of(trial.settings.runtime.dtype == DType::BF16);
    let mut step = Step::new(variant, architecture, image, isa)?;
    trial.time(|| {
        step.learn()?;
        step.update()?;
        Ok(batch)
    })
}
