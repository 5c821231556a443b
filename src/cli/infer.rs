//! The flags of `tresnet infer`: those of the original `infer.py`, of timm's `validate.py`, and a few of our own.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{RuntimeArgs, at_least_one};

/// Evaluates a checkpoint on a folder or list of images: top-1, top-5, loss and images per second.
///
/// Images that cannot be read are named with their reason, left out of the counts, and make the exit status 3.
#[derive(Args, Debug)]
pub struct InferArgs {
    /// Folder of class folders, sorted by name as torchvision's ImageFolder does, or a tar of them; a CSV list of path
    /// and label; or CIFAR-10, CIFAR-100, Stanford Cars or Oxford Flowers-102 as distributed (`tresnet train --help` says
    /// more)
    #[arg(long, value_name = "DIR")]
    pub val_dir: PathBuf,
    /// Which split of --val-dir, where that is a whole data set, such as test [default: of the named ones the
    /// validation split, or else the test split]
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// Checkpoint: .pth, .pt, .pth.tar (zip or the serialization before PyTorch 1.6) or .safetensors
    #[arg(long, value_name = "FILE")]
    pub model_path: PathBuf,
    /// Architecture; `tresnet models` lists them
    #[arg(long, visible_alias = "model", value_name = "NAME", default_value = "tresnet_m")]
    pub model_name: String,
    /// What else the network is told, as name=value: small_images, width, shortcut (A, B, C or conv), bn_eps; each
    /// family heeds some of them
    #[arg(long, value_name = "NAME=VALUE", num_args = 1.., value_delimiter = ',')]
    pub model_kwargs: Vec<String>,
    /// Number of classes [default: what the checkpoint's head says]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub num_classes: Option<usize>,
    /// Input channels [default: 3; images are decoded to RGB]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub in_chans: Option<usize>,
    /// Evaluate the exponential moving average of the weights, where the checkpoint holds one
    #[arg(long)]
    pub use_ema: bool,

    #[command(flatten)]
    pub preprocessing: PreprocessingArgs,
    #[command(flatten)]
    pub loading: LoadingArgs,
    #[command(flatten)]
    pub results: ResultArgs,
    #[command(flatten)]
    pub runtime: RuntimeArgs,

    /// Accepted for the original's command lines: blur-pool has one implementation here, and files of either kind load
    #[arg(long, hide = true)]
    pub remove_aa_jit: bool,
}

/// What happens between a decoded image and the network.
#[derive(Args, Debug)]
#[command(next_help_heading = "Preprocessing")]
pub struct PreprocessingArgs {
    /// Whose preprocessing: the paper's `infer.py` or timm's [default: paper for plain TResNet names, timm for timm's
    /// tagged names and every other network]
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<PresetFlag>,
    /// Side of the square input in pixels [default: the model's]
    #[arg(long, visible_alias = "img-size", value_name = "N", value_parser = at_least_one)]
    pub input_size: Option<usize>,
    /// Share of the resized shorter side that the centre crop keeps [default: the model's]
    #[arg(long, visible_alias = "crop-pct", value_name = "SHARE")]
    pub val_zoom_factor: Option<f64>,
    /// Filter of the resize, antialiased as Pillow's [default: the model's]
    #[arg(long, value_name = "FILTER")]
    pub interpolation: Option<InterpolationFlag>,
    /// Resize the shorter side and crop the centre, or squash both sides to the input size [default: squash for the
    /// paper's preset at 448, else crop]
    #[arg(long, value_name = "MODE")]
    pub resize_mode: Option<ResizeModeFlag>,
    /// Subtracted from RGB in [0, 1]: three numbers, comma or space between [default: the model's]
    #[arg(long, value_name = "R,G,B", num_args = 1..=3, allow_negative_numbers = true)]
    pub mean: Option<Vec<String>>,
    /// Divides what is left: three numbers, comma or space between [default: the model's]
    #[arg(long, value_name = "R,G,B", num_args = 1..=3, allow_negative_numbers = true)]
    pub std: Option<Vec<String>>,
}

/// Which images are read, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Loading")]
pub struct LoadingArgs {
    /// Images in a batch [default: 32 on the CPU, 256 on CUDA]
    #[arg(short, long, value_name = "N", value_parser = at_least_one)]
    pub batch_size: Option<usize>,
    /// Threads that decode and resize beside the network [default: one a core]
    #[arg(short = 'j', long, visible_alias = "num-workers", value_name = "N")]
    pub workers: Option<usize>,
    /// What decodes JPEGs: the processor, exactly as Pillow does, or the GPU, by nvJPEG, with pixels that differ by a few
    /// levels; crop and resize are the same. Not yet run on a GPU
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub decode: DecodeFlag,
    /// Text file that names the class folders in the order of the network's outputs, one a line
    #[arg(long, value_name = "FILE")]
    pub class_map: Option<PathBuf>,
    /// Evaluate only the first N images in dataset order
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Test-time augmentation: hflip averages the logits of the image and of its mirror image
    #[arg(long, value_name = "KIND")]
    pub tta: Option<TtaFlag>,
}

/// What is written where.
#[derive(Args, Debug)]
#[command(next_help_heading = "Results")]
pub struct ResultArgs {
    /// One row an image in dataset order: path, label, best classes and their scores, as .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Classes an image in the predictions, best first; of equal scores the lower class comes first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = at_least_one)]
    pub topk: usize,
    /// Scores in the predictions: probabilities (softmax) or logits
    #[arg(long, value_name = "KIND", default_value = "prob")]
    pub scores: ScoresFlag,
    /// Write the results as one JSON object into this file
    #[arg(long, value_name = "FILE")]
    pub results_file: Option<PathBuf>,
    /// Write the results as one JSON object to the standard output, instead of the summary
    #[arg(long)]
    pub json: bool,
    /// Where the standard error is no terminal: a line of progress every N batches
    #[arg(long, visible_alias = "log-freq", value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub log_interval: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PresetFlag {
    Paper,
    Timm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum InterpolationFlag {
    Bilinear,
    Bicubic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResizeModeFlag {
    Crop,
    Squash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DecodeFlag {
    Cpu,
    Gpu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TtaFlag {
    Hflip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoresFlag {
    Prob,
    Logit,
}
