//! The flags of `tresnet train`: timm's `train.py`, by its names and with its defaults.
//!
//! A field is named as timm's argument, for it names the setting in the recorded settings and in a `-c` file as well.

mod augmentation;
mod data;
mod foreign;
mod learning;
mod model;
mod output;
mod recipe;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::RuntimeArgs;

pub use augmentation::{AugmentationArgs, CropModeFlag, MixupModeFlag, RemodeFlag, TrainInterpolationFlag};
pub use data::DataArgs;
pub use foreign::{Foreign, ForeignArgs, Meaning};
pub use learning::{ClipModeFlag, LossArgs, LrScaleFlag, OptimizerArgs, ScheduleArgs};
pub use model::{AbnFlag, ModelArgs};
pub use output::{EvalMetricFlag, LogFlag, OutputArgs, StartArgs};
pub use recipe::Setting;

/// Trains a network: timm's trainer, with its flags, its defaults and its arithmetic.
///
/// Writes to `<output>/<experiment>/`: the settings as a file that -c accepts again, summary.csv, steps.jsonl, the last
/// weights and the best ones under timm's names, and all that --resume needs. timm's recipes of 2020 mean other
/// things under today's defaults: configs/ holds both.
#[derive(Args, Clone, Debug, Serialize)]
pub struct TrainArgs {
    /// Settings in YAML by timm's names, such as the args.yaml of a run, timm's too. They take the place of the
    /// defaults; flags win. `extends: FILE` in it names another one to start from
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimizer: OptimizerArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub schedule: ScheduleArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub augmentation: AugmentationArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub loss: LossArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub start: StartArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub runtime: RuntimeArgs,
    /// Half type of --amp: auto, bfloat16 or float16
    #[arg(long, value_name = "TYPE", default_value = "auto", help_heading = "Device")]
    pub amp_dtype: String,

    #[command(flatten)]
    #[serde(skip)]
    pub foreign: ForeignArgs,
    /// The command line itself, to be read once more over a file's settings.
    #[arg(skip)]
    #[serde(skip)]
    line: Vec<OsString>,
}

impl TrainArgs {
    /// Keeps the command line that these arguments come from.
    pub(super) fn remember(&mut self, line: Vec<OsString>) {
        self.line = line;
    }
}
