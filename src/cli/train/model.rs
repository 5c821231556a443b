//! The network, what it starts from, and how validation prepares its images.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::{InterpolationFlag, at_least_one};

/// The network, what it starts from, and how validation prepares its images.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Architecture; `tresnet models` lists them
    #[arg(long, value_name = "NAME", default_value = "tresnet_m")]
    pub model: String,
    /// Number of classes [default: as many as the training data has]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub num_classes: Option<usize>,
    /// Input channels [default: 3; images are decoded to RGB]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub in_chans: Option<usize>,
    /// What else the network is told, as name=value: small_images, width, shortcut (A, B, C or conv), drop_rate,
    /// zero_init_residual; each family heeds some of them
    #[arg(long, value_name = "NAME=VALUE", num_args = 1.., value_delimiter = ',')]
    pub model_kwargs: Vec<String>,
    /// Start from these weights, every one of which must fit; their moving average where the file holds one
    #[arg(long, value_name = "FILE")]
    pub initial_checkpoint: Option<PathBuf>,
    /// Start from these weights, but with a new head where theirs tells another number of classes apart
    #[arg(long, value_name = "FILE")]
    pub pretrained_path: Option<PathBuf>,
    /// Start from the file's plain weights, even where it holds their moving average
    #[arg(long)]
    pub no_initial_ema: bool,
    /// Parameters that keep their values: names, or what they begin with up to a dot, comma between; `backbone` is all
    /// but the classifier
    #[arg(long, value_name = "NAMES", num_args = 1.., value_delimiter = ',')]
    pub freeze: Vec<String>,
    /// Keep only each block's input for the backward pass and compute the rest again: less memory, more time
    #[arg(long)]
    pub grad_checkpointing: bool,
    /// On CUDA, batch norms with leaky ReLU work over the convolution's output (inplace: least memory), beside it
    /// (stored: least arithmetic), or beside it where that fits (auto)
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub abn: AbnFlag,
    /// Share of the embedding that is dropped before the classifier, from 0 to less than 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub drop: f64,
    /// Stochastic depth: share of images that skip the last residual block; from the first block on, it grows evenly
    #[arg(long, value_name = "SHARE")]
    pub drop_path: Option<f64>,

    /// Side of the square input in pixels; timm's three numbers, 3 224 224, do as well [default: the model's]
    #[arg(long, value_name = "N", num_args = 1..=3, value_delimiter = ',', value_parser = at_least_one)]
    pub input_size: Vec<usize>,
    /// Side of the square input in pixels; timm's other name for it
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub img_size: Option<usize>,
    /// Share of the resized shorter side that validation's centre crop keeps [default: the model's]
    #[arg(long, value_name = "SHARE")]
    pub crop_pct: Option<f64>,
    /// Subtracted from RGB in [0, 1]: three numbers, comma or space between [default: the model's]
    #[arg(long, value_name = "R,G,B", num_args = 1..=3, allow_negative_numbers = true)]
    pub mean: Option<Vec<String>>,
    /// Divides what is left: three numbers, comma or space between [default: the model's]
    #[arg(long, value_name = "R,G,B", num_args = 1..=3, allow_negative_numbers = true)]
    pub std: Option<Vec<String>>,
    /// Filter of validation's resize [default: the model's]
    #[arg(long, value_name = "FILTER")]
    pub interpolation: Option<InterpolationFlag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AbnFlag {
    Inplace,
    Stored,
    Auto,
}
