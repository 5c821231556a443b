//! How an image becomes a network's input: plain facts that a model's row carries, a flag overrides and the data
//! path carries out.

use std::fmt;

/// The filter of a resize. Both are antialiased: the support grows with the reduction, as Pillow's does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Triangle filter, support 1.
    Bilinear,
    /// Cubic convolution with a = -0.5, support 2.
    Bicubic,
}

/// What happens between the decoded image and the square that the network sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// The shorter side is resized to `floor(input_size / crop_pct)`, the centre is cropped.
    Crop,
    /// Both sides are resized to the input size; the aspect is lost, nothing is cut off.
    Squash,
}

/// Whose preprocessing: where the references differ, the published figures of each need its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The original `infer.py`'s: an input of 448 pixels is squashed.
    Paper,
    /// timm's: an input of 448 pixels is cropped out of 512.
    Timm,
}

/// The evaluation preprocessing of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// Side of the square input, in pixels.
    pub input_size: usize,
    /// Share of the resized shorter side that the crop keeps; the original's `--val-zoom-factor`.
    pub crop_pct: f64,
    pub resize_mode: ResizeMode,
    pub interpolation: Interpolation,
    /// Subtracted from RGB in [0, 1].
    pub mean: [f32; 3],
    /// Divides what is left.
    pub std: [f32; 3],
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

impl fmt::Display for ResizeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Crop => "crop",
            Self::Squash => "squash",
        })
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Paper => "paper",
            Self::Timm => "timm",
        })
    }
}
