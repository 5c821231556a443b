//! One row of the table of networks.

use crate::nn::{Graph, Value};
use crate::preprocessing::{Interpolation, Preprocessing, Preset, ResizeMode};

/// A network's graph and its two results.
pub struct Architecture {
    pub graph: Graph,
    /// The pooled embedding, `[batch, features]`.
    pub features: Value,
    /// `[batch, num_classes]`
    pub logits: Value,
}

/// What a family's file makes networks from.
pub trait Config: Sync {
    /// The group that `bench --models` knows the family by.
    fn family(&self) -> &'static str;

    /// The graph for `num_classes` and images of `in_chans` channels.
    fn architecture(&self, num_classes: usize, in_chans: usize) -> Architecture;
}

/// Accuracy on ImageNet's validation set as its authors published it, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    pub top1: f64,
    pub top5: f64,
}

/// A named network with everything that is known of it before any weights are.
#[derive(Clone, Copy)]
pub struct Variant {
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    pub network: &'static dyn Config,
    /// Classes of the published head.
    pub num_classes: usize,
    /// Side of the default input, in pixels.
    pub input_size: usize,
    pub crop_pct: f64,
    pub interpolation: Interpolation,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// Whose preprocessing the name stands for.
    pub preset: Preset,
    /// The input size at which the `paper` preset squashes.
    pub squash_at: Option<usize>,
    pub published: Option<Published>,
}

impl Variant {
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    pub fn family(&self) -> &'static str {
        self.network.family()
    }

    /// How a preset prepares images for an input of `input_size` pixels.
    pub fn preprocessing(&self, preset: Preset, input_size: usize) -> Preprocessing {
        let squash = preset == Preset::Paper && self.squash_at == Some(input_size);
        Preprocessing {
            input_size,
            crop_pct: self.crop_pct,
            resize_mode: if squash { ResizeMode::Squash } else { ResizeMode::Crop },
            interpolation: self.interpolation,
            mean: self.mean,
            std: self.std,
        }
    }
}
