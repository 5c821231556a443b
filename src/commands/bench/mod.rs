//! `tresnet bench`: rows are models, columns are speeds, and every figure is a median with its spread.

mod end_to_end;
mod images;
mod infer;
mod load;
mod measure;
mod memory;
mod profile;
mod row;
mod step;
mod synthetic;
mod train;

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::DType;
use serde_json::json;

use self::measure::Figure;
use self::row::Row;
use super::Status;
use crate::cli::{BenchArgs, TableFormat};
use crate::config::{BenchSettings, Mode, Subject};
use crate::create::{ModelOptions, create_model};
use crate::data::source::{self, Source};
use crate::interrupt::Interrupt;
use crate::models::{Model, Request};
use crate::report;

pub fn run(args: BenchArgs, quiet: bool) -> Result<Status> {
    let settings = BenchSettings::resolve(args)?;
    let interrupt = Interrupt::listen()?;
    let bench = Bench { settings: &settings, interrupt: &interrupt, quiet };
    bench.say(&settings.runtime.to_string());
    if let Some(top) = settings.profile {
        return profile::run(&settings, top, &interrupt, quiet);
    }
    // Kept to the end: dropping it removes the synthetic images.
    let images = bench.images()?;
    let mut rows = Vec::new();
    for subject in &settings.subjects {
        rows.push(bench.row(subject, images.as_ref().map(|images| &images.source))?);
        if interrupt.received().is_some() {
            break;
        }
    }
    let table = row::table(&rows);
    let object = |rows| {
        let settings = &settings;
        json!({
            "device": settings.runtime.device_name(),
            "dtype": settings.runtime.dtype_name(),
            "versions": { "tresnet": env!("CARGO_PKG_VERSION"), "rust_target": std::env::consts::ARCH },
            "cores": crate::runtime::available_cores(),
            "rows": rows,
        })
    };
    let mut text = table.render(settings.format, object)?;
    if matches!(settings.format, TableFormat::Table | TableFormat::Md) {
        text += &row::verdicts(&rows);
    }
    report::print(&text)?;
    Ok(interrupt.received().map_or(Status::Done, Status::Stopped))
}

/// Channels of a decoded image.
const RGB: usize = 3;

/// One run of the command.
struct Bench<'a> {
    settings: &'a BenchSettings,
    interrupt: &'a Interrupt,
    quiet: bool,
}

/// The images that `load` and `e2e` read.
struct Images {
    source: Arc<Source>,
    /// Where they lie, if they are of our making.
    _made: Option<synthetic::Folder>,
}

impl Bench<'_> {
    fn say(&self, line: &str) {
        if !self.quiet {
            report::remark(line);
        }
    }

    /// The images, where a mode needs them.
    fn images(&self) -> Result<Option<Images>> {
        if !self.settings.modes.iter().any(|mode| matches!(mode, Mode::Load | Mode::EndToEnd)) {
            return Ok(None);
        }
        if let Some(folder) = &self.settings.val_dir {
            return Ok(Some(Images { source: Arc::new(source::open(folder, None)?), _made: None }));
        }
        let made = synthetic::Folder::make().context("cannot make synthetic images; name some with --val-dir")?;
        self.say(&format!("images: {}", synthetic::WHAT));
        Ok(Some(Images { source: Arc::new(source::open(made.path(), None)?), _made: Some(made) }))
    }

    fn row(&self, subject: &Subject, images: Option<&Arc<Source>>) -> Result<Row> {
        let name = subject.variant.name;
        let peak = memory::Peak::start();
        let size = subject.preprocessing.input_size;
        let graph = subject.variant.architecture(&Request::new(subject.variant.num_classes, RGB))?.graph;
        let macs = graph.macs(size).with_context(|| format!("--input-size {size} does not suit {name}"))?;
        let mut row = Row::new(subject, self.settings, graph.param_count(), macs);
        // Neither loading nor training needs the network as evaluation lays it out.
        let evaluates = |mode: &Mode| matches!(mode, Mode::Infer | Mode::EndToEnd);
        let evaluates = self.settings.modes.iter().any(evaluates);
        let model = evaluates.then(|| self.model(subject)).transpose();
        let model = model.with_context(|| format!("cannot build {name}"))?;
        for mode in &self.settings.modes {
            if self.interrupt.received().is_some() {
                break;
            }
            let figure = match (mode, images, &model) {
                (Mode::Load, Some(source), _) => load::measure(self, subject, source)?,
                (Mode::EndToEnd, Some(source), Some(model)) => end_to_end::measure(self, subject, source, model)?,
                (Mode::Infer, _, Some(model)) => infer::measure(self, subject, model)?,
                _ => train::measure(self, subject)?,
            };
            self.say(&format!("{name}: {} {figure}", mode.name()));
            row.set(*mode, figure);
        }
        row.peak_memory_bytes = peak.bytes();
        Ok(row)
    }

    fn model(&self, subject: &Subject) -> Result<Model> {
        let bf16 = self.settings.runtime.dtype == DType::BF16;
        let cuda = self.settings.runtime.cuda;
        create_model(subject.variant.name, &ModelOptions { bf16, cuda, ..ModelOptions::default() })
    }

    /// Times `batch`, which returns how many images it was, in the manner that the settings ask for.
    fn time(&self, batch: impl FnMut() -> Result<usize>) -> Result<Figure> {
        let interrupted = || self.interrupt.received().is_some();
        measure::time(self.settings.warmup, self.settings.iters, interrupted, batch)
    }
}
