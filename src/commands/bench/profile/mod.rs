//! `tresnet bench --profile`: where a batch's time goes, op by op, beside what this machine, or a GPU, could do.

mod cpu;
mod device;
mod lines;
mod print;
mod yardstick;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::yardstick::Yardstick;
use crate::commands::Status;
use crate::config::{BatchSize, BenchSettings, Mode, Subject};
use crate::interrupt::Interrupt;
use crate::nn::OpProfile;
use crate::ops::Shape;
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
    let yardstick = Yardstick::measure(settings)?;
    let mut profiles = Vec::new();
    for subject in &settings.subjects {
        for &mode in &settings.modes {
            let profiling = Profiling { settings, subject, interrupt };
            let profile = match settings.runtime.cuda {
                Some(number) => profiling.on_device(mode, number),
                None => profiling.on_cpu(mode),
            };
            let profile = profile.with_context(|| format!("cannot profile {}", subject.variant.name))?;
            if !quiet {
                report::remark(&format!("{}: {} profiled", profile.model, mode.name()));
            }
            profiles.push(profile);
            if let Some(signal) = interrupt.received() {
                report::print(&print::text(settings, &yardstick, &profiles, top)?)?;
                return Ok(Status::Stopped(signal));
            }
        }
    }
    report::print(&print::text(settings, &yardstick, &profiles, top)?)?;
    Ok(Status::Done)
}

/// One model.
struct Profiling<'a> {
    settings: &'a BenchSettings,
    subject: &'a Subject,
    interrupt: &'a Interrupt,
}

impl Profiling<'_> {
    fn shape(&self, mode: Mode) -> Result<Shape> {
        let side = self.subject.preprocessing.input_size;
        let asked = if mode == Mode::Train { self.settings.train_batch_size } else { self.settings.batch_size };
        let BatchSize::Images(batch) = asked else { bail!("--profile takes a number of images as --batch-size") };
        Ok(Shape::new(batch, side, side, super::RGB))
    }

    fn profile(&self, mode: Mode, batches: usize, elapsed: Duration, ops: Vec<OpProfile>) -> Result<Profile> {
        let Shape { batch: batch_size, height: input_size, .. } = self.shape(mode)?;
        Ok(Profile { model: self.subject.variant.name, mode, input_size, batch_size, batches, elapsed, ops })
    }
}
