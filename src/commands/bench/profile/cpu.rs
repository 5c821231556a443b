//! Profiles of the CPU's ops.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::{Profile, Profiling};
use crate::commands::bench::RGB;
use crate::commands::bench::infer::noise;
use crate::commands::bench::step::Step;
use crate::config::Mode;
use crate::create::{ModelOptions, create_model};
use crate::models::Request;
use crate::nn::{OpProfile, Recorder};
use crate::ops::{Isa, Shape};

impl Profiling<'_> {
    pub fn on_cpu(&self, mode: Mode) -> Result<Profile> {
        if mode == Mode::Train { self.train() } else { self.infer() }
    }

    fn infer(&self) -> Result<Profile> {
        let bf16 = self.settings.runtime.dtype == DType::BF16;
        let kwargs = self.settings.kwargs;
        let options = ModelOptions { bf16, kwargs, ..ModelOptions::default() };
        let model = create_model(self.subject.variant.name, &options)?;
        let shape = self.shape(Mode::Infer)?;
        let Shape { batch, height, width, channels } = shape;
        let device = &self.settings.runtime.device;
        let images = Tensor::from_vec(noise(shape.len()), (batch, height, width, channels), device)?;
        self.fastest(Mode::Infer, |recorder| {
            let started = Instant::now();
            model.forward_recorded(&images, recorder)?;
            Ok((started.elapsed(), model.recorded(recorder)?))
        })
    }

    fn train(&self) -> Result<Profile> {
        let variant = self.subject.variant;
        let architecture = variant
            .architecture(&Request { kwargs: self.settings.kwargs, ..Request::new(variant.num_classes, RGB) })?;
        let isa = Isa::of(self.settings.runtime.dtype == DType::BF16);
        let mut step = Step::new(variant, architecture, self.shape(Mode::Train)?, isa)?;
        let parameters = step.network.graph().param_count() as u64;
        self.fastest(Mode::Train, |recorder| {
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
    fn fastest(
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
        self.profile(mode, batches, elapsed, ops)
    }
}
