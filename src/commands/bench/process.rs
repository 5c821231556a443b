//! What the process of a row is told.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use super::Bench;
use super::child::{self, End};
use crate::config::{BatchSize, Mode, Subject};

/// What a process is to measure.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub mode: Mode,
    /// [`BatchSize::Max`], on a GPU: how many images should fit is to be computed, and nothing measured.
    pub batch: BatchSize,
    pub warmup: usize,
    pub iters: usize,
    /// Where `load` and `e2e` find images.
    pub images: Option<&'a Path>,
}

impl Bench<'_> {
    /// Measures in a process that may take `limit` bytes.
    pub fn process(&self, subject: &Subject, step: Task<'_>, limit: Option<u64>) -> Result<End> {
        let side = subject.preprocessing.input_size as u64;
        let images = if let BatchSize::Images(images) = step.batch { images } else { 0 };
        let pixels = (images as u64).saturating_mul(side.saturating_mul(side)).saturating_mul(super::RGB as u64);
        // Where the images alone are too much, nobody needs to try.
        if matches!(step.mode, Mode::Infer | Mode::Train) && limit.is_some_and(|limit| pixels > limit) {
            return Ok(End::OutOfMemory);
        }
        // What is limited is the GPU's memory where it computes there, and that is not this system's to watch.
        let watched = limit.filter(|_| self.settings.runtime.cuda.is_none());
        Ok(match child::run(&self.line(subject, step), watched, self.interrupt)? {
            End::Measured(outcome) if outcome.out_of_memory => End::OutOfMemory,
            // What came and went between two glances at it counts too.
            End::Measured(outcome) if limit.is_some_and(|limit| outcome.peak_memory_bytes > Some(limit)) => {
                End::OutOfMemory
            }
            end => end,
        })
    }

    fn line(&self, subject: &Subject, step: Task<'_>) -> Vec<OsString> {
        let settings = self.settings;
        let mut line: Vec<OsString> = ["bench", "--alone", "--quiet"].map(Into::into).to_vec();
        let mut flag = |name: &str, value: &str| line.push(format!("--{name}={value}").into());
        flag("models", subject.variant.name);
        flag("modes", step.mode.name());
        flag("input-size", &subject.preprocessing.input_size.to_string());
        match step.batch {
            BatchSize::Images(images) => flag("batch-size", &images.to_string()),
            BatchSize::Max => flag("batch-size", "max"),
        }
        if let (BatchSize::Max, Some(limit)) = (step.batch, settings.memory_limit) {
            flag("memory-limit", &(limit as f64 / f64::from(1 << 30)).to_string());
        }
        flag("warmup", &step.warmup.to_string());
        flag("iters", &step.iters.to_string());
        flag("workers", &settings.workers.to_string());
        flag("device", &settings.runtime.device_name());
        flag("dtype", settings.runtime.dtype_name());
        settings.kwargs_words.iter().for_each(|word| flag("model-kwargs", word));
        if let Some(images) = step.images {
            let mut word = OsString::from("--val-dir=");
            word.push(images);
            line.push(word);
        }
        line
    }
}
