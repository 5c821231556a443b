//! `tresnet bench --profile`: where a batch's time goes, op by op, beside what this machine could do.

mod lines;
mod print;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Tensor};

use super::infer::noise;
use super::step::Step;
use crate::commands::Status;
use crate::config::{BatchSize, BenchSettings, Mode, Subject};
use crate::create::{ModelOptions, create_model};
use crate::interrupt::Interrupt;
use crate::models::Request;
use crate::nn::{OpProfile, Recorder};
use crate::ops::{Isa, Limits, Shape};
use crate::report;

/// Where the time of a batch went, the fastest of some: neighbours on the machine only ever slow one down.
struct Profile {
    model: &'static str,
    mode: Mode,
    input_size: usize,
    batch_size: usize,
    /// So many were run.
    batches: usize,
    elapsed: Duration,
    ops: Vec<OpProfile>,
}

/// Profiles every model in every mode and prints the `top` ops of each.
pub fn run(settings: &BenchSettings, top: usize, interrupt: &Interrupt, quiet: bool) -> Result<Status> {
    let isa = Isa::of(settings.runtime.dtype == DType::BF16);
    let limits = Limits::measure(isa);
    let mut profiles = Vec::new();
    for subject in &settings.subjects {
        for &mode in &settings.modes {
            let profiling = Profiling { settings, subject, interrupt, isa };
            let profile = if mode == Mode::Train { profiling.train() } else { profiling.infer() };
            let profile = profile.with_context(|| format!("cannot profile {}", subject.variant.name))?;
            if !quiet {
                report::remark(&format!("{}: {} profiled", profile.model, mode.name()));
            }
            profiles.push(profile);
            if let Some(signal) = interrupt.received() {
                report::print(&print::text(settings, isa, &limits, &profiles, top)?)?;
                return Ok(Status::Stopped(signal));
            }
        }
    }
    report::print(&print::text(settings, isa, &limits, &profiles, top)?)?;
    Ok(Status::Done)
}

/// One model in one mode.
struct Profiling<'a> {
    settings: &'a BenchSettings,
    subject: &'a Subject,
    interrupt: &'a Interrupt,
    isa: Isa,
}

impl Profiling<'_> {
    fn shape(&self, mode: Mode) -> Result<Shape> {
        let side = self.subject.preprocessing.input_size;
        let asked = if mode == Mode::Train { self.settings.train_batch_size } else { self.settings.batch_size };
        let BatchSize::Images(batch) = asked else { bail!("--profile takes a number of images as --batch-size") };
        Ok(Shape::new(batch, side, side, super::RGB))
    }

    fn infer(&self) -> Result<Profile> {
        let bf16 = self.settings.runtime.dtype == DType::BF16;
        let (cuda, kwargs) = (self.settings.runtime.cuda, self.settings.kwargs);
        let options = ModelOptions { bf16, cuda, kwargs, ..ModelOptions::default() };
        let model = create_model(self.subject.variant.name, &options)?;
        let shape = self.shape(Mode::Infer)?;
        let Shape { batch, height, width, channels } = shape;
        let device = &self.settings.runtime.device;
        let images = Tensor::from_vec(noise(shape.len()), (batch, height, width, channels), device)?;
        self.profile(Mode::Infer, |recorder| {
            let started = Instant::now();
            model.forward_recorded(&images, recorder)?;
            Ok((started.elapsed(), model.recorded(recorder)?))
        })
    }

    fn train(&self) -> Result<Profile> {
        let variant = self.subject.variant;
        let architecture = variant
            .architecture(&Request { kwargs: self.settings.kwargs, ..Request::new(variant.num_classes, super::RGB) })?;
        let mut step = Step::new(variant, architecture, self.shape(Mode::Train)?, self.isa)?;
        let parameters = step.network.graph().param_count() as u64;
        self.profile(Mode::Train, |recorder| {
            let started = Instant::now();
            let others = step.network.record(std::mem::take(recorder));
            step.learn()?;
            let updating = Instant::now();
            step.update()?;
            let (elapsed, updating) = (started.elapsed(), updating.elapsed());
            *recorder = step.network.record(others);
            let mut ops = step.network.recorded(recorder)?;
            ops.push(OpProfile {
                name: "sgd".into(),
                kind: "optimiser".into(),
                shape: format!("{parameters} parameters"),
                calls: 1,
                time: updating,
                // Decay, momentum and the step; weight and momentum are read and written, so is the gradient.
                flops: 8 * parameters,
                spent_flops: 8 * parameters,
                is_bf16: false,
                bytes: 6 * 4 * parameters,
            });
            Ok((elapsed, ops))
        })
    }

    /// Runs batches, each with a recorder, and keeps the fastest. `batch` returns what it took and its ops. An
    /// interruption ends it after the first that counts.
    fn profile(
        &self,
        mode: Mode,
        mut batch: impl FnMut(&mut Recorder) -> Result<(Duration, Vec<OpProfile>)>,
    ) -> Result<Profile> {
        let interrupted = || self.interrupt.received().is_some();
        for _ in 0..self.settings.warmup {
            batch(&mut Recorder::default())?;
            if interrupted() {
                break;
            }
        }
        let (mut elapsed, mut ops) = batch(&mut Recorder::on())?;
        let mut batches = 1;
        while batches < self.settings.iters && !interrupted() {
            let next = batch(&mut Recorder::on())?;
            batches += 1;
            if next.0 < elapsed {
                (elapsed, ops) = next;
            }
        }
        let Shape { batch: batch_size, height: input_size, .. } = self.shape(mode)?;
        Ok(Profile { model: self.subject.variant.name, mode, input_size, batch_size, batches, elapsed, ops })
    }
}
