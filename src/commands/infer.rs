//! `tresnet infer`: a checkpoint and a folder of images become an accuracy.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::DType;

use super::{Status, element};
use crate::atomic_file::AtomicFile;
use crate::augment::evaluation::Evaluation as Transform;
use crate::checkpoint::Checkpoint;
use crate::cli::{InferArgs, UsageError};
use crate::config::{InferSettings, ResultSettings};
use crate::create::{ModelOptions, from_weights};
use crate::data::Skipped;
use crate::data::loader::{self, Loader, Statistics};
use crate::data::source::Source;
use crate::evaluate::{self, Evaluation, Outcome};
use crate::interrupt::Interrupt;
use crate::models::Model;
use crate::ops::squares;
use crate::report::{self, EvaluationReport, Predictions, Progress, SkippedImage, Timing};

pub fn run(args: InferArgs, quiet: bool) -> Result<Status> {
    let settings = InferSettings::resolve(args)?;
    let transform = Transform::new(&settings.preprocessing).map_err(|error| UsageError(error.to_string()))?;
    let interrupt = Interrupt::listen()?;
    if !quiet {
        report::remark(&settings.runtime.to_string());
    }
    // Whatever cannot be written is found before anything is computed.
    let mut outputs = Outputs::open(&settings.results)?;
    let source = Arc::new(settings.images.open(settings.class_map.as_deref())?);
    tracing::debug!("{}: {} images of {} classes", settings.val_dir.display(), source.len(), source.classes().len());
    let model = model(&settings)?;
    tracing::debug!("{}: its weights are laid out", settings.model_path.display());
    check_labels(&source, &model, &settings)?;
    let kept = outputs.begin(&model)?;

    let options = loader::Options {
        limit: Some(settings.limit.min(source.len())),
        ..loader::Options::new(settings.batch_size.min(source.len()), settings.workers)
    };
    let mut loader = match settings.decode {
        None => Loader::new(source.clone(), transform, options)?,
        Some(number) => {
            let squares = squares::load(number, settings.workers).context("--decode gpu")?;
            if !quiet {
                report::remark(&format!("decode: gpu (as asked: {})", squares.decoder()));
            }
            Loader::on_device(source.clone(), transform, squares, options)?
        }
    };
    let mut progress = Progress::start(loader.images(), settings.results.log_interval, quiet);
    for remark in source.remarks() {
        progress.say(&format!("note: {remark}"));
    }
    for image in source.skipped() {
        progress.say(&left_out(image));
    }
    let options = evaluate::Options {
        side: settings.preprocessing.input_size,
        mirror: settings.mirror,
        kept,
        device: settings.runtime.device.clone(),
    };
    let batches = loader.by_ref().inspect(|batch| tracing::trace!("loaded: {} images", batch.size));
    let mut judge = evaluate::judge(&model, options);
    let mut run = evaluate::evaluate(&mut *judge, batches, |outcome| {
        outputs.add(&source, outcome)?;
        for image in outcome.skipped {
            progress.say(&left_out(image));
        }
        progress.advance(outcome.done, outcome.counts);
        Ok(if interrupt.received().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    progress.finish();

    let failure = run.failure.take();
    if run.done == 0
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    // A signal that came with the last batch stopped nothing.
    let stopped = interrupt.received().filter(|_| run.done < loader.images());
    let run_ended_early = run.done < loader.images() && (stopped.is_some() || failure.is_some());
    let result = Finished { settings: &settings, model: &model, source: &source, run, loading: loader.statistics() };
    let report = result.report(loader.images(), run_ended_early);
    let written = outputs.finish(&report);
    // Before anything that a full disk may have said: what was computed is not lost with a file.
    report::print(&if settings.results.json { report.json()? } else { report.summary() })?;
    if let Some(failure) = failure {
        let counted = format!("after {} of {} images, whose counts stand", result.run.done, loader.images());
        return Err(failure.context(counted));
    }
    written?;
    match stopped {
        Some(signal) => {
            report::remark(&format!("{} after {} of {} images", signal.verb(), result.run.done, loader.images()));
            Ok(Status::Stopped(signal))
        }
        None if report.accuracy.images == 0 => {
            bail!("{}: none of its images could be read", settings.val_dir.display())
        }
        None if report.skipped.is_empty() => Ok(Status::Done),
        None => Ok(Status::SomeUnreadable),
    }
}

fn left_out(image: &Skipped) -> String {
    format!("warning: left out {image}")
}

fn model(settings: &InferSettings) -> Result<Model> {
    let shown = settings.model_path.display();
    let weights = Checkpoint::open(&settings.model_path)?.weights(settings.use_ema)?;
    tracing::debug!("{shown}: {} layout, {:?} classes", weights.layout(), weights.num_classes());
    if let (Some(wanted), Some(held)) = (settings.num_classes, weights.num_classes())
        && wanted != held
    {
        bail!("--num-classes {wanted}: the head of {shown} tells {held} classes apart; leave --num-classes out");
    }
    let options = ModelOptions {
        num_classes: settings.num_classes,
        kwargs: settings.kwargs,
        mean: Some(settings.preprocessing.mean),
        std: Some(settings.preprocessing.std),
        bf16: settings.runtime.dtype == DType::BF16,
        cuda: settings.runtime.cuda,
        cuda_element: element(settings.runtime.dtype),
        ..ModelOptions::default()
    };
    let model = from_weights(settings.variant, &weights, &options)?;
    ensure!(
        model.in_chans() == RGB,
        "{shown}: its network takes images of {} channels, and images are decoded to {RGB}",
        model.in_chans()
    );
    // The input size must suit the network; better said before the first batch.
    let size = settings.preprocessing.input_size;
    model.macs(size).with_context(|| format!("--input-size {size} does not suit {}", settings.variant.name))?;
    Ok(model)
}

/// Channels of a decoded image.
const RGB: usize = 3;

/// Labels that the network cannot answer are an error; answers that no label has are worth a remark.
fn check_labels(source: &Source, model: &Model, settings: &InferSettings) -> Result<()> {
    let (classes, outputs) = (source.classes().len(), model.num_classes());
    let folder = settings.val_dir.display();
    if classes > outputs {
        let checkpoint = settings.model_path.display();
        bail!(
            "{folder} has {classes} classes and the network of {checkpoint} {outputs}: give the checkpoint that was \
             trained on these classes, or --class-map"
        );
    }
    if classes < outputs && settings.class_map.is_none() {
        report::remark(&format!(
            "warning: {folder} has {classes} classes and the network {outputs}: labels count the folders that are \
             there; where some are missing, name all with --class-map"
        ));
    }
    Ok(())
}

/// The files that a run writes.
struct Outputs {
    predictions: Option<Predictions>,
    results: Option<(AtomicFile, PathBuf)>,
}

impl Outputs {
    fn open(settings: &ResultSettings) -> Result<Self> {
        let predictions = match &settings.predictions {
            Some(path) => Some(Predictions::create(path, settings.topk, settings.scores)?),
            None => None,
        };
        let results = match &settings.results_file {
            Some(path) => Some((AtomicFile::create(path)?, path.clone())),
            None => None,
        };
        Ok(Self { predictions, results })
    }

    /// How many best classes of each image are wanted.
    fn begin(&mut self, model: &Model) -> Result<usize> {
        self.predictions.as_mut().map_or(Ok(0), |file| file.begin(model.num_classes()))
    }

    fn add(&mut self, source: &Source, outcome: &Outcome<'_>) -> Result<()> {
        let Some(file) = &mut self.predictions else { return Ok(()) };
        let labelled = outcome.indices.iter().zip(outcome.labels);
        for ((&index, &label), verdict) in labelled.zip(outcome.verdicts) {
            let path = source.samples().get(index).map(|sample| sample.path.to_string_lossy()).unwrap_or_default();
            if let Err(error) = file.add(&path, label, verdict) {
                // A file that lacks rows is none.
                self.predictions = None;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Puts the files into their places, also after an interruption; each of them, whatever becomes of the other.
    fn finish(self, report: &EvaluationReport) -> Result<()> {
        let predictions = self.predictions.map_or(Ok(()), Predictions::commit);
        let results = self.results.map_or(Ok(()), |(file, path)| report.write(file, &path));
        predictions.and(results)
    }
}

/// Everything that the report is made from.
struct Finished<'a> {
    settings: &'a InferSettings,
    model: &'a Model,
    source: &'a Source,
    run: Evaluation,
    loading: Statistics,
}

impl Finished<'_> {
    fn timing(&self) -> Timing {
        let Self { settings, run, loading, .. } = self;
        let (busy, waited) = (loading.busy, loading.waited + run.waited);
        let timing = Timing::new(run.counts.images, run.elapsed, run.computing, busy, waited, settings.workers);
        match settings.decode {
            None => timing,
            Some(_) => timing.with_gpu_decoding(loading.on_device, loading.device),
        }
    }

    fn report(&self, dataset_images: usize, interrupted: bool) -> EvaluationReport {
        let Self { settings, model, source, run, .. } = self;
        let preprocessing = settings.preprocessing;
        let skipped = source.skipped().iter().chain(&run.skipped);
        EvaluationReport {
            model: settings.variant.name.to_owned(),
            accuracy: (&run.counts).into(),
            skipped: skipped.map(|s| SkippedImage { path: s.path.clone(), reason: s.reason.clone() }).collect(),
            input_size: preprocessing.input_size,
            crop_pct: preprocessing.crop_pct,
            resize_mode: preprocessing.resize_mode.to_string(),
            interpolation: preprocessing.interpolation.to_string(),
            mean: preprocessing.mean,
            std: preprocessing.std,
            device: settings.runtime.device_name(),
            dtype: settings.runtime.dtype_name().to_owned(),
            batch_size: settings.batch_size,
            param_count: model.param_count(),
            timing: self.timing(),
            interrupted,
            dataset_images,
            num_classes: model.num_classes(),
            preset: settings.preset.to_string(),
            tta: settings.mirror.then_some("hflip"),
            use_ema: settings.use_ema,
            val_dir: settings.val_dir.clone(),
            model_path: settings.model_path.clone(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
