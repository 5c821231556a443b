//! The CIFAR ResNets of torch-resnet (He et al., arXiv 1512.03385, section 4.2): a 3x3 stem, three stages of 16, 32
//! and 64 channels. Parameters bear torch-resnet's names.

use super::variant::{Architecture, Config, Variant};
use crate::nn::{ConvNorm, Graph, Value, torch_default};
use crate::ops::Activation;
use crate::preprocessing::{Interpolation, Preset};

/// What tells one CIFAR ResNet from another.
#[derive(Clone, Copy, Debug)]
pub struct ResNetCifar {
    /// Blocks in each of the three stages.
    pub blocks: usize,
    /// Whether the blocks are bottlenecks (expansion 4), as in 164 and 1001, rather than basic.
    pub bottleneck: bool,
}

const fn basic(blocks: usize) -> ResNetCifar {
    ResNetCifar { blocks, bottleneck: false }
}

const fn bottleneck(blocks: usize) -> ResNetCifar {
    ResNetCifar { blocks, bottleneck: true }
}

/// The aliases are torch-resnet's own spelling.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "resnet20", aliases: &["ResNet20"], network: &basic(3), ..ROW },
    Variant { name: "resnet32", aliases: &["ResNet32"], network: &basic(5), ..ROW },
    Variant { name: "resnet44", aliases: &["ResNet44"], network: &basic(7), ..ROW },
    Variant { name: "resnet56", aliases: &["ResNet56"], network: &basic(9), ..ROW },
    Variant { name: "resnet110", aliases: &["ResNet110"], network: &basic(18), ..ROW },
    Variant { name: "resnet164", aliases: &["ResNet164"], network: &bottleneck(18), ..ROW },
    Variant { name: "resnet1001", aliases: &["ResNet1001"], network: &bottleneck(111), ..ROW },
    Variant { name: "resnet1202", aliases: &["ResNet1202"], network: &basic(200), ..ROW },
];

/// What the rows share. Mean and deviation are those of torch-resnet's CIFAR-10 example; images of 32 pixels pass as
/// they are.
const ROW: Variant = Variant {
    name: "",
    aliases: &[],
    network: &basic(3),
    num_classes: 10,
    input_size: 32,
    crop_pct: 1.0,
    interpolation: Interpolation::Bilinear,
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2023, 0.1994, 0.2010],
    preset: Preset::Timm,
    squash_at: None,
    published: None,
};

/// Channels of the stem and of the first stage's planes.
const WIDTH: usize = 16;

impl Config for ResNetCifar {
    fn family(&self) -> &'static str {
        "resnet_cifar"
    }

    fn architecture(&self, num_classes: usize, in_chans: usize) -> Architecture {
        let (mut graph, image) = Graph::new(in_chans, 1);
        let stem = ConvNorm::new("init_layer.0".into(), "init_layer.1".into(), WIDTH);
        let mut x = graph.conv_norm(image, ConvNorm { kernel: 3, activation: Activation::Relu, ..stem });
        for stage in 0..3 {
            for block in 0..self.blocks {
                let path = format!("layers.{stage}.{block}");
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = self.block(&mut graph, x, &path, WIDTH << stage, stride);
            }
        }
        let features = graph.global_average_pool(x);
        let init = torch_default(graph.channels(features));
        let logits = graph.linear(features, "head", num_classes, init);
        Architecture { graph, features, logits }
    }
}

impl ResNetCifar {
    fn block(&self, graph: &mut Graph, input: Value, path: &str, planes: usize, stride: usize) -> Value {
        let out_channels = if self.bottleneck { 4 * planes } else { planes };
        let layer = |index: usize, kernel, out_channels| ConvNorm {
            kernel,
            activation: Activation::Relu,
            ..ConvNorm::new(format!("{path}.conv{index}"), format!("{path}.bn{index}"), out_channels)
        };
        let residual = Some(shortcut(graph, input, path, out_channels, stride));
        if self.bottleneck {
            let x = graph.conv_norm(input, layer(1, 1, planes));
            let x = graph.conv_norm(x, ConvNorm { stride, ..layer(2, 3, planes) });
            graph.conv_norm(x, ConvNorm { residual, ..layer(3, 1, out_channels) })
        } else {
            let x = graph.conv_norm(input, ConvNorm { stride, ..layer(1, 3, planes) });
            graph.conv_norm(x, ConvNorm { residual, ..layer(2, 3, out_channels) })
        }
    }
}

/// Option B of the paper: the input itself where the shape stays, else a 1x1 convolution that strides.
fn shortcut(graph: &mut Graph, input: Value, path: &str, out_channels: usize, stride: usize) -> Value {
    if stride == 1 && graph.channels(input) == out_channels {
        return input;
    }
    let conv = ConvNorm::new(format!("{path}.shortcut.0.conv"), format!("{path}.shortcut.1"), out_channels);
    graph.conv_norm(input, ConvNorm { stride, ..conv })
}
