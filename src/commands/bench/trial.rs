//! One row and mode in this very process, which prints what came of it as one line of JSON.

use anyhow::{Context, Result};
use candle_core::DType;

use super::child::{self, Outcome};
use super::{end_to_end, infer, load, measure, memory, train};
use crate::config::{BatchSize, BenchSettings, Mode, Subject};
use crate::create::{ModelOptions, create_model};
use crate::data::source;
use crate::interrupt::Interrupt;
use crate::models::{Model, Request};
use crate::report;

/// What is measured, and how.
pub struct Trial<'a> {
    pub settings: &'a BenchSettings,
    pub subject: &'a Subject,
    pub batch_size: usize,
    interrupt: &'a Interrupt,
}

/// Measures the first of the settings' rows in the first of their modes.
///
/// # Errors
/// Where nothing can be printed; what fails in the measurement is part of the outcome.
pub fn run(settings: &BenchSettings, interrupt: &Interrupt) -> Result<()> {
    child::until_left_alone(interrupt);
    let outcome = match (settings.subjects.first(), settings.modes.first(), settings.batch_size) {
        (Some(subject), Some(&mode), BatchSize::Images(batch_size)) => {
            Trial { settings, subject, batch_size, interrupt }.outcome(mode)
        }
        _ => anyhow::bail!("--alone measures one model in one mode with a batch of so many images"),
    };
    report::print(&(serde_json::to_string(&outcome).context("cannot write the outcome")? + "\n"))
}

impl Trial<'_> {
    fn outcome(&self, mode: Mode) -> Outcome {
        let peak = memory::Peak::start();
        let measured = match mode {
            Mode::Infer => infer::measure(self),
            Mode::Load => load::measure(self),
            Mode::EndToEnd => end_to_end::measure(self),
            Mode::Train => train::measure(self),
        };
        let peak_memory_bytes = peak.bytes();
        match measured {
            Ok(speeds) => Outcome { speeds, peak_memory_bytes, error: None },
            Err(error) => Outcome { error: Some(crate::commands::message(&error)), ..Outcome::default() },
        }
    }

    /// The network, laid out for evaluation.
    pub fn model(&self) -> Result<Model> {
        let Self { settings, subject, .. } = self;
        let bf16 = settings.runtime.dtype == DType::BF16;
        let cuda = settings.runtime.cuda;
        let cuda_element = crate::commands::element(settings.runtime.dtype);
        let options = ModelOptions { bf16, cuda, cuda_element, kwargs: settings.kwargs, ..ModelOptions::default() };
        create_model(subject.variant.name, &options)
    }

    /// What the network is made for.
    pub fn request(&self) -> Request {
        Request { kwargs: self.settings.kwargs, ..Request::new(self.subject.variant.num_classes, super::RGB) }
    }

    /// The images that `load` and `e2e` read.
    pub fn images(&self) -> Result<std::sync::Arc<source::Source>> {
        let folder = self.settings.val_dir.as_deref().context("--val-dir: this mode reads images")?;
        Ok(std::sync::Arc::new(source::open(folder, None)?))
    }

    /// Times `batch`, which returns how many images it was, in the manner that the settings ask for.
    pub fn time(&self, batch: impl FnMut() -> Result<usize>) -> Result<Vec<f64>> {
        let interrupted = || self.interrupt.received().is_some();
        measure::time(self.settings.warmup, self.settings.iters, interrupted, batch)
    }
}
