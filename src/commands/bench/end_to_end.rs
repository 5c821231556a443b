//! From the file to the logits, loading beside computing as in an evaluation.

use anyhow::Result;
use candle_core::Tensor;

use super::images::Endless;
use super::trial::Trial;

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    let (source, model) = (trial.images()?, trial.model()?);
    let mut batches = Endless::new(trial, &source)?;
    let (side, device) = (trial.subject.preprocessing.input_size, &trial.settings.runtime.device);
    trial.time(|| {
        let batch = batches.next()?;
        let images = Tensor::from_slice(&batch.pixels, (batch.size, side, side, model.in_chans()), device)?;
        let logits = model.forward(&images)?.to_vec2::<f32>()?;
        Ok(logits.len())
    })
}
