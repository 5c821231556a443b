//! Whole training steps.

use anyhow::Result;
use candle_core::DType;

use super::Bench;
use super::measure::Figure;
use super::step::Step;
use crate::config::Subject;
use crate::models::Request;
use crate::ops::{Isa, Shape};

pub fn measure(bench: &Bench<'_>, subject: &Subject) -> Result<Figure> {
    let (batch, side) = (bench.settings.batch_size, subject.preprocessing.input_size);
    let variant = subject.variant;
    let architecture = variant.architecture(&Request::new(variant.num_classes, super::RGB))?;
    let isa = Isa::of(bench.settings.runtime.dtype == DType::BF16);
    let mut step = Step::new(variant, architecture, Shape::new(batch, side, side, super::RGB), isa)?;
    bench.time(|| {
        step.learn()?;
        step.update()?;
        Ok(batch)
    })
}
