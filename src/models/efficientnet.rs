//! EfficientNets (Tan and Le, arXiv 1905.11946) as timm builds them: one network, made wider and deeper together.

use anyhow::Result;

use super::inverted_residual::{Blocks, Mobile, round_channels};
use super::variant::{Architecture, Config, Request, Variant, top};
use crate::ops::Activation;
use crate::preprocessing::{Interpolation, Preset};

/// How much larger than B0 an EfficientNet is.
#[derive(Clone, Copy, Debug)]
pub struct EfficientNet {
    /// Factor of the channels.
    pub width: f64,
    /// Factor of the blocks.
    pub depth: f64,
}

const fn scaled(width: f64, depth: f64) -> EfficientNet {
    EfficientNet { width, depth }
}

const B0: EfficientNet = scaled(1.0, 1.0);
const B1: EfficientNet = scaled(1.0, 1.1);
const B2: EfficientNet = scaled(1.1, 1.2);
const B3: EfficientNet = scaled(1.2, 1.4);
const B4: EfficientNet = scaled(1.4, 1.8);
const B5: EfficientNet = scaled(1.6, 2.2);
const B6: EfficientNet = scaled(1.8, 2.6);
const B7: EfficientNet = scaled(2.0, 3.1);

/// A bare name stands for timm's default weights, whose tagged name is its alias. Accuracies are those that timm measured
/// at the row's input and crop (pytorch-image-models at aa4b585, `results/results-imagenet.csv`); B5's weights saw
/// ImageNet-12k first. timm never published weights of B6 and B7.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "efficientnet_b0", aliases: &["efficientnet_b0.ra_in1k"], published: top(77.698, 93.538), ..ROW },
    Variant {
        name: "efficientnet_b1",
        aliases: &["efficientnet_b1.ra4_e3600_r240_in1k"],
        network: &B1,
        input_size: 240,
        crop_pct: 0.9,
        mean: [0.5; 3],
        std: [0.5; 3],
        published: top(80.404, 95.152),
        ..ROW
    },
    Variant {
        name: "efficientnet_b2",
        aliases: &["efficientnet_b2.ra_in1k"],
        network: &B2,
        input_size: 256,
        published: top(79.324, 94.582),
        ..ROW
    },
    Variant {
        name: "efficientnet_b3",
        aliases: &["efficientnet_b3.ra2_in1k"],
        network: &B3,
        input_size: 288,
        published: top(81.472, 95.696),
        ..ROW
    },
    Variant {
        name: "efficientnet_b4",
        aliases: &["efficientnet_b4.ra2_in1k"],
        network: &B4,
        input_size: 320,
        published: top(82.658, 96.134),
        ..ROW
    },
    Variant {
        name: "efficientnet_b5",
        aliases: &["efficientnet_b5.sw_in12k_ft_in1k"],
        network: &B5,
        input_size: 448,
        crop_pct: 1.0,
        published: top(85.894, 97.742),
        ..ROW
    },
    Variant { name: "efficientnet_b6", network: &B6, input_size: 528, crop_pct: 0.942, ..ROW },
    Variant { name: "efficientnet_b7", network: &B7, input_size: 600, crop_pct: 0.949, ..ROW },
];

/// timm's default for these networks.
const ROW: Variant = Variant {
    name: "",
    aliases: &[],
    network: &B0,
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
) -> [Blocks; 1] {
    let activation = Activation::Silu;
    [Blocks { repeats, kernels, widen: &[1], narrow: &[1], stride, expansion, channels, gate: 0.25, activation }]
}

/// B0's stages (the paper's table 1).
const STAGES: [&[Blocks]; 7] = [
    &blocks(1, &[3], 1, 1, 16),
    &blocks(2, &[3], 2, 6, 24),
    &blocks(2, &[5], 2, 6, 40),
    &blocks(3, &[3], 2, 6, 80),
    &blocks(3, &[5], 1, 6, 112),
    &blocks(4, &[5], 2, 6, 192),
    &blocks(1, &[3], 1, 6, 320),
];

impl Config for EfficientNet {
    fn family(&self) -> &'static str {
        "efficientnet"
    }

    fn kwargs(&self) -> &'static [&'static str] {
        // torchvision's B5 to B7 have 1e-3.
        &["bn_eps"]
    }

    fn architecture(&self, request: &Request) -> Result<Architecture> {
        let network = Mobile {
            stem_channels: 32,
            activation: Activation::Silu,
            stages: &STAGES,
            features: round_channels(1280.0 * self.width),
            width: self.width,
            depth: self.depth,
            whole: f64::ceil,
        };
        Ok(network.build(request))
    }
}
