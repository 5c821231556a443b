//! The settings of a benchmark.

use std::path::PathBuf;

use anyhow::Result;

use super::{CPU_BATCH_SIZE, runtime, usage, variant, workers};
use crate::cli::{BenchArgs, BenchMode, TableFormat};
use crate::models::{self, Variant};
use crate::preprocessing::Preprocessing;
use crate::runtime::Runtime;

/// Everything that `tresnet bench` needs to know.
pub struct BenchSettings {
    pub subjects: Vec<Subject>,
    pub modes: Vec<Mode>,
    pub batch_size: usize,
    /// `None`: synthetic images.
    pub val_dir: Option<PathBuf>,
    pub workers: usize,
    /// Least number of unmeasured batches.
    pub warmup: usize,
    /// Measurements behind each figure.
    pub iters: usize,
    /// Ops to list of each profile, where profiles are asked for.
    pub profile: Option<usize>,
    pub format: TableFormat,
    pub runtime: Runtime,
}

/// A row of the table to be.
#[derive(Clone, Copy)]
pub struct Subject {
    pub variant: &'static Variant,
    pub preprocessing: Preprocessing,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Usage errors: an unknown model or group, a mode or batch size that this version does not have.
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
        if args.memory_limit.is_some() {
            return usage("--memory-limit goes with --batch-size max, which this version does not have; leave it out");
        }
        Ok(Self {
            subjects,
            modes: args.modes.iter().map(mode).collect(),
            batch_size: batch_size(&args.batch_size)?,
            val_dir: args.val_dir,
            workers: workers(args.workers)?,
            warmup: args.warmup,
            iters: args.iters,
            profile: profile(args.profile, &args.modes, runtime.cuda)?,
            format: args.format,
            runtime,
        })
    }
}

/// A profile is of the network's ops on the CPU.
fn profile(ops: Option<usize>, modes: &[BenchMode], cuda: Option<usize>) -> Result<Option<usize>> {
    if ops.is_some() && modes.iter().any(|mode| matches!(mode, BenchMode::Load | BenchMode::E2e)) {
        return usage("--profile is of the network alone: give --modes infer, train or both of them");
    }
    if ops.is_some() && cuda.is_some() {
        return usage("--profile is of the CPU's ops: give --device cpu");
    }
    Ok(ops)
}

/// The rows of the paper's tables of speed and accuracy (arXiv 2003.13630, tables 1, 2 and 8).
const PAPER: &[&str] = &[
    "resnet50",
    "resnet50d",
    "resnext50_32x4d",
    "seresnext50_32x4d",
    "efficientnet_b1",
    "mixnet_l",
    "tresnet_m",
    "tresnet_l",
    "tresnet_xl",
];

/// The models of a group, or the one of this name.
fn named(name: &str) -> Result<Vec<&'static Variant>> {
    let group: Vec<_> = match name {
        "paper" => models::variants().filter(|variant| PAPER.contains(&variant.name)).collect(),
        // Aliases of a network at another size or of a checkpoint are no rows of their own.
        "tresnet" | "resnet" => models::variants()
            .filter(|variant| variant.family().starts_with(name) && !variant.name.contains(['.']))
            .filter(|variant| !variant.name.ends_with("_448"))
            .collect(),
        _ => Vec::new(),
    };
    if group.is_empty() { Ok(vec![variant(name)?]) } else { Ok(group) }
}

fn mode(flag: &BenchMode) -> Mode {
    match flag {
        BenchMode::Infer => Mode::Infer,
        BenchMode::Load => Mode::Load,
        BenchMode::E2e => Mode::EndToEnd,
        BenchMode::Train => Mode::Train,
    }
}

fn batch_size(text: &str) -> Result<usize> {
    match text {
        "auto" => Ok(CPU_BATCH_SIZE),
        "max" => usage("--batch-size max: this version does not search the largest batch yet; use auto or a number"),
        _ => match text.parse() {
            Ok(0) | Err(_) => usage(format!("--batch-size {text}: give a number of images, at least 1, or auto")),
            Ok(images) => Ok(images),
        },
    }
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
    fn what_is_not_built_yet_says_so_and_is_wrong_usage() {
        for flags in ["--batch-size max", "--batch-size 0", "--memory-limit 4", "--models resnetty"] {
            let error = resolved(flags).err().unwrap();
            assert!(error.is::<UsageError>(), "{flags}: {error}");
        }
    }
}
