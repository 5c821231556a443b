//! MixNets (Tan and Le, arXiv 1907.09595) as timm builds them: mobile networks whose convolutions mix kernels of several
//! sizes.

use anyhow::Result;

use super::inverted_residual::{Blocks, Mobile};
use super::variant::{Architecture, Config, Request, Variant, top};
use crate::ops::Activation;
use crate::preprocessing::{Interpolation, Preset};

/// What tells one MixNet from another.
#[derive(Clone, Copy, Debug)]
pub struct MixNet {
    /// Whether it is S, which has stages of its own, rather than one of M's make.
    pub small: bool,
    /// Factor of the channels.
    pub width: f64,
    /// Factor of the blocks.
    pub depth: f64,
}

const S: MixNet = MixNet { small: true, width: 1.0, depth: 1.0 };
const M: MixNet = MixNet { small: false, ..S };
const L: MixNet = MixNet { width: 1.3, ..M };
const XL: MixNet = MixNet { width: 1.6, depth: 1.2, ..M };

/// A bare name stands for timm's only weights, whose tagged name is its alias. Accuracies are those that timm measured
/// (pytorch-image-models at aa4b585, `results/results-imagenet.csv`).
pub const VARIANTS: &[Variant] = &[
    Variant { name: "mixnet_s", aliases: &["mixnet_s.ft_in1k"], network: &S, published: top(76.0, 92.796), ..ROW },
    Variant { name: "mixnet_m", aliases: &["mixnet_m.ft_in1k"], network: &M, published: top(77.268, 93.418), ..ROW },
    Variant { name: "mixnet_l", aliases: &["mixnet_l.ft_in1k"], network: &L, published: top(78.97, 94.18), ..ROW },
    Variant { name: "mixnet_xl", aliases: &["mixnet_xl.ra_in1k"], network: &XL, published: top(80.494, 94.938), ..ROW },
];

/// timm's default for these networks.
const ROW: Variant = Variant {
    name: "",
    aliases: &[],
    network: &S,
    num_classes: 1000,
    input_size: 224,
    crop_pct: 0.875,
    interpolation: Interpolation::Bicubic,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    preset: Preset::Timm,
    squash_at: None,
    published: None,
};

const fn blocks(
    repeats: usize,
    kernels: &'static [usize],
    stride: usize,
    expansion: usize,
    channels: usize,
    gate: f64,
) -> Blocks {
    // The early blocks, which have no gate, have ReLU.
    let activation = if gate > 0.0 { Activation::Silu } else { Activation::Relu };
    Blocks { repeats, kernels, widen: &[1], narrow: &[1], stride, expansion, channels, gate, activation }
}

/// With both pointwise convolutions in two shares.
const fn halved(blocks: Blocks) -> Blocks {
    Blocks { widen: &[1, 1], narrow: &[1, 1], ..blocks }
}

/// With the convolution that narrows in two shares.
const fn narrowed(blocks: Blocks) -> Blocks {
    Blocks { narrow: &[1, 1], ..blocks }
}

const SMALL: [&[Blocks]; 6] = [
    &[blocks(1, &[3], 1, 1, 16, 0.0)],
    &[halved(blocks(1, &[3], 2, 6, 24, 0.0)), halved(blocks(1, &[3], 1, 3, 24, 0.0))],
    &[blocks(1, &[3, 5, 7], 2, 6, 40, 0.5), halved(blocks(3, &[3, 5], 1, 6, 40, 0.5))],
    &[narrowed(blocks(1, &[3, 5, 7], 2, 6, 80, 0.25)), narrowed(blocks(2, &[3, 5], 1, 6, 80, 0.25))],
    &[halved(blocks(1, &[3, 5, 7], 1, 6, 120, 0.5)), halved(blocks(2, &[3, 5, 7, 9], 1, 3, 120, 0.5))],
    &[blocks(1, &[3, 5, 7, 9, 11], 2, 6, 200, 0.5), narrowed(blocks(2, &[3, 5, 7, 9], 1, 6, 200, 0.5))],
];

const MEDIUM: [&[Blocks]; 6] = [
    &[blocks(1, &[3], 1, 1, 24, 0.0)],
    &[halved(blocks(1, &[3, 5, 7], 2, 6, 32, 0.0)), halved(blocks(1, &[3], 1, 3, 32, 0.0))],
    &[blocks(1, &[3, 5, 7, 9], 2, 6, 40, 0.5), halved(blocks(3, &[3, 5], 1, 6, 40, 0.5))],
    &[blocks(1, &[3, 5, 7], 2, 6, 80, 0.25), halved(blocks(3, &[3, 5, 7, 9], 1, 6, 80, 0.25))],
    &[blocks(1, &[3], 1, 6, 120, 0.5), halved(blocks(3, &[3, 5, 7, 9], 1, 3, 120, 0.5))],
    &[blocks(1, &[3, 5, 7, 9], 2, 6, 200, 0.5), narrowed(blocks(3, &[3, 5, 7, 9], 1, 6, 200, 0.5))],
];

impl Config for MixNet {
    fn family(&self) -> &'static str {
        "mixnet"
    }

    fn kwargs(&self) -> &'static [&'static str] {
        &[]
    }

    fn architecture(&self, request: &Request) -> Result<Architecture> {
        let network = Mobile {
            stem_channels: if self.small { 16 } else { 24 },
            activation: Activation::Relu,
            stages: if self.small { &SMALL } else { &MEDIUM },
            features: 1536,
            width: self.width,
            depth: self.depth,
            whole: f64::round_ties_even,
        };
        Ok(network.build(request))
    }
}
