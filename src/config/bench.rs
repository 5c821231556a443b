//! The settings of a benchmark.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{RGB, as_usage, default_batch_size, model_kwargs, place, runtime, usage, variant, workers};
use crate::cli::{BenchArgs, BenchMode, TableFormat};
use crate::models::{self, ModelKwargs, Request, Variant, paper_models};
use crate::preprocessing::Preprocessing;
use crate::runtime::Runtime;

/// Everything that `tresnet bench` needs to know.
pub struct BenchSettings {
    pub subjects: Vec<Subject>,
    /// What else the networks are told, as typed and as meant.
    pub kwargs_words: Vec<String>,
    pub kwargs: ModelKwargs,
    pub modes: Vec<Mode>,
    pub batch_size: BatchSize,
    pub train_batch_size: BatchSize,
    /// Bytes that a process may take, on a GPU where it computes there, where somebody said so.
    pub memory_limit: Option<u64>,
    /// `None`: synthetic images.
    pub val_dir: Option<PathBuf>,
    pub workers: usize,
    /// Least number of unmeasured batches.
    pub warmup: usize,
    /// Measurements behind each figure, in each pass.
    pub iters: usize,
    /// Passes over all rows.
    pub repeats: usize,
    /// Ops to list of each profile, where profiles are asked for.
    pub profile: Option<usize>,
    pub format: TableFormat,
    pub results_file: Option<PathBuf>,
    pub compare: Option<PathBuf>,
    pub plot: Option<PathBuf>,
    /// Whether the paper's own figures stand beside.
    pub published: bool,
    pub runtime: Runtime,
    /// Whether this is the process of one row and mode.
    pub alone: bool,
}

/// Images in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    Images(usize),
    /// 90 % of the largest that fits.
    Max,
}

/// A row of the table to be.
#[derive(Clone, Copy)]
pub struct Subject {
    pub variant: &'static Variant,
    pub preprocessing: Preprocessing,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The network alone.
    Infer,
    /// Decoding and preprocessing alone.
    Load,
    /// From the file to the logits.
    EndToEnd,
    /// A training step.
    Train,
}

impl Mode {
    /// As `--modes` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::Load => "load",
            Self::EndToEnd => "e2e",
            Self::Train => "train",
        }
    }
}

impl BenchSettings {
    /// Fills in what the command line leaves out.
    ///
    /// # Errors
    /// Usage errors: an unknown model or group, a batch size or memory limit that cannot be, values that contradict
    /// each other.
    pub fn resolve(args: BenchArgs) -> Result<Self> {
        let runtime = runtime(&args.runtime)?;
        let mut subjects: Vec<Subject> = Vec::new();
        for name in &args.models {
            for variant in named(name)? {
                let input_size = args.input_size.unwrap_or(variant.input_size);
                // The same row under two names is one row.
                if !subjects.iter().any(|subject| subject.variant.name == variant.name) {
                    let preprocessing = variant.preprocessing(variant.preset, input_size);
                    subjects.push(Subject { variant, preprocessing });
                }
            }
        }
        let batch_size = batch_size("--batch-size", &args.batch_size, &runtime)?;
        let train_batch_size = match &args.train_batch_size {
            Some(text) => self::batch_size("--train-batch-size", text, &runtime)?,
            None => batch_size,
        };
        let searches = args.memory_limit.is_some() || [batch_size, train_batch_size].contains(&BatchSize::Max);
        if searches && runtime.cuda.is_none() && cfg!(not(target_os = "linux")) {
            return usage("the largest batch and --memory-limit need Linux's accounts of memory: give a number");
        }
        let kwargs = model_kwargs(&args.model_kwargs)?;
        if let [only] = &subjects[..] {
            // Of several, those that do not heed them say so in their rows.
            let request = Request { kwargs, ..Request::new(only.variant.num_classes, RGB) };
            as_usage(only.variant.architecture(&request).context("--model-kwargs"))?;
        }
        let modes = modes(&args.modes);
        if let (Some(plot), Some(kept)) = (&args.results.plot, &args.results.results_file)
            && place(plot) == place(kept)
        {
            return usage("--plot and --results-file name the same file: give each its own");
        }
        if args.profile.is_some() {
            let results = &args.results;
            let kept = results.results_file.is_some() || results.compare.is_some() || results.plot.is_some();
            suits_a_profile(&modes, [batch_size, train_batch_size], kept)?;
        }
        Ok(Self {
            subjects,
            kwargs,
            kwargs_words: args.model_kwargs,
            modes,
            batch_size,
            train_batch_size,
            memory_limit: args.memory_limit.map(bytes).transpose()?,
            val_dir: args.val_dir,
            workers: workers(args.workers)?,
            warmup: args.warmup,
            iters: args.iters,
            repeats: args.repeats,
            profile: args.profile,
            format: args.format,
            results_file: args.results.results_file,
            compare: args.results.compare,
            plot: args.results.plot,
            published: args.results.published,
            runtime,
            alone: args.alone,
        })
    }
}

/// The models of a group, or the one of this name.
fn named(name: &str) -> Result<Vec<&'static Variant>> {
    let group: Vec<_> = match name {
        // arXiv 2003.13630, tables 1 and 2.
        "paper" => paper_models().map(variant).collect::<Result<_>>()?,
        // Aliases of a network at another size or of a checkpoint are no rows of their own.
        "tresnet" | "resnet" => models::variants()
            .filter(|variant| variant.family().starts_with(name) && !variant.name.contains(['.']))
            .filter(|variant| !variant.name.ends_with("_448"))
            .collect(),
        _ => Vec::new(),
    };
    if group.is_empty() { Ok(vec![variant(name)?]) } else { Ok(group) }
}

/// Each mode once, in the order in which they were named.
fn modes(flags: &[BenchMode]) -> Vec<Mode> {
    let meant = |flag: &BenchMode| match flag {
        BenchMode::Infer => &[Mode::Infer][..],
        BenchMode::Load => &[Mode::Load],
        BenchMode::E2e => &[Mode::EndToEnd],
        BenchMode::Train => &[Mode::Train],
        BenchMode::Both => &[Mode::Infer, Mode::Train],
    };
    let mut modes = Vec::new();
    for &mode in flags.iter().flat_map(meant) {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes
}

/// A profile is of the network's ops, and no speed to be kept.
fn suits_a_profile(modes: &[Mode], batches: [BatchSize; 2], kept: bool) -> Result<()> {
    if modes.iter().any(|mode| matches!(mode, Mode::Load | Mode::EndToEnd)) {
        return usage("--profile is of the network alone: give --modes infer, train or both of them");
    }
    if batches.contains(&BatchSize::Max) {
        return usage("--profile takes no --batch-size max: give a number of images");
    }
    match kept {
        true => usage("--profile measures no rows: leave --results-file, --compare and --plot out"),
        false => Ok(()),
    }
}

/// Beyond this, sizes of batches are mistakes.
const MOST_IMAGES: usize = 1 << 20;

fn batch_size(flag: &str, text: &str, runtime: &Runtime) -> Result<BatchSize> {
    match text {
        "auto" => Ok(BatchSize::Images(default_batch_size(runtime))),
        "max" => Ok(BatchSize::Max),
        _ => match text.parse() {
            Ok(images @ 1..=MOST_IMAGES) => Ok(BatchSize::Images(images)),
            _ => usage(format!("{flag} {text}: give a number of images from 1 to {MOST_IMAGES}, auto or max")),
        },
    }
}

/// Bytes of so many GiB.
fn bytes(gib: f64) -> Result<u64> {
    if !(gib > 0.0 && gib <= f64::from(1 << 20)) {
        return usage(format!("--memory-limit {gib}: give a number of GiB above 0"));
    }
    Ok((gib * f64::from(1 << 30)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command, UsageError};

    fn resolved(flags: &str) -> Result<BenchSettings> {
        let line = format!("tresnet bench {flags}");
        let parsed = cli::parse(line.split_whitespace().map(Into::into))?;
        let Command::Bench(args) = parsed.command else { unreachable!("the line says bench") };
        BenchSettings::resolve(*args)
    }

    #[test]
    fn groups_and_names_become_rows_once_each() {
        let settings = resolved("--models tresnet,tresnet_m,resnet20 --input-size 160 --modes load,e2e").unwrap();
        let names: Vec<_> = settings.subjects.iter().map(|subject| subject.variant.name).collect();
        assert_eq!(names, ["tresnet_m", "tresnet_l", "tresnet_xl", "tresnet_v2_l", "resnet20"]);
        assert!(settings.subjects.iter().all(|subject| subject.preprocessing.input_size == 160));
        assert_eq!(settings.modes, [Mode::Load, Mode::EndToEnd]);
    }

    #[test]
    fn the_papers_rows_are_nine_in_its_order() {
        let settings = resolved("--models paper --bench both,infer").unwrap();
        let names: Vec<_> = settings.subjects.iter().map(|subject| subject.variant.name).collect();
        assert_eq!((names.len(), names[0], names[8]), (9, "resnet50", "tresnet_xl"));
        assert_eq!(settings.modes, [Mode::Infer, Mode::Train]);
    }

    #[test]
    fn training_has_a_batch_of_its_own_or_the_others() {
        let sizes = |flags: &str| {
            let settings = resolved(flags).unwrap();
            (settings.batch_size, settings.train_batch_size)
        };
        assert_eq!(sizes(""), (BatchSize::Images(32), BatchSize::Images(32)));
        assert_eq!(sizes("-b 8"), (BatchSize::Images(8), BatchSize::Images(8)));
        assert_eq!(sizes("-b 8 --train-batch-size 16"), (BatchSize::Images(8), BatchSize::Images(16)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told_in_gib_and_the_largest_batch_by_name() {
        let settings = resolved("--batch-size max --memory-limit 0.5").unwrap();
        assert_eq!((settings.batch_size, settings.memory_limit), (BatchSize::Max, Some(1 << 29)));
    }

    #[test]
    fn what_cannot_be_is_wrong_usage() {
        for flags in [
            "--batch-size most",
            "--batch-size 0",
            "--train-batch-size 9999999",
            "--memory-limit 0",
            "--memory-limit=-1",
            "--memory-limit nan",
            "--plot a.json --results-file ./a.json",
            "--models resnetty",
            "--models resnet50 --model-kwargs width=2",
            "--models resnet20 --model-kwargs width",
        ] {
            let error = resolved(flags).err().unwrap();
            assert!(error.is::<UsageError>(), "{flags}: {error}");
        }
    }
}
