//! One row of the table of networks.

use anyhow::{Context, Result};

use super::kwargs::ModelKwargs;
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

/// What a network is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    pub num_classes: usize,
    /// Channels of an image.
    pub in_chans: usize,
    pub kwargs: ModelKwargs,
}

impl Request {
    /// The network as its row says.
    pub fn new(num_classes: usize, in_chans: usize) -> Self {
        Self { num_classes, in_chans, kwargs: ModelKwargs::default() }
    }
}

/// What a family's file makes networks from.
pub trait Config: Sync {
    /// The group that `bench --models` knows the family by.
    fn family(&self) -> &'static str;

    /// Names of the [`ModelKwargs`] that the family heeds.
    fn kwargs(&self) -> &'static [&'static str];

    /// The graph, of which a request may ask no more than [`Self::kwargs`].
    ///
    /// # Errors
    /// Values that contradict each other.
    fn architecture(&self, request: &Request) -> Result<Architecture>;
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

/// What was published.
pub(super) const fn top(top1: f64, top5: f64) -> Option<Published> {
    Some(Published { top1, top5 })
}

impl Variant {
    /// The graph.
    ///
    /// # Errors
    /// Where the family does not heed one of the request's arguments, or its values contradict each other.
    pub fn architecture(&self, request: &Request) -> Result<Architecture> {
        let known = self.network.kwargs();
        let context = || format!("cannot build {}", self.name);
        request.kwargs.only(known).with_context(context)?;
        self.network.architecture(request).with_context(context)
    }

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
