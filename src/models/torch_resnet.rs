//! torch-resnet's networks: ResNets and wide ResNets for ImageNet and CIFAR with the activation behind each sum (He et
//! al., arXiv 1512.03385; Zagoruyko and Komodakis, arXiv 1605.07146) or before each convolution (arXiv 1603.05027).
//! Parameters bear torch-resnet's names.

use anyhow::{Result, bail, ensure};
use candle_nn::Init;

use super::kwargs::{ModelKwargs, Shortcut};
use super::variant::{Architecture, Config, Request, Variant};
use crate::nn::{ConvLayer, Graph, Value, kaiming_normal_fan_out, torch_default};
use crate::ops::{Activation, ConvSpec};
use crate::preprocessing::{Interpolation, Preset};

/// What tells one of torch-resnet's networks from another.
#[derive(Clone, Copy, Debug)]
pub struct TorchResNet {
    /// Blocks in each stage: four stages of 64 planes and more for ImageNet, three of 16 and more for CIFAR.
    pub blocks: &'static [usize],
    /// Whether the blocks are bottlenecks (expansion 4) rather than basic.
    pub bottleneck: bool,
    /// Whether norm and activation stand before the convolutions.
    pub pre_activation: bool,
    /// Factor of the blocks' channels.
    pub width: usize,
    /// Dropout between the convolutions of a basic block.
    pub drop_rate: f64,
}

const fn basic(blocks: &'static [usize]) -> TorchResNet {
    TorchResNet { blocks, bottleneck: false, pre_activation: false, width: 1, drop_rate: 0.0 }
}

const fn bottleneck(blocks: &'static [usize]) -> TorchResNet {
    TorchResNet { bottleneck: true, ..basic(blocks) }
}

/// With the package's own dropout.
const fn wide(blocks: &'static [usize], width: usize) -> TorchResNet {
    TorchResNet { width, drop_rate: 0.3, ..basic(blocks) }
}

const fn before(network: TorchResNet) -> TorchResNet {
    TorchResNet { pre_activation: true, ..network }
}

/// The package's own spelling, which alone tells its ResNet18 from timm's `resnet18`, whose tensors have other names.
/// Where no other network has it, the name in small letters is the row's and the spelling an alias. Wide networks are
/// rows at the widths of their paper; without one the width is 1, as the package's default is.
pub const VARIANTS: &[Variant] = &[
    Variant { name: "ResNet18", network: &basic(&[2, 2, 2, 2]), ..IMAGENET },
    Variant { name: "ResNet34", network: &basic(&[3, 4, 6, 3]), ..IMAGENET },
    Variant { name: "ResNet50", network: &bottleneck(&[3, 4, 6, 3]), ..IMAGENET },
    Variant { name: "ResNet101", network: &bottleneck(&[3, 4, 23, 3]), ..IMAGENET },
    Variant { name: "ResNet152", network: &bottleneck(&[3, 8, 36, 3]), ..IMAGENET },
    Variant { name: "ResNet200", network: &bottleneck(&[3, 24, 36, 3]), ..IMAGENET },
    Variant { name: "PreActResNet18", network: &before(basic(&[2, 2, 2, 2])), ..IMAGENET },
    Variant { name: "PreActResNet34", network: &before(basic(&[3, 4, 6, 3])), ..IMAGENET },
    Variant { name: "PreActResNet50", network: &before(bottleneck(&[3, 4, 6, 3])), ..IMAGENET },
    Variant { name: "PreActResNet101", network: &before(bottleneck(&[3, 4, 23, 3])), ..IMAGENET },
    Variant { name: "PreActResNet152", network: &before(bottleneck(&[3, 8, 36, 3])), ..IMAGENET },
    Variant { name: "PreActResNet200", network: &before(bottleneck(&[3, 24, 36, 3])), ..IMAGENET },
    Variant { name: "resnet20", aliases: &["ResNet20"], network: &basic(&[3; 3]), ..CIFAR },
    Variant { name: "resnet32", aliases: &["ResNet32"], network: &basic(&[5; 3]), ..CIFAR },
    Variant { name: "resnet44", aliases: &["ResNet44"], network: &basic(&[7; 3]), ..CIFAR },
    Variant { name: "resnet56", aliases: &["ResNet56"], network: &basic(&[9; 3]), ..CIFAR },
    Variant { name: "resnet110", aliases: &["ResNet110"], network: &basic(&[18; 3]), ..CIFAR },
    Variant { name: "resnet164", aliases: &["ResNet164"], network: &bottleneck(&[18; 3]), ..CIFAR },
    Variant { name: "resnet1001", aliases: &["ResNet1001"], network: &bottleneck(&[111; 3]), ..CIFAR },
    Variant { name: "resnet1202", aliases: &["ResNet1202"], network: &basic(&[200; 3]), ..CIFAR },
    Variant { name: "PreActResNet20", network: &before(basic(&[3; 3])), ..CIFAR },
    Variant { name: "PreActResNet32", network: &before(basic(&[5; 3])), ..CIFAR },
    Variant { name: "PreActResNet44", network: &before(basic(&[7; 3])), ..CIFAR },
    Variant { name: "PreActResNet56", network: &before(basic(&[9; 3])), ..CIFAR },
    Variant { name: "PreActResNet110", network: &before(basic(&[18; 3])), ..CIFAR },
    Variant { name: "PreActResNet164", network: &before(bottleneck(&[18; 3])), ..CIFAR },
    Variant { name: "PreActResNet1001", network: &before(bottleneck(&[111; 3])), ..CIFAR },
    Variant { name: "PreActResNet1202", network: &before(basic(&[200; 3])), ..CIFAR },
    Variant { name: "WideResNet16", network: &wide(&[2; 3], 1), ..CIFAR },
    Variant { name: "WideResNet28", network: &wide(&[4; 3], 1), ..CIFAR },
    Variant { name: "WideResNet40", network: &wide(&[6; 3], 1), ..CIFAR },
    Variant { name: "WideResNet16-10", network: &wide(&[2; 3], 10), ..CIFAR },
    Variant { name: "WideResNet28-10", network: &wide(&[4; 3], 10), ..CIFAR },
    Variant { name: "WideResNet40-10", network: &wide(&[6; 3], 10), ..CIFAR },
    Variant { name: "PreActWideResNet16", network: &before(wide(&[2; 3], 1)), ..CIFAR },
    Variant { name: "PreActWideResNet28", network: &before(wide(&[4; 3], 1)), ..CIFAR },
    Variant { name: "PreActWideResNet40", network: &before(wide(&[6; 3], 1)), ..CIFAR },
    Variant { name: "PreActWideResNet16-10", network: &before(wide(&[2; 3], 10)), ..CIFAR },
    Variant { name: "PreActWideResNet28-10", network: &before(wide(&[4; 3], 10)), ..CIFAR },
    Variant { name: "PreActWideResNet40-10", network: &before(wide(&[6; 3], 10)), ..CIFAR },
];

/// What the rows for CIFAR share. Mean and deviation are those of torch-resnet's CIFAR-10 example; images of 32 pixels
/// pass as they are.
const CIFAR: Variant = Variant {
    name: "",
    aliases: &[],
    network: &basic(&[3; 3]),
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

/// The package has no example for ImageNet; torchvision's preprocessing is what its like are trained with.
const IMAGENET: Variant = Variant {
    num_classes: 1000,
    input_size: 224,
    crop_pct: 0.875,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    ..CIFAR
};

/// Output channels of a bottleneck for each of its planes.
const EXPANSION: usize = 4;

impl Config for TorchResNet {
    fn family(&self) -> &'static str {
        "torch-resnet"
    }

    fn kwargs(&self) -> &'static [&'static str] {
        &ModelKwargs::NAMES
    }

    fn architecture(&self, request: &Request) -> Result<Architecture> {
        let ModelKwargs { small_images, width, shortcut, drop_rate, zero_init_residual, .. } = request.kwargs;
        let for_cifar = self.blocks.len() == 3;
        let block = Block {
            bottleneck: self.bottleneck,
            width: width.unwrap_or(self.width),
            drop_rate: drop_rate.unwrap_or(self.drop_rate),
            shortcut: shortcut.unwrap_or(Shortcut::Projection),
            zero_init: zero_init_residual.unwrap_or(false),
        };
        ensure!(block.drop_rate == 0.0 || !self.bottleneck, "bottlenecks have no dropout: leave drop_rate out");
        let first = if for_cifar { 16 } else { 64 };
        let (mut graph, image) = Graph::new(request.in_chans, 1);
        let mut x = self.stem(&mut graph, image, first, small_images.unwrap_or(for_cifar));
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for at in 0..blocks {
                let place = Place {
                    path: format!("layers.{stage}.{at}"),
                    planes: first << stage,
                    stride: if stage > 0 && at == 0 { 2 } else { 1 },
                };
                x = match self.pre_activation {
                    true => block.pre_activated(&mut graph, x, &place)?,
                    false => block.activated(&mut graph, x, &place)?,
                };
            }
        }
        if self.pre_activation {
            x = graph.norm(x, "norm", Activation::Relu);
        }
        let features = graph.global_average_pool(x);
        let init = [torch_default(graph.channels(features)); 2];
        let logits = graph.linear(features, "head", request.num_classes, init);
        Ok(Architecture { graph, features, logits })
    }
}

impl TorchResNet {
    fn stem(&self, graph: &mut Graph, image: Value, channels: usize, small_images: bool) -> Value {
        let pooled = !small_images;
        // A sequence of one layer is that layer.
        let path = if self.pre_activation && small_images { "init_layer" } else { "init_layer.0" };
        let layer = match self.pre_activation {
            true => ConvLayer::new(path.into(), channels),
            false => ConvLayer {
                activation: Activation::Relu,
                ..ConvLayer::normed(path.into(), "init_layer.1".into(), channels)
            },
        };
        let (kernels, stride): (&'static [usize], _) = if pooled { (&[7], 2) } else { (&[3], 1) };
        let x = graph.conv(image, ConvLayer { kernels, stride, ..layer });
        if pooled { graph.max_pool_3x3(x) } else { x }
    }
}

/// What all blocks of a network share.
struct Block {
    bottleneck: bool,
    width: usize,
    drop_rate: f64,
    shortcut: Shortcut,
    zero_init: bool,
}

/// What one block has of its own.
struct Place {
    path: String,
    planes: usize,
    stride: usize,
}

impl Block {
    /// Channels within a block, and those that it puts out.
    fn channels(&self, place: &Place) -> [usize; 2] {
        let within = place.planes * self.width;
        [within, if self.bottleneck { EXPANSION * place.planes } else { within }]
    }

    fn activated(&self, graph: &mut Graph, input: Value, place: &Place) -> Result<Value> {
        let ([within, out_channels], stride) = (self.channels(place), place.stride);
        let residual = match self.projects(graph, input, place)? {
            Some(kernels) => {
                let path = |part: &str| format!("{}.shortcut.{part}", place.path);
                let layer = ConvLayer::normed(path("0.conv"), path("1"), out_channels);
                graph.conv(input, ConvLayer { kernels, stride, ..layer })
            }
            None => graph.subsample(input, stride, out_channels),
        };
        let layer = |index: usize, kernels, channels| ConvLayer {
            kernels,
            activation: Activation::Relu,
            ..ConvLayer::normed(place.name("conv", index), place.name("bn", index), channels)
        };
        let (x, last) = if self.bottleneck {
            let x = graph.conv(input, layer(1, &[1], within));
            let x = graph.conv(x, ConvLayer { stride, ..layer(2, &[3], within) });
            (x, layer(3, &[1], out_channels))
        } else {
            let x = graph.conv(input, ConvLayer { stride, ..layer(1, &[3], within) });
            (graph.dropout(x, self.drop_rate), layer(2, &[3], out_channels))
        };
        let norm_init = if self.zero_init { 0.0 } else { 1.0 };
        Ok(graph.conv(x, ConvLayer { residual: Some(residual), norm_init, ..last }))
    }

    /// Each norm stands before a convolution: the first on its own, since the shortcut may start there, the others
    /// behind the convolutions before them.
    fn pre_activated(&self, graph: &mut Graph, input: Value, place: &Place) -> Result<Value> {
        let ([within, out_channels], stride) = (self.channels(place), place.stride);
        let projection = self.projects(graph, input, place)?;
        let start = graph.norm(input, &place.name("bn", 1), Activation::Relu);
        // What is projected is the activated input, what is not the input itself.
        let residual = match projection {
            Some(kernels) => {
                let layer = ConvLayer::new(format!("{}.shortcut.conv", place.path), out_channels);
                graph.conv(start, ConvLayer { kernels, stride, ..layer })
            }
            None => graph.subsample(input, stride, out_channels),
        };
        let layer = |index: usize, kernels| ConvLayer {
            kernels,
            activation: Activation::Relu,
            ..ConvLayer::normed(place.name("conv", index), place.name("bn", index + 1), within)
        };
        let (x, last, kernels): (_, _, &'static [usize]) = if self.bottleneck {
            let x = graph.conv(start, layer(1, &[1]));
            (graph.conv(x, ConvLayer { stride, ..layer(2, &[3]) }), 3, &[1])
        } else {
            let x = graph.conv(start, ConvLayer { stride, ..layer(1, &[3]) });
            (graph.dropout(x, self.drop_rate), 2, &[3])
        };
        let init = if self.zero_init { |_: &ConvSpec| Init::Const(0.0) } else { kaiming_normal_fan_out };
        let last = ConvLayer::new(place.name("conv", last), out_channels);
        Ok(graph.conv(x, ConvLayer { kernels, residual: Some(residual), init, ..last }))
    }

    /// The kernel of a block's shortcut, where that is a convolution.
    fn projects(&self, graph: &Graph, input: Value, place: &Place) -> Result<Option<&'static [usize]>> {
        let (inputs, [_, outputs]) = (graph.channels(input), self.channels(place));
        let changes = place.stride != 1 || inputs != outputs;
        Ok(match self.shortcut {
            Shortcut::Identity if inputs > outputs => {
                bail!("shortcut A cannot leave out channels, and {} has {inputs} before {outputs}", place.path)
            }
            Shortcut::FullProjection => Some(&[1]),
            Shortcut::Projection if changes => Some(&[1]),
            Shortcut::Convolution if changes => Some(&[3]),
            Shortcut::Identity | Shortcut::Projection | Shortcut::Convolution => None,
        })
    }
}

impl Place {
    fn name(&self, part: &str, index: usize) -> String {
        format!("{}.{part}{index}", self.path)
    }
}
