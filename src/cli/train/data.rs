//! Which images are read, and how they are batched.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::at_least_one;

/// Which images are read, and how they are batched.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// The data set: a folder with the splits, each a folder of class folders (train, val), a tar of one (train.tar,
    /// x-val.tar) or a CSV list of path and label (train.csv, val.csv); or CIFAR-10, CIFAR-100, Stanford Cars or Oxford
    /// Flowers-102 as distributed; or the training list itself
    ///
    /// A list's paths begin in its folder. Its labels are numbers from 0 where all are, else names of classes, numbered
    /// in byte order. A header is optional: it names the columns (path and label, filename and class, and the like), of
    /// which there may then be more. CIFAR may lie as its binary archive or unpacked; Stanford Cars with its .mat files
    /// in devkit or beside cars_train and cars_test (or car_ims); Flowers with imagelabels.mat and setid.mat beside jpg.
    #[arg(value_name = "DATA_DIR")]
    #[serde(skip)]
    pub data: Option<PathBuf>,
    /// The data set, as DATA_DIR; where both are given, this one counts
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Name of the training split, or a tar or list in the folder; train and training stand for each other. Flowers has
    /// train+val too
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub train_split: String,
    /// Name of the validation split, or a tar or list in the folder; val, valid, validation, eval and evaluation stand
    /// for each other. CIFAR and Cars have test for it, Flowers both
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
