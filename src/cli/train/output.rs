//! Where a run begins, and what it writes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::at_least_one;

/// Where a run begins.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Run")]
pub struct StartArgs {
    /// Seed of everything random: weights, order, augmentation
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// On CUDA, take only kernels that give the same sums each time; the CPU always does
    #[arg(long)]
    pub deterministic: bool,
    /// Go on with an interrupted run: its state file, timm's .pth.tar, or `auto` for whatever --experiment's folder
    /// holds
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Go on with its weights, but with a new optimizer
    #[arg(long)]
    pub no_resume_opt: bool,
    /// First epoch [default: where the resumed run stopped, else 0]
    #[arg(long, value_name = "N")]
    pub start_epoch: Option<u64>,
}

/// What a run writes.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder of the experiments' folders
    #[arg(long, value_name = "DIR", default_value = "output/train")]
    pub output: PathBuf,
    /// Name of this one's folder [default: date, time, model and input size]
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Which metric of validation tells the best epoch
    #[arg(long, value_name = "METRIC", default_value = "top1")]
    pub eval_metric: EvalMetricFlag,
    /// Best epochs whose weights are kept
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub checkpoint_hist: usize,
    /// Steps from save to save of the run's state within an epoch; 0 is at its end alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub recovery_interval: u64,
    /// Epochs from validation to validation; the last epoch always has one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub val_interval: usize,
    /// Where the standard error is no terminal: steps from one line of progress to the next
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub log_interval: usize,
    /// Further records of the run: tensorboard
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub log: Vec<LogFlag>,
    /// Images of an augmented batch that TensorBoard is shown each epoch
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub sample_images: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EvalMetricFlag {
    Top1,
    Top5,
    Loss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFlag {
    Tensorboard,
}
