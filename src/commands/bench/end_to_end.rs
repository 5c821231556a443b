//! From the file to the logits, loading beside computing as in an evaluation.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;

use super::Bench;
use super::images::Endless;
use super::measure::Figure;
use crate::config::Subject;
use crate::data::source::Source;
use crate::models::Model;

pub fn measure(bench: &Bench<'_>, subject: &Subject, source: &Arc<Source>, model: &Model) -> Result<Figure> {
    let mut batches = Endless::new(bench, subject, source)?;
    let (side, device) = (subject.preprocessing.input_size, &bench.settings.runtime.device);
    bench.time(|| {
        let batch = batches.next()?;
        let images = Tensor::from_slice(&batch.pixels, (batch.size, side, side, model.in_chans()), device)?;
        let logits = model.forward(&images)?.to_vec2::<f32>()?;
        Ok(logits.len())
    })
}
