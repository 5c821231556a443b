//! The network alone, in evaluation, on random pixels.

use anyhow::Result;
use candle_core::Tensor;

use super::device_infer::DeviceInference;
use super::trial::Trial;
use crate::ops::free_device_memory;

pub fn measure(trial: &Trial<'_>) -> Result<Vec<f64>> {
    if let Some(number) = trial.settings.runtime.cuda {
        let free = free_device_memory(number)?;
        let (variant, image) = (trial.subject.variant, trial.image(trial.batch_size));
        let architecture = variant.architecture(&trial.request())?;
        let network = DeviceInference::new(variant, architecture, number, trial.element())?;
        let computed = network.bytes(image)?;
        return trial.time_on_device(number, [free, computed], network.prepare(image)?);
    }
    let model = trial.model()?;
    let (batch, side, channels) = (trial.batch_size, trial.subject.preprocessing.input_size, model.in_chans());
    let pixels = noise(batch * side * side * channels);
    let images = Tensor::from_vec(pixels, (batch, side, side, channels), &trial.settings.runtime.device)?;
    trial.time(|| {
        // Reading the logits back ends the computation on any device.
        let logits = model.forward(&images)?.to_vec2::<f32>()?;
        Ok(logits.len())
    })
}

/// Bytes without pattern: the same in every run (xorshift64, Marsaglia 2003).
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}
