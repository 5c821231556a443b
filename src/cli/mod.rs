//! What can be typed. The doc comments are the help; what the words mean is resolved in `config`, so that nothing below
//! it sees a flag.

mod bench;
mod infer;
mod spelling;
mod train;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

pub use bench::{BenchArgs, BenchMode, BenchResultArgs};
pub use infer::{
    DecodeFlag, InferArgs, InterpolationFlag, PreprocessingArgs, PresetFlag, ResizeModeFlag, ResultArgs, ScoresFlag,
    TtaFlag,
};
pub use train::{
    AbnFlag, AugmentationArgs, ClipModeFlag, CropModeFlag, DataArgs, EvalMetricFlag, Foreign, ForeignArgs, LogFlag,
    LossArgs, LrScaleFlag, Meaning, MixupModeFlag, ModelArgs, OptimizerArgs, OutputArgs, RemodeFlag, ScheduleArgs,
    Setting, StartArgs, TrainArgs, TrainInterpolationFlag,
};

/// Evaluates, trains and measures image classifiers: TResNet and its peers.
///
/// Results go to the standard output, everything else to the standard error. Long flags are also accepted with
/// underscores (`--val_dir`).
///
/// Exit status: 0 done; 1 failed; 2 wrong usage; 3 done, but some inputs were unreadable or some rows of a benchmark
/// failed, and are listed; 130 interrupted and 143 terminated, after what was counted so far has been written.
#[derive(Debug, Parser)]
// A flag given again replaces what it was, as with argparse, so that a script can append to a line of flags.
#[command(name = "tresnet", version, max_term_width = 110, propagate_version = true, args_override_self = true)]
pub struct Cli {
    #[command(flatten)]
    pub verbosity: Verbosity,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Infer(Box<InferArgs>),
    Train(Box<TrainArgs>),
    Bench(Box<BenchArgs>),
    Models(ModelsArgs),
    Inspect(InspectArgs),
    Report(ReportArgs),
}

/// How much is said on the standard error.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Diagnostics")]
pub struct Verbosity {
    /// More diagnostics: -v debug, -vv trace. RUST_LOG, where set, decides instead
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// No progress and no remarks: only warnings and errors on the standard error
    #[arg(long, global = true)]
    pub quiet: bool,
}

/// Where and in what precision the network computes.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Device")]
pub struct RuntimeArgs {
    /// auto, cpu, cuda or cuda:N. `auto` means the CPU: networks are not yet run on a GPU, so CUDA has to be asked for
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// auto, f32, bf16 or f16. `auto` means f16 on CUDA and f32 on the CPU; f32 on CUDA multiplies in TF32
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub dtype: String,
    /// The half type that `auto` would choose on the device
    #[arg(long)]
    pub amp: bool,
}

/// The form of a table on the standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Columns for people
    #[default]
    Table,
    /// Markdown
    Md,
    /// Comma-separated values with a header
    Csv,
    /// One JSON object
    Json,
}

/// Lists architectures: parameters, multiply-accumulates, input, preprocessing, published top-1.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    /// Only names that contain this; `*` and `?` are wildcards over the whole name
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// What else the networks are told, as name=value: small_images, width, shortcut (A, B, C or conv). Networks that
    /// do not heed it are left out
    #[arg(long, value_name = "NAME=VALUE", num_args = 1.., value_delimiter = ',')]
    pub model_kwargs: Vec<String>,
    /// Form of the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableFormat,
}

/// Lists a checkpoint's tensors, their layout (original TResNet, timm, torchvision, torch-resnet) and its metadata.
///
/// Nothing in the file is executed.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A .pth, .pt, .pth.tar or .safetensors file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Form of the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: TableFormat,
}

/// Draws a training run's curves: losses, accuracies and the learning rate, as an SVG picture.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The folder of the run, which holds its summary.csv
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Where the picture is written [default: curves.svg in the run's folder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Parses a command line as the operating system hands it over, program name first.
///
/// # Errors
/// What clap has to say about it, which includes the text of `--help` and `--version`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let line = spelling::hyphenate(args);
    let mut parsed = Cli::try_parse_from(&line)?;
    if let Command::Train(train) = &mut parsed.command {
        train.remember(line);
    }
    Ok(parsed)
}

/// A count that cannot be 0.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

/// A command line that cannot be meant: exit status 2, where any other error has 1.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_and_command_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{} of {} has no help", arg.get_id(), command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
