//! The settings of a training run: flags, a file's settings and defaults become one answer.

mod augmentation;
mod learning;
mod model;
mod output;
mod recipe;
mod record;
mod settings;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use anyhow::Result;

use super::{as_usage, runtime, split, usage, workers};
use crate::cli::{DataArgs, Meaning, TrainArgs};
use crate::data::Split;
use crate::runtime::{DtypeRequest, Runtime};

pub use settings::{
    AugmentationSettings, DataSettings, EmaSettings, EvalMetric, InitialWeights, ModelSettings, OptimizationSettings,
    OutputSettings, Resume, StartSettings, TrainSettings,
};

impl TrainSettings {
    /// Reads the `-c` file, if there is one, and decides everything that can be decided before data or weights are
    /// read.
    ///
    /// # Errors
    ///
    /// Usage errors: an unknown name, a file of settings or a split that is not there, values that are out of range or
    /// contradict each other.
    pub fn resolve(args: TrainArgs) -> Result<Self> {
        let mut warnings = foreign(&args)?;
        let args = recipe::apply(args, &mut warnings)?;
        let runtime = half_or_full(&args)?;
        let model = model::resolve(&args.model, &mut warnings)?;
        let evaluation = model::preprocessing(&args.model, model.variant)?;
        let augmentation = augmentation::resolve(&args.augmentation, &evaluation, &mut warnings)?;
        let data = data(&args, augmentation.mixing.is_some())?;
        let criterion = learning::criterion(&args.loss, data.aug_splits, &mut warnings)?;
        let optimization = learning::optimization(&args, &data, &model, &mut warnings)?;
        let output = output::resolve(&args.output)?;
        let schedule = learning::schedule(&args.schedule, output.eval_metric, args.start.seed, optimization.lr)?;
        let start = output::start(&args, &schedule, optimization.lr)?;
        let ema = learning::ema(&args.optimizer, &mut warnings)?;
        let record = record::record(&args, &evaluation, &data, optimization.lr)?;
        Ok(Self {
            model,
            data,
            evaluation,
            augmentation,
            criterion,
            smoothing: args.loss.smoothing,
            optimization,
            schedule,
            ema,
            amp: runtime.dtype != candle_core::DType::F32,
            runtime,
            seed: args.start.seed,
            deterministic: args.start.deterministic,
            output,
            start,
            record,
            warnings,
        })
    }
}

/// A warning that names every flag that does nothing, or the refusal of one that would do something.
fn foreign(args: &TrainArgs) -> Result<Vec<String>> {
    let mut ignored = Vec::new();
    for (foreign, values) in &args.foreign.0 {
        if let Some(refusal) = foreign.refusal(values) {
            return usage(refusal);
        }
        if let Meaning::Nothing(why) = foreign.meaning {
            ignored.push(format!("--{} ({why})", foreign.flag));
        }
    }
    let warning = format!("without a meaning here and ignored: {}", ignored.join(", "));
    Ok(if ignored.is_empty() { Vec::new() } else { vec![warning] })
}

/// `--device`, `--dtype`, `--amp` and `--amp-dtype` together.
fn half_or_full(args: &TrainArgs) -> Result<Runtime> {
    let mut chosen = args.runtime.clone();
    let half = as_usage(DtypeRequest::from_str(&args.amp_dtype))
        .or_else(|_| usage(format!("--amp-dtype {}: use auto, bfloat16 or float16", args.amp_dtype)))?;
    if !chosen.amp || half == DtypeRequest::Auto {
        return runtime(&chosen);
    }
    let asked = as_usage(DtypeRequest::from_str(&chosen.dtype))?;
    if half == DtypeRequest::F32 {
        return usage("--amp means a half type and --amp-dtype float32 none: leave one of them out");
    }
    if asked != DtypeRequest::Auto && asked != half {
        return usage(format!("--dtype {asked} and --amp-dtype {half} exclude each other: leave one of them out"));
    }
    chosen.dtype.clone_from(&args.amp_dtype);
    runtime(&chosen).or_else(|error| match error.to_string() {
        reason if reason.starts_with("--dtype") => usage(format!("--amp-dtype {} means {reason}", args.amp_dtype)),
        _ => Err(error),
    })
}

fn data(args: &TrainArgs, mixes: bool) -> Result<DataSettings> {
    let DataArgs { batch_size, .. } = args.data;
    let Some(dir) = args.data.data_dir.as_ref().or(args.data.data.as_ref()) else {
        return usage("no data: give the data set's folder or training list, as in `tresnet train /data/imagenet`");
    };
    if mixes && batch_size % 2 == 1 {
        return usage(format!("--batch-size {batch_size}: mixup and cutmix mix images in pairs; give an even number"));
    }
    let aug_splits = match args.augmentation.aug_splits {
        0 => 1,
        1 => return usage("--aug-splits 1: one copy is none; give 0, or at least 2"),
        _ if mixes => return usage("--aug-splits does not go with --mixup or --cutmix: leave one of them out"),
        splits => splits,
    };
    let repeats = args.augmentation.aug_repeats;
    if !(0.0..=1e3).contains(&repeats) || repeats.fract() != 0.0 {
        return usage(format!("--aug-repeats {repeats}: give a whole number of times, such as 3"));
    }
    Ok(DataSettings {
        train: split(dir, Split::Train, "--train-split", &args.data.train_split)?,
        val: split(dir, Split::Val, "--val-split", &args.data.val_split)?,
        class_map: args.data.class_map.clone(),
        workers: workers(args.data.workers)?,
        batch_size,
        validation_batch_size: args.data.validation_batch_size.unwrap_or(batch_size),
        grad_accum_steps: args.data.grad_accum_steps,
        aug_repeats: (repeats as usize).max(1),
        aug_splits,
    })
}
