//! Which images are read, and how they are batched.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::at_least_one;

/// Which images are read, and how they are batched.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// The data set: a folder with the splits' folders or tars (train, val; train.tar, x-val.tar), or with the binary
    /// files of CIFAR-10 or CIFAR-100
    #[arg(value_name = "DATA_DIR")]
    #[serde(skip)]
    pub data: Option<PathBuf>,
    /// The data set, as DATA_DIR; where both are given, this one counts
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Name of the training split; train and training stand for each other
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub train_split: String,
    /// Name of the validation split; val, valid, validation, eval and evaluation stand for each other
    #[arg(long, value_name = "NAME", default_value = "validation")]
    pub val_split: String,
    /// Text file that names the class folders in the order of the network's outputs, one a line
    #[arg(long, value_name = "FILE")]
    pub class_map: Option<PathBuf>,
    /// Images in a training batch; an incomplete last one is left out
    #[arg(short, long, value_name = "N", default_value_t = 128, value_parser = at_least_one)]
    pub batch_size: usize,
    /// Images in a validation batch; also -vb [default: --batch-size]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub validation_batch_size: Option<usize>,
    /// Batches whose gradients are averaged for one step of the optimizer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub grad_accum_steps: usize,
    /// Threads that decode and augment beside the network [default: one a core]
    #[arg(short = 'j', long, visible_alias = "num-workers", value_name = "N")]
    pub workers: Option<usize>,
}
