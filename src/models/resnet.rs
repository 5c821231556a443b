//! ResNets for ImageNet as timm and torchvision build them: plain and bottleneck (He et al., arXiv 1512.03385, the
//! stride on the 3x3 convolution), wide (arXiv 1605.07146), grouped (ResNeXt, arXiv 1611.05431), with squeeze-excite
//! (arXiv 1709.01507), and "-D" (arXiv 1812.01187). Parameters bear the names that both libraries share.

use anyhow::Result;

use super::variant::{Architecture, Config, Request, Variant, top};
use crate::nn::{ConvLayer, Graph, Grouping, SqueezeExciteLayer, Value, torch_default};
use crate::ops::Activation;
use crate::preprocessing::{Interpolation, Preset};

/// What tells one ResNet from another.
#[derive(Clone, Copy, Debug)]
pub struct ResNet {
    /// Blocks in each of the four stages.
    pub blocks: [usize; 4],
    pub block: Block,
    /// "-D": a stem of three 3x3 convolutions, and shortcuts that average before they project.
    pub deep: bool,
    pub squeeze_excite: bool,
}

/// What a stage is made of.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 in so many groups, 1x1. Of 64 planes the 3x3 has `width` channels a group.
    Bottleneck { groups: usize, width: usize },
}

const BOTTLENECK: Block = Block::Bottleneck { groups: 1, width: 64 };
const WIDE: Block = Block::Bottleneck { groups: 1, width: 128 };
const NEXT: Block = Block::Bottleneck { groups: 32, width: 4 };

const fn net(blocks: [usize; 4], block: Block) -> ResNet {
    ResNet { blocks, block, deep: false, squeeze_excite: false }
}

const R18: ResNet = net([2, 2, 2, 2], Block::Basic);
const R34: ResNet = net([3, 4, 6, 3], Block::Basic);
const R50: ResNet = net([3, 4, 6, 3], BOTTLENECK);
const R101: ResNet = net([3, 4, 23, 3], BOTTLENECK);
const R152: ResNet = net([3, 8, 36, 3], BOTTLENECK);
const R200: ResNet = net([3, 24, 36, 3], BOTTLENECK);
const R26D: ResNet = ResNet { deep: true, ..net([2, 2, 2, 2], BOTTLENECK) };
const R50D: ResNet = ResNet { deep: true, ..R50 };
const R101D: ResNet = ResNet { deep: true, ..R101 };
const WIDE50: ResNet = net([3, 4, 6, 3], WIDE);
const WIDE101: ResNet = net([3, 4, 23, 3], WIDE);
const NEXT50: ResNet = net([3, 4, 6, 3], NEXT);
const NEXT101: ResNet = net([3, 4, 23, 3], NEXT);
const SE50: ResNet = ResNet { squeeze_excite: true, ..R50 };
const SE_NEXT50: ResNet = ResNet { squeeze_excite: true, ..NEXT50 };

/// A bare name stands for timm's default weights, whose tagged name is its alias; `tv` and `tv2` are torchvision's
/// first and second weights. Accuracies are those that timm measured at the row's input and crop
/// (pytorch-image-models at aa4b585, `results/results-imagenet.csv`). timm's `resnet200` was never published.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "resnet18", aliases: &["resnet18.a1_in1k"], network: &R18, published: top(71.504, 90.086), ..A1 },
    Variant { name: "resnet34", aliases: &["resnet34.a1_in1k"], network: &R34, published: top(76.42, 92.896), ..A1 },
    Variant { name: "resnet50", aliases: &["resnet50.a1_in1k"], network: &R50, published: top(80.382, 94.598), ..A1 },
    Variant { name: "resnet101", aliases: &["resnet101.a1h_in1k"], network: &R101, published: top(81.95, 95.76), ..A1 },
    Variant {
        name: "resnet152",
        aliases: &["resnet152.a1h_in1k"],
        network: &R152,
        published: top(82.818, 96.124),
        ..A1
    },
    Variant { name: "resnet200", network: &R200, ..ROW },
    Variant {
        name: "resnet26d",
        aliases: &["resnet26d.bt_in1k"],
        network: &R26D,
        published: top(76.698, 93.156),
        ..ROW
    },
    Variant {
        name: "resnet50d",
        aliases: &["resnet50d.ra2_in1k"],
        network: &R50D,
        published: top(80.546, 95.16),
        ..ROW
    },
    Variant {
        name: "resnet101d",
        aliases: &["resnet101d.ra2_in1k"],
        network: &R101D,
        input_size: 256,
        published: top(82.254, 96.07),
        ..A1
    },
    Variant {
        name: "wide_resnet50_2",
        aliases: &["wide_resnet50_2.racm_in1k"],
        network: &WIDE50,
        published: top(81.466, 95.544),
        ..ROW
    },
    Variant {
        name: "wide_resnet101_2",
        aliases: &["wide_resnet101_2.tv_in1k"],
        network: &WIDE101,
        published: top(78.862, 94.312),
        ..TV
    },
    Variant {
        name: "resnext50_32x4d",
        aliases: &["resnext50_32x4d.a1h_in1k"],
        network: &NEXT50,
        published: top(81.14, 95.32),
        ..A1
    },
    // Its default weights saw more than ImageNet: Facebook's semi-supervised ones (arXiv 1905.00546).
    Variant {
        name: "resnext101_32x4d",
        aliases: &["resnext101_32x4d.fb_ssl_yfcc100m_ft_in1k"],
        network: &NEXT101,
        published: top(80.936, 95.732),
        ..TV
    },
    Variant {
        name: "seresnet50",
        aliases: &["seresnet50.a1_in1k"],
        network: &SE50,
        published: top(80.012, 94.704),
        ..A1
    },
    Variant {
        name: "seresnext50_32x4d",
        aliases: &["seresnext50_32x4d.racm_in1k"],
        network: &SE_NEXT50,
        published: top(81.268, 95.624),
        ..ROW
    },
    Variant { name: "resnet18.tv_in1k", network: &R18, published: top(69.752, 89.082), ..TV },
    Variant { name: "resnet34.tv_in1k", network: &R34, published: top(73.298, 91.422), ..TV },
    Variant { name: "resnet50.tv_in1k", network: &R50, published: top(76.156, 92.866), ..TV },
    Variant { name: "resnet50.tv2_in1k", network: &R50, published: top(80.846, 95.43), ..TV2 },
    Variant { name: "resnet101.tv_in1k", network: &R101, published: top(77.404, 93.552), ..TV },
    Variant { name: "resnet101.tv2_in1k", network: &R101, published: top(81.906, 95.768), ..TV2 },
    Variant { name: "resnet152.tv_in1k", network: &R152, published: top(78.33, 94.046), ..TV },
    Variant { name: "resnet152.tv2_in1k", network: &R152, published: top(82.294, 96.0), ..TV2 },
    Variant { name: "wide_resnet50_2.tv_in1k", network: &WIDE50, published: top(78.486, 94.084), ..TV },
    Variant { name: "wide_resnet50_2.tv2_in1k", network: &WIDE50, published: top(81.612, 95.766), ..TV2 },
    Variant { name: "wide_resnet101_2.tv2_in1k", network: &WIDE101, published: top(82.514, 96.012), ..TV2 },
    Variant { name: "resnext50_32x4d.tv_in1k", network: &NEXT50, published: top(77.632, 93.674), ..TV },
    Variant { name: "resnext50_32x4d.tv2_in1k", network: &NEXT50, published: top(81.19, 95.344), ..TV2 },
];

/// timm's default for these networks.
const ROW: Variant = Variant {
    name: "",
    aliases: &[],
    network: &R50,
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
/// The recipes of "ResNet strikes back" (arXiv 2110.00476).
const A1: Variant = Variant { crop_pct: 0.95, ..ROW };
/// torchvision's.
const TV: Variant = Variant { interpolation: Interpolation::Bilinear, ..ROW };
const TV2: Variant = Variant { crop_pct: 0.965, ..TV };

/// Channels that the stem puts out.
const STEM: usize = 64;
/// Output channels of a bottleneck for each of its planes.
const EXPANSION: usize = 4;

impl Config for ResNet {
    fn family(&self) -> &'static str {
        "resnet"
    }

    fn kwargs(&self) -> &'static [&'static str] {
        &["zero_init_residual"]
    }

    fn architecture(&self, request: &Request) -> Result<Architecture> {
        let (mut graph, image) = Graph::new(request.in_chans, 1);
        let x = self.stem(&mut graph, image);
        let mut x = graph.max_pool_3x3(x);
        // timm's default; torchvision's is the opposite.
        let last_norm = if request.kwargs.zero_init_residual.unwrap_or(true) { 0.0 } else { 1.0 };
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let block = Residual {
                    net: self,
                    path: format!("layer{}.{block}", stage + 1),
                    planes: STEM << stage,
                    stride: if stage > 0 && block == 0 { 2 } else { 1 },
                    last_norm,
                };
                x = block.add_to(&mut graph, x);
            }
        }
        let features = graph.global_average_pool(x);
        let init = [torch_default(graph.channels(features)); 2];
        let logits = graph.linear(features, "fc", request.num_classes, init);
        Ok(Architecture { graph, features, logits })
    }
}

impl ResNet {
    fn stem(&self, graph: &mut Graph, image: Value) -> Value {
        let layer = |conv: &str, norm: &str, kernels, out_channels| ConvLayer {
            kernels,
            activation: Activation::Relu,
            ..ConvLayer::normed(conv.to_owned(), norm.to_owned(), out_channels)
        };
        if !self.deep {
            return graph.conv(image, ConvLayer { stride: 2, ..layer("conv1", "bn1", &[7], STEM) });
        }
        let x = graph.conv(image, ConvLayer { stride: 2, ..layer("conv1.0", "conv1.1", &[3], STEM / 2) });
        let x = graph.conv(x, layer("conv1.3", "conv1.4", &[3], STEM / 2));
        graph.conv(x, layer("conv1.6", "bn1", &[3], STEM))
    }
}

struct Residual<'a> {
    net: &'a ResNet,
    path: String,
    planes: usize,
    stride: usize,
    /// Where the weight of the branch's last norm starts.
    last_norm: f64,
}

impl Residual<'_> {
    fn add_to(&self, graph: &mut Graph, input: Value) -> Value {
        let stride = self.stride;
        let (x, last) = match self.net.block {
            Block::Basic => {
                let x = graph.conv(input, ConvLayer { stride, ..self.layer(1, &[3], self.planes) });
                (x, self.layer(2, &[3], self.planes))
            }
            Block::Bottleneck { groups, width } => {
                let width = self.planes * width / 64 * groups;
                let x = graph.conv(input, self.layer(1, &[1], width));
                let grouping = if groups == 1 { Grouping::Dense } else { Grouping::Groups(groups) };
                let x = graph.conv(x, ConvLayer { stride, grouping, ..self.layer(2, &[3], width) });
                (x, self.layer(3, &[1], EXPANSION * self.planes))
            }
        };
        let shortcut = Some(self.shortcut(graph, input, last.out_channels));
        let last = ConvLayer { norm_init: self.last_norm, ..last };
        if !self.net.squeeze_excite {
            return graph.conv(x, ConvLayer { residual: shortcut, ..last });
        }
        let hidden = reduced(last.out_channels);
        let x = graph.conv(x, ConvLayer { activation: Activation::Identity, ..last });
        let gate = SqueezeExciteLayer::new(&format!("{}.se", self.path), hidden);
        graph.squeeze_excite(x, SqueezeExciteLayer { residual: shortcut, activation: Activation::Relu, ..gate })
    }

    /// The input itself where the shape stays, else a projection, in "-D" of the averages where the block strides.
    fn shortcut(&self, graph: &mut Graph, input: Value, out_channels: usize) -> Value {
        if self.stride == 1 && graph.channels(input) == out_channels {
            return input;
        }
        // In "-D" the pool is the sequence's first, even where it does nothing.
        let (x, stride, first) = match (self.net.deep, self.stride) {
            (true, 2) => (graph.average_pool_2x2(input), 1, 1),
            (true, _) => (input, 1, 1),
            (false, stride) => (input, stride, 0),
        };
        let path = |at: usize| format!("{}.downsample.{at}", self.path);
        graph.conv(x, ConvLayer { stride, ..ConvLayer::normed(path(first), path(first + 1), out_channels) })
    }

    fn layer(&self, index: usize, kernels: &'static [usize], out_channels: usize) -> ConvLayer {
        let (conv, norm) = (format!("{}.conv{index}", self.path), format!("{}.bn{index}", self.path));
        ConvLayer { kernels, activation: Activation::Relu, ..ConvLayer::normed(conv, norm, out_channels) }
    }
}

/// Channels inside a squeeze-excite: a sixteenth, to the nearest multiple of 8 (timm's `make_divisible`).
fn reduced(channels: usize) -> usize {
    ((channels / 16 + 4) / 8 * 8).max(8)
}
