//! The flags of `tresnet bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{RuntimeArgs, TableFormat, at_least_one};

/// Prints throughput tables: images per second of the network, of loading, of both together, and of training.
///
/// Weights are random: speed does not depend on them, and no checkpoint is needed. After a warm-up each figure is the
/// median of several measurements, with the smallest, the largest and their number. Each row and mode runs in a process
/// of its own, so that one that fails or runs out of memory leaves its reason in its row and the others go on; the exit
/// status is then 3.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Names of models, or groups: paper (the rows of the TResNet paper's tables), tresnet, resnet; comma between
    #[arg(long, visible_alias = "model", value_name = "NAMES", value_delimiter = ',', default_value = "tresnet")]
    pub models: Vec<String>,
    /// What to measure; comma between. load is decoding and preprocessing alone, e2e all of it, both is infer,train
    #[arg(long, visible_alias = "bench", value_name = "MODES", value_delimiter = ',', default_value = "infer")]
    pub modes: Vec<BenchMode>,
    /// Images in a batch: N, auto (32 on the CPU, 256 on CUDA), or max: 90 % of the largest that fits, as the paper measured. On
    /// the CPU the search looks up to 1,024 images in evaluation, which goes through a batch in parts and hardly needs
    /// more memory for more, and up to 65,536 in training; on CUDA the batch is computed and then tried; load and e2e take
    /// auto
    #[arg(short, long, value_name = "N", default_value = "auto")]
    pub batch_size: String,
    /// Images in a batch of training: N, auto or max [default: as --batch-size]
    #[arg(long, value_name = "N")]
    pub train_batch_size: Option<String>,
    /// Memory that each process may take, on CUDA the GPU's. With the mode train it also asks for the largest training batch
    /// that fits [default: what the machine, or the control group, or the GPU has free]
    #[arg(long, value_name = "GIB")]
    pub memory_limit: Option<f64>,
    /// Side of the square input in pixels [default: each model's]
    #[arg(long, visible_alias = "img-size", value_name = "N", value_parser = at_least_one)]
    pub input_size: Option<usize>,
    /// What else the networks are told, as name=value: small_images, width, shortcut (A, B, C or conv); each family
    /// heeds some of them
    #[arg(long, value_name = "NAME=VALUE", num_args = 1.., value_delimiter = ',')]
    pub model_kwargs: Vec<String>,
    /// Folder of class folders, or a tar, for load and e2e [default: 256 synthetic JPEGs of 500x375]
    #[arg(long, value_name = "DIR")]
    pub val_dir: Option<PathBuf>,
    /// Threads that decode and resize [default: one a core]
    #[arg(short = 'j', long, visible_alias = "num-workers", value_name = "N")]
    pub workers: Option<usize>,
    /// Batches before the measurements, at least; warming up goes on until two batches in a row take times within
    /// 10 %, up to five times as many
    #[arg(long, visible_alias = "num-warm-iter", value_name = "N", default_value_t = 2)]
    pub warmup: usize,
    /// Measurements behind each figure, each of one batch, or in the mode load of eight
    #[arg(long, visible_alias = "num-bench-iter", value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub iters: usize,
    /// Passes over all rows, each with its own warm-up and measurements, so that the spread shows what changes with time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub repeats: usize,
    /// Instead of speeds: where a batch's time goes, by kinds of ops and by the N longest, beside the machine's limits,
    /// which are measured first. With the modes infer and train
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", require_equals = true, value_parser = at_least_one)]
    pub profile: Option<usize>,
    /// Form of the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableFormat,
    #[command(flatten)]
    pub results: BenchResultArgs,
    #[command(flatten)]
    pub runtime: RuntimeArgs,

    /// Measure the one row and mode in this very process: what the processes of the rows are started with
    #[arg(long, hide = true)]
    pub alone: bool,
}

/// What is kept, compared and drawn.
#[derive(Args, Debug)]
#[command(next_help_heading = "Results")]
pub struct BenchResultArgs {
    /// Add the run, with its date and what it ran on, to the runs in this file
    #[arg(long, value_name = "FILE.json")]
    pub results_file: Option<PathBuf>,
    /// Print each figure's ratio to the latest run in this file that has the row. A speed has moved where the ranges
    /// of both runs, of at least three measurements each, have nothing in common; a batch or memory from 5 % on
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Beside the rows of the TResNet paper its own figures: speeds and largest training batch on a V100 in mixed
    /// precision, top-1
    #[arg(long)]
    pub published: bool,
    /// Draw the published top-1 against the measured speeds, with --published also against the paper's
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// What a benchmark times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    /// The network alone, in evaluation
    #[value(alias = "inference")]
    Infer,
    /// Decoding and preprocessing alone
    Load,
    /// From the file to the logits
    E2e,
    /// A training step: forward, backward and SGD
    Train,
    /// infer and train
    Both,
}
