//! One row and mode in this very process, which prints what came of it as one line of JSON.

use std::cell::Cell;

use anyhow::{Context, Result};
use candle_core::DType;

use super::child::{self, Outcome};
use super::{device_memory, end_to_end, infer, load, measure, memory, train};
use crate::config::{BatchSize, BenchSettings, Mode, Subject};
use crate::create::{ModelOptions, create_model};
use crate::data::source;
use crate::interrupt::Interrupt;
use crate::models::{Model, Request};
use crate::ops::cuda::Element;
use crate::ops::{Shape, free_device_memory, is_out_of_device_memory};
use crate::report;

/// What is measured, and how.
pub struct Trial<'a> {
    pub settings: &'a BenchSettings,
    pub subject: &'a Subject,
    pub batch_size: usize,
    interrupt: &'a Interrupt,
    /// Bytes that the program holds on a GPU, where the mode is measured there.
    device_bytes: Cell<Option<u64>>,
}

/// Measures the first of the settings' rows in the first of their modes.
///
/// # Errors
/// Where nothing can be printed; what fails in the measurement is part of the outcome.
pub fn run(settings: &BenchSettings, interrupt: &Interrupt) -> Result<()> {
    child::until_left_alone(interrupt);
    let outcome = match (settings.subjects.first(), settings.modes.first(), settings.batch_size) {
        (Some(subject), Some(&mode), batch_size) => {
            let images = if let BatchSize::Images(images) = batch_size { images } else { 0 };
            let trial = Trial { settings, subject, batch_size: images, interrupt, device_bytes: Cell::default() };
            match (batch_size, settings.runtime.cuda) {
                (BatchSize::Images(_), _) => trial.outcome(mode),
                (BatchSize::Max, Some(number)) => match device_memory::largest_batch(&trial, mode, number) {
                    Ok(largest_batch) => Outcome { largest_batch, ..Outcome::default() },
                    Err(error) => failed(&error),
                },
                (BatchSize::Max, None) => anyhow::bail!("--alone computes the largest batch for a GPU alone"),
            }
        }
        _ => anyhow::bail!("--alone measures one model in one mode"),
    };
    report::print(&(serde_json::to_string(&outcome).context("cannot write the outcome")? + "\n"))
}

fn failed(error: &anyhow::Error) -> Outcome {
    Outcome {
        error: Some(crate::commands::message(error)),
        out_of_memory: is_out_of_device_memory(error),
        ..Outcome::default()
    }
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
        let peak_memory_bytes = self.device_bytes.get().or(peak.bytes());
        match measured {
            Ok(speeds) => Outcome { speeds, peak_memory_bytes, ..Outcome::default() },
            Err(error) => failed(&error),
        }
    }

    /// The network, laid out for evaluation.
    pub fn model(&self) -> Result<Model> {
        let Self { settings, subject, .. } = self;
        let bf16 = settings.runtime.dtype == DType::BF16;
        let cuda = settings.runtime.cuda;
        let cuda_element = self.element();
        let options = ModelOptions { bf16, cuda, cuda_element, kwargs: settings.kwargs, ..ModelOptions::default() };
        create_model(subject.variant.name, &options)
    }

    /// What the network is made for.
    pub fn request(&self) -> Request {
        Request { kwargs: self.settings.kwargs, ..Request::new(self.subject.variant.num_classes, super::RGB) }
    }

    /// So many images of the row's size.
    pub fn image(&self, batch: usize) -> Shape {
        let side = self.subject.preprocessing.input_size;
        Shape::new(batch, side, side, super::RGB)
    }

    /// What maps are made of on a GPU.
    pub fn element(&self) -> Element {
        crate::commands::element(self.settings.runtime.dtype)
    }

    /// Times `batch` on CUDA device `number`, which had `free` bytes before anything was put there, and of which a batch takes
    /// `computed` by computation.
    pub fn time_on_device(
        &self,
        number: usize,
        [free, computed]: [usize; 2],
        mut batch: impl FnMut() -> Result<usize>,
    ) -> Result<Vec<f64>> {
        let speeds = self.time(&mut batch)?;
        // What it works on is still there.
        let taken = free.saturating_sub(free_device_memory(number)?);
        // Others that gave memory back meanwhile hide some of it.
        self.device_bytes.set(Some(taken.max(computed) as u64));
        Ok(speeds)
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
