//! `tresnet bench`: rows are models, columns are speeds, and every figure is a median with its spread.
//!
//! This process measures nothing itself. It starts one of its own kind for each row, mode and pass ([`child`]), which
//! does ([`trial`]), so that each starts afresh and one that dies takes nobody with it.

mod batches;
mod child;
mod columns;
mod compare;
mod device_infer;
mod device_memory;
mod device_search;
mod device_step;
mod end_to_end;
mod free_memory;
mod history;
mod host;
mod images;
mod infer;
mod load;
mod measure;
mod memory;
mod plot;
mod process;
mod profile;
mod row;
mod search;
mod step;
mod synthetic;
mod train;
mod trial;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::child::End;
use self::compare::Comparison;
use self::process::Task;
use self::row::Row;
use super::Status;
use crate::cli::{BenchArgs, TableFormat};
use crate::config::{BatchSize, BenchSettings, Mode, Subject};
use crate::interrupt::Interrupt;
use crate::report::{self, Record};

/// Channels of a decoded image.
const RGB: usize = 3;

pub fn run(args: BenchArgs, quiet: bool) -> Result<Status> {
    let settings = BenchSettings::resolve(args)?;
    let interrupt = Interrupt::listen()?;
    if settings.alone {
        return trial::run(&settings, &interrupt).map(|()| Status::Done);
    }
    // What is wrong with a file is found out before anything is measured.
    let old = settings.compare.as_deref().map(history::read).transpose()?;
    settings.results_file.as_deref().map(history::check).transpose()?;
    plot::check(&settings)?;
    batches::check_limit(&settings)?;
    let bench = Bench { settings: &settings, interrupt: &interrupt, quiet };
    bench.say(&settings.runtime.to_string());
    if let Some(top) = settings.profile {
        return profile::run(&settings, top, &interrupt, quiet);
    }
    let rows = bench.rows()?;
    let run = |records: Vec<Record>| run_object(&settings, records);
    let table = columns::table(&rows, &settings);
    let processor = json!(host::processor());
    let comparison = old.map(|old| Comparison::new(&old, &columns::records(&rows, settings.published), &processor));
    let mut text = table.render(settings.format, |records| {
        let mut object = run(records);
        if let (Some(comparison), Value::Object(object)) = (&comparison, &mut object) {
            object.insert("comparison".into(), comparison.json());
        }
        object
    })?;
    let readable = matches!(settings.format, TableFormat::Table | TableFormat::Md);
    if readable {
        text += &row::verdicts(&rows);
    }
    match &comparison {
        Some(comparison) if readable => text += &format!("\n{}", comparison.text(settings.format)?),
        // CSV is one table.
        Some(comparison) if settings.format == TableFormat::Csv => {
            report::remark(&comparison.text(TableFormat::Table)?)
        }
        _ => {}
    }
    report::print(&text)?;
    // Each file is written whatever becomes of the other.
    let plotted = plot::write(&rows, &settings);
    if let Some(path) = &settings.results_file {
        history::append(path, run(columns::records(&rows, settings.published)))?;
        bench.say(&format!("added to {}", path.display()));
    }
    plotted?;
    bench.status(&rows)
}

/// One run of the command.
struct Bench<'a> {
    settings: &'a BenchSettings,
    interrupt: &'a Interrupt,
    quiet: bool,
}

impl Bench<'_> {
    fn say(&self, line: &str) {
        if !self.quiet {
            report::remark(line);
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.received().is_some()
    }

    /// All rows, in as many passes as were asked for. An interruption leaves out the rows that had not begun.
    fn rows(&self) -> Result<Vec<Row>> {
        // Kept to the end: dropping it removes the synthetic images.
        let made = self.synthetic_images()?;
        let images = self.settings.val_dir.as_deref().or(made.as_ref().map(synthetic::Folder::path));
        let mut rows: Vec<Row> =
            self.settings.subjects.iter().map(|subject| Row::new(subject, self.settings)).collect();
        for (row, reason) in rows.iter().filter_map(|row| Some((row, row.error()?))) {
            report::remark(&format!("{}: {reason}", row.model));
        }
        for pass in 1..=self.settings.repeats {
            if self.settings.repeats > 1 {
                self.say(&format!("pass {pass} of {}", self.settings.repeats));
            }
            for (row, subject) in rows.iter_mut().zip(&self.settings.subjects) {
                for &mode in &self.settings.modes {
                    if !self.is_interrupted() && !row.has_failed(mode) {
                        self.measure(row, subject, mode, images)?;
                    }
                }
            }
        }
        rows.retain(|row| !self.is_interrupted() || row.is_started());
        Ok(rows)
    }

    /// A pass of one row and mode, with the search for its batch before the first.
    fn measure(&self, row: &mut Row, subject: &Subject, mode: Mode, images: Option<&Path>) -> Result<()> {
        if !row.batches.contains_key(&mode) {
            match self.find_batch(row, subject, mode)? {
                Some(batch) => row.batches.insert(mode, batch),
                None => return Ok(()),
            };
        }
        let batch = row.batches[&mode];
        let limit = self.limit();
        let (warmup, iters) = (self.settings.warmup, self.settings.iters);
        let step = Task { mode, batch: BatchSize::Images(batch), warmup, iters, images };
        match self.process(subject, step, limit)? {
            End::Measured(outcome) => match outcome.error {
                Some(error) => self.fail(row, mode, error),
                None => {
                    row.add(mode, outcome);
                    let figure = row.figure(mode).map(|figure| figure.to_string()).unwrap_or_default();
                    self.say(&format!("{}: {} {figure}", row.model, mode.name()));
                }
            },
            End::OutOfMemory => {
                self.fail(row, mode, format!("out of memory at batch {batch}{}", batches::within(limit)))
            }
            // Whoever interrupted it knows.
            End::Failed(_) if self.is_interrupted() => {}
            End::Failed(reason) => self.fail(row, mode, reason),
        }
        Ok(())
    }

    fn fail(&self, row: &mut Row, mode: Mode, reason: String) {
        report::remark(&format!("{}: {}: {reason}", row.model, mode.name()));
        row.fail(Some(mode), reason);
    }

    /// Images of our own, where a mode reads some and nobody gave any.
    fn synthetic_images(&self) -> Result<Option<synthetic::Folder>> {
        let reads = |mode: &Mode| matches!(mode, Mode::Load | Mode::EndToEnd);
        if self.settings.val_dir.is_some() || !self.settings.modes.iter().any(reads) {
            return Ok(None);
        }
        let made = synthetic::Folder::make().context("cannot make synthetic images; name some with --val-dir")?;
        self.say(&format!("images: {}", synthetic::WHAT));
        Ok(Some(made))
    }

    /// How the run ended.
    fn status(&self, rows: &[Row]) -> Result<Status> {
        if let Some(signal) = self.interrupt.received() {
            return Ok(Status::Stopped(signal));
        }
        let failed = rows.iter().filter(|row| row.error().is_some()).count();
        ensure!(failed == 0 || rows.iter().any(Row::has_figures), "nothing could be measured; each row says why");
        Ok(if failed == 0 { Status::Done } else { Status::SomeFailed })
    }
}

/// The run for programs.
fn run_object(settings: &BenchSettings, rows: Vec<Record>) -> Value {
    json!({
        "date": report::utc(std::time::SystemTime::now()),
        "device": settings.runtime.device_name(),
        "dtype": settings.runtime.dtype_name(),
        "processor": host::processor(),
        "instructions": host::instructions(&settings.runtime),
        "cores": crate::runtime::available_cores(),
        "versions": { "tresnet": env!("CARGO_PKG_VERSION"), "rust_target": std::env::consts::ARCH },
        "memory_limit_bytes": settings.memory_limit,
        "warmup": settings.warmup,
        "iters": settings.iters,
        "repeats": settings.repeats,
        "rows": rows,
    })
}
