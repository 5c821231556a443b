//! TResNet: a ResNet redesigned for what GPUs do well (Ridnik et al., arXiv 2003.13630).
//!
//! A space-to-depth stem, anti-aliased downsampling, leaky ReLUs, squeeze-excite in the first three stages; basic
//! blocks in the first two, bottlenecks in the others. Parameters bear timm's names.

use anyhow::Result;
use candle_nn::Init;

use super::variant::{Architecture, Config, Request, Variant, top};
use crate::nn::{ConvLayer, Graph, SqueezeExciteLayer, Value, torch_default};
use crate::ops::Activation;
use crate::preprocessing::{Interpolation, Preset};

/// What tells one TResNet from another.
#[derive(Clone, Copy, Debug)]
pub struct TResNet {
    /// Blocks in each of the four stages.
    pub blocks: [usize; 4],
    /// Channels that the stem puts out; stage `i` works on `width * 2^i`.
    pub width: usize,
    /// Stages that are made of basic blocks, from the first; the rest are made of bottlenecks.
    pub basic_stages: usize,
}

const M: TResNet = TResNet { blocks: [3, 4, 11, 3], width: 64, basic_stages: 2 };
// The paper's width factors 1.2 and 1.3, truncated: odd widths are real.
const L: TResNet = TResNet { blocks: [4, 5, 18, 3], width: 76, basic_stages: 2 };
const XL: TResNet = TResNet { blocks: [4, 5, 24, 3], width: 83, basic_stages: 2 };
const V2_L: TResNet = TResNet { blocks: [3, 4, 23, 3], width: 64, basic_stages: 0 };

/// The stem's slope is PyTorch's default for a leaky ReLU, the blocks' is the paper's.
const STEM_ACTIVATION: Activation = Activation::LeakyRelu(1e-2);
const BLOCK_ACTIVATION: Activation = Activation::LeakyRelu(1e-3);
/// Output channels of a bottleneck for each of its planes.
const EXPANSION: usize = 4;

/// Plain names mean the original's checkpoints and preprocessing, timm's tagged names timm's. Accuracies are those of
/// the paper's tables and of the authors' model zoo.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "tresnet_m", network: &M, published: top(80.8, 94.86), ..PAPER },
    Variant { name: "tresnet_l", network: &L, published: top(81.49, 95.62), ..PAPER },
    Variant { name: "tresnet_xl", network: &XL, published: top(82.05, 95.93), ..PAPER },
    Variant { name: "tresnet_v2_l", network: &V2_L, published: top(83.91, 96.49), ..PAPER },
    Variant { name: "tresnet_m_448", network: &M, input_size: 448, published: top(81.72, 95.57), ..PAPER },
    Variant { name: "tresnet_l_448", network: &L, input_size: 448, published: top(82.26, 95.98), ..PAPER },
    Variant { name: "tresnet_xl_448", network: &XL, input_size: 448, published: top(83.06, 96.19), ..PAPER },
    Variant { name: "tresnet_m.miil_in1k", network: &M, published: top(80.8, 94.86), ..TIMM },
    Variant { name: "tresnet_m.miil_in1k_448", network: &M, input_size: 448, published: top(81.72, 95.57), ..TIMM },
    Variant { name: "tresnet_m.miil_in21k_ft_in1k", network: &M, ..TIMM },
    Variant {
        name: "tresnet_m.miil_in21k",
        aliases: &["tresnet_m_miil_in21k"],
        network: &M,
        num_classes: IN_21K,
        ..TIMM
    },
    Variant { name: "tresnet_l.miil_in1k", network: &L, published: top(81.49, 95.62), ..TIMM },
    Variant { name: "tresnet_l.miil_in1k_448", network: &L, input_size: 448, published: top(82.26, 95.98), ..TIMM },
    Variant { name: "tresnet_xl.miil_in1k", network: &XL, published: top(82.05, 95.93), ..TIMM },
    Variant { name: "tresnet_xl.miil_in1k_448", network: &XL, input_size: 448, published: top(83.06, 96.19), ..TIMM },
    Variant { name: "tresnet_v2_l.miil_in21k_ft_in1k", network: &V2_L, published: top(83.91, 96.49), ..TIMM },
    Variant { name: "tresnet_v2_l.miil_in21k", network: &V2_L, num_classes: IN_21K, ..TIMM },
];

/// Classes of the pretraining on ImageNet-21K (Ridnik et al., arXiv 2104.10972).
const IN_21K: usize = 11_221;

/// What the rows share.
const PAPER: Variant = Variant {
    name: "",
    aliases: &[],
    network: &M,
    num_classes: 1000,
    input_size: 224,
    crop_pct: 0.875,
    interpolation: Interpolation::Bilinear,
    mean: [0.0; 3],
    std: [1.0; 3],
    preset: Preset::Paper,
    squash_at: Some(448),
    published: None,
};
const TIMM: Variant = Variant { preset: Preset::Timm, ..PAPER };

impl Config for TResNet {
    fn family(&self) -> &'static str {
        "tresnet"
    }

    fn kwargs(&self) -> &'static [&'static str] {
        &[]
    }

    fn architecture(&self, request: &Request) -> Result<Architecture> {
        let (mut graph, image) = Graph::new(request.in_chans, 4);
        let stem = ConvLayer { kernels: &[3], activation: STEM_ACTIVATION, ..layer("body.conv1", self.width) };
        let mut x = graph.conv(image, stem);
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let block = Block {
                    path: format!("body.layer{}.{block}", stage + 1),
                    planes: self.width << stage,
                    stride: if stage > 0 && block == 0 { 2 } else { 1 },
                    squeeze_excite: stage < 3,
                };
                x = if stage < self.basic_stages {
                    block.basic(&mut graph, x)
                } else {
                    block.bottleneck(&mut graph, x)
                };
            }
        }
        let features = graph.global_average_pool(x);
        let init = [Init::Randn { mean: 0.0, stdev: 0.01 }, torch_default(graph.channels(features))];
        let logits = graph.linear(features, "head.fc", request.num_classes, init);
        Ok(Architecture { graph, features, logits })
    }
}

struct Block {
    path: String,
    planes: usize,
    stride: usize,
    squeeze_excite: bool,
}

impl Block {
    fn basic(&self, graph: &mut Graph, input: Value) -> Value {
        let shortcut = self.shortcut(graph, input, self.planes);
        let x = self.conv_blur(graph, input, "conv1");
        let last = ConvLayer { kernels: &[3], norm_init: 0.0, ..layer(&self.path("conv2"), self.planes) };
        if self.squeeze_excite {
            let x = graph.conv(x, last);
            let hidden = (self.planes / 4).max(64);
            let gate = SqueezeExciteLayer::new(&self.path("se"), hidden);
            graph.squeeze_excite(
                x,
                SqueezeExciteLayer { residual: Some(shortcut), activation: Activation::Relu, ..gate },
            )
        } else {
            graph.conv(x, ConvLayer { residual: Some(shortcut), activation: Activation::Relu, ..last })
        }
    }

    fn bottleneck(&self, graph: &mut Graph, input: Value) -> Value {
        let out_channels = EXPANSION * self.planes;
        let shortcut = self.shortcut(graph, input, out_channels);
        let reduce = ConvLayer { activation: BLOCK_ACTIVATION, ..layer(&self.path("conv1"), self.planes) };
        let x = graph.conv(input, reduce);
        let mut x = self.conv_blur(graph, x, "conv2");
        if self.squeeze_excite {
            let hidden = (EXPANSION * self.planes / 8).max(64);
            x = graph.squeeze_excite(x, SqueezeExciteLayer::new(&self.path("se"), hidden));
        }
        let expand = layer(&self.path("conv3"), out_channels);
        let expand = ConvLayer { residual: Some(shortcut), activation: Activation::Relu, norm_init: 0.0, ..expand };
        graph.conv(x, expand)
    }

    /// A 3x3 convolution at full resolution, then, where the block strides, a blur-pool.
    fn conv_blur(&self, graph: &mut Graph, input: Value, name: &str) -> Value {
        let path = self.path(name);
        let x =
            graph.conv(input, ConvLayer { kernels: &[3], activation: BLOCK_ACTIVATION, ..layer(&path, self.planes) });
        if self.stride == 2 { graph.blur_pool(x) } else { x }
    }

    /// The input itself where the shape stays, else an average pool where the block strides and a 1x1 convolution.
    fn shortcut(&self, graph: &mut Graph, input: Value, out_channels: usize) -> Value {
        if self.stride == 1 && graph.channels(input) == out_channels {
            return input;
        }
        // The convolution's place in the sequence, and so its name, depends on whether a pool stands before it.
        let (x, path) = match self.stride {
            1 => (input, self.path("downsample.0")),
            _ => (graph.average_pool_2x2(input), self.path("downsample.1")),
        };
        graph.conv(x, layer(&path, out_channels))
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }
}

/// A 1x1 convolution with batch norm alone, to be altered by its user. timm names the two `<path>.conv` and `<path>.bn`.
fn layer(path: &str, out_channels: usize) -> ConvLayer {
    ConvLayer::normed(format!("{path}.conv"), format!("{path}.bn"), out_channels)
}
