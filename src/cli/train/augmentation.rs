//! What happens to training images alone.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::at_least_one;

/// What happens to training images alone.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Augmentation")]
pub struct AugmentationArgs {
    /// None at all: resize, centre crop; mixing stays
    #[arg(long)]
    pub no_aug: bool,
    /// How images are cropped
    #[arg(long, value_name = "MODE", default_value = "rrc")]
    pub train_crop_mode: CropModeFlag,
    /// Black pixels at each side of an image before --train-crop-mode pad
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub train_crop_pad: usize,
    /// Least and greatest share of the image's area in a crop
    #[arg(long, value_name = "SHARE", num_args = 1..=2, value_delimiter = ',', default_values_t = [0.08, 1.0])]
    pub scale: Vec<f64>,
    /// Least and greatest width over height of a crop
    #[arg(long, value_name = "RATIO", num_args = 1..=2, value_delimiter = ',', default_values_t = [3.0 / 4.0, 4.0 / 3.0])]
    pub ratio: Vec<f64>,
    /// Probability of a mirror image
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub hflip: f64,
    /// Probability of an image upside down
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub vflip: f64,
    /// Strength of brightness, contrast and saturation, or one number each, or a fourth for the hue; --aa turns it off
    #[arg(long, value_name = "NUMBER", num_args = 1..=4, value_delimiter = ',', default_values_t = [0.4])]
    pub color_jitter: Vec<f64>,
    /// Policy in timm's language: rand-m9-mstd0.5-inc1, augmix-m5-w4-d2, original, v0, 3a [default: none]
    #[arg(long, value_name = "POLICY")]
    pub aa: Option<String>,
    /// Filter of crops and of what policies move
    #[arg(long, value_name = "FILTER", default_value = "random")]
    pub train_interpolation: TrainInterpolationFlag,
    /// Times that an image comes in a row, augmented anew, in an epoch of the same length; 0 and 1 are once
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    pub aug_repeats: f64,
    /// Copies of each image in a batch, the first without --aa; 0 is no copies, else at least 2
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub aug_splits: usize,

    /// Probability that rectangles of an image are erased
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub reprob: f64,
    /// What comes in their place: zero, noise of one colour, or noise
    #[arg(long, value_name = "MODE", default_value = "pixel")]
    pub remode: RemodeFlag,
    /// How many there are at most
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub recount: usize,
    /// Erase nothing in the first copies of --aug-splits; without them, in the first half of a batch
    #[arg(long)]
    pub resplit: bool,

    /// Both parameters of mixup's beta distribution; 0 is no mixup
    #[arg(long, value_name = "ALPHA", default_value_t = 0.0)]
    pub mixup: f64,
    /// Likewise of cutmix
    #[arg(long, value_name = "ALPHA", default_value_t = 0.0)]
    pub cutmix: f64,
    /// Least and greatest share of a side that cutmix cuts, instead of its distribution
    #[arg(long, value_name = "SHARE", num_args = 1.., value_delimiter = ',')]
    pub cutmix_minmax: Option<Vec<f64>>,
    /// Probability that anything is mixed, where mixup or cutmix is on
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub mixup_prob: f64,
    /// Probability of cutmix, where both are on
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub mixup_switch_prob: f64,
    /// What is mixed alike: the batch, a pair of images, or none
    #[arg(long, value_name = "MODE", default_value = "batch")]
    pub mixup_mode: MixupModeFlag,
    /// Epoch from which on nothing is mixed; 0 is never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub mixup_off_epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CropModeFlag {
    /// Random resized crop, by --scale and --ratio
    Rrc,
    /// A square of the input's size anywhere in the padded image, not resized: torchvision's RandomCrop, for CIFAR
    Pad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TrainInterpolationFlag {
    /// One of the two, drawn for each image
    Random,
    Bilinear,
    Bicubic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RemodeFlag {
    Const,
    Rand,
    Pixel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MixupModeFlag {
    Batch,
    Pair,
    Elem,
}
