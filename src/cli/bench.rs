//! The flags of `tresnet bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{RuntimeArgs, TableFormat, at_least_one};

/// Prints throughput tables: images per second of the network, of loading, of both together, and of training.
///
/// Weights are random: speed does not depend on them, and no checkpoint is needed. After a warm-up each figure is the
/// median of several measurements, with the smallest, the largest and their number.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Names of models, or groups: paper (the rows of the TResNet paper's tables), tresnet, resnet; comma between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "tresnet")]
    pub models: Vec<String>,
    /// What to measure; comma between. load is decoding and preprocessing alone, e2e all of it
    #[arg(long, value_name = "MODES", value_delimiter = ',', default_value = "infer")]
    pub modes: Vec<BenchMode>,
    /// Images in a batch: N, auto (32 on the CPU), or max (the largest that fits; not built yet)
    #[arg(short, long, value_name = "N", default_value = "auto")]
    pub batch_size: String,
    /// Side of the square input in pixels [default: each model's]
    #[arg(long, visible_alias = "img-size", value_name = "N", value_parser = at_least_one)]
    pub input_size: Option<usize>,
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
    /// Measurements behind each figure, each of one batch
    #[arg(long, visible_alias = "num-bench-iter", value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub iters: usize,
    /// Instead of speeds: where a batch's time goes, by kinds of ops and by the N longest, beside the machine's limits,
    /// which are measured first. With the modes infer and train
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", require_equals = true, value_parser = at_least_one)]
    pub profile: Option<usize>,
    /// Memory of the device to plan for, with --batch-size max
    #[arg(long, value_name = "GIB")]
    pub memory_limit: Option<f64>,
    /// Form of the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableFormat,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// What a benchmark times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    /// The network alone, in evaluation
    Infer,
    /// Decoding and preprocessing alone
    Load,
    /// From the file to the logits
    E2e,
    /// A training step: forward, backward and SGD
    Train,
}
