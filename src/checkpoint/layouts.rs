//! Who names what how. Networks here ask for canonical names: timm's, and torch-resnet's own for its networks; a file
//! of another layout is renamed to them.

use std::fmt;

/// The convention by which a file names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// TResNet as its authors publish it, whose normalisation is In-Place ABN.
    OriginalTresnet,
    /// TResNet as timm saves it.
    Timm,
    /// torch-resnet.
    TorchResnet,
    /// torchvision's ResNets, and timm's, which share their names.
    Torchvision,
    /// EfficientNets and MixNets as timm saves them.
    TimmEfficientNet,
    /// EfficientNets B0 to B4 as torchvision saves them.
    TorchvisionEfficientNet,
    /// B5 to B7, whose norms have another epsilon.
    TorchvisionLargeEfficientNet,
    Unknown,
}

/// What becomes of a file's tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the weight of this canonical name.
    Weight(String),
    /// It is the weight of this canonical name once its sign is off and In-Place ABN's epsilon on.
    AbnWeight(String),
    /// It is a constant or a counter that evaluation has no use for.
    Unused,
}

/// In-Place ABN scales by |weight| + eps, eps as in `inplace_abn`'s layers and timm's conversion of TResNet files.
pub(super) const ABN_EPSILON: f32 = 1e-5;

/// Wrappers of data-parallel, compiled and averaged models.
const PREFIXES: [&str; 3] = ["module.", "_orig_mod.", "model."];

impl Layout {
    /// Recognises the layout from the names.
    pub(super) fn recognise<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let any = |test: fn(&str) -> bool| names.clone().map(strip).any(test);
        if any(|name| name.starts_with("body.") && (name.contains(".conv.") || name.contains(".bn."))) {
            Self::Timm
        } else if any(|name| name.starts_with("body.conv1.") || name.starts_with("body.layer")) {
            Self::OriginalTresnet
        } else if any(|name| name.starts_with("init_layer.")) {
            Self::TorchResnet
        } else if any(|name| name.starts_with("layer1.0.conv1.")) {
            Self::Torchvision
        } else if any(|name| name.starts_with("conv_stem.")) {
            Self::TimmEfficientNet
        } else if any(|name| name.starts_with("features.1.0.block.")) {
            // B4's last stage has two blocks, B5's three.
            let large = any(|name| name.starts_with("features.7.2."));
            if large { Self::TorchvisionLargeEfficientNet } else { Self::TorchvisionEfficientNet }
        } else {
            Self::Unknown
        }
    }

    /// What the tensor of this name in a file is.
    pub(super) fn role(self, name: &str) -> Role {
        let name = strip(name);
        // Blur filters are constants; older files hold them. The counters serve training without momentum alone.
        if name.ends_with(".filt") || name.ends_with("num_batches_tracked") {
            return Role::Unused;
        }
        let renamed = match self {
            Self::OriginalTresnet => from_original(name),
            Self::TorchvisionEfficientNet | Self::TorchvisionLargeEfficientNet => from_torchvision(name),
            _ => None,
        };
        let renamed = renamed.unwrap_or_else(|| name.to_owned());
        let is_abn = self == Self::OriginalTresnet && renamed.ends_with(".bn.weight");
        if is_abn { Role::AbnWeight(renamed) } else { Role::Weight(renamed) }
    }

    /// The canonical name of the head's weight, of shape [classes, features].
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::OriginalTresnet | Self::Timm => "head.fc.weight",
            Self::TorchResnet => "head.weight",
            Self::TimmEfficientNet | Self::TorchvisionEfficientNet | Self::TorchvisionLargeEfficientNet => {
                "classifier.weight"
            }
            Self::Torchvision | Self::Unknown => "fc.weight",
        }
    }

    /// What the canonical names of the head's tensors begin with.
    pub fn head_path(self) -> &'static str {
        self.head().trim_end_matches("weight")
    }

    /// What the norms of its networks add to a variance, where that is not what the network's row says: torchvision's
    /// `efficientnet_b5` to `b7` are built with `BatchNorm2d(eps=0.001)`.
    pub(super) fn norm_epsilon(self) -> Option<f32> {
        (self == Self::TorchvisionLargeEfficientNet).then_some(1e-3)
    }

    /// The canonical names that the first convolution's weight may have, and how many of its input channels one
    /// channel of an image becomes (16 where 4 x 4 pixels become channels first).
    pub(super) fn stem(self) -> (&'static [&'static str], usize) {
        match self {
            Self::OriginalTresnet | Self::Timm => (&["body.conv1.conv.weight"], 16),
            // Before the activation moved forward the stem was a sequence.
            Self::TorchResnet => (&["init_layer.0.weight", "init_layer.weight"], 1),
            Self::TimmEfficientNet | Self::TorchvisionEfficientNet | Self::TorchvisionLargeEfficientNet => {
                (&["conv_stem.weight"], 1)
            }
            // The stem of three convolutions is a sequence too.
            Self::Torchvision | Self::Unknown => (&["conv1.weight", "conv1.0.weight"], 1),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OriginalTresnet => "original TResNet",
            Self::Timm | Self::TimmEfficientNet => "timm",
            Self::TorchResnet => "torch-resnet",
            Self::Torchvision | Self::TorchvisionEfficientNet | Self::TorchvisionLargeEfficientNet => "torchvision",
            Self::Unknown => "unknown",
        })
    }
}

/// A name without the prefixes of wrappers.
fn strip(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// The original builds `Sequential(conv, abn)`, and `Sequential(Sequential(conv, abn), blur)` where a blur-pool
/// follows; timm names the two `conv` and `bn`. `None` where the names agree.
fn from_original(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (at, part) = parts.iter().enumerate().find(|(_, part)| is_unit(part))?;
    // A shortcut's index stays: 0, or 1 behind a pool.
    let kept = if *part == "downsample" { at + 2 } else { at + 1 };
    let (head, tail) = parts.split_at_checked(kept)?;
    let (unit, leaf) = match tail {
        ["0", "0", leaf] | ["0", leaf] => ("conv", leaf),
        ["0", "1", leaf] | ["1", leaf] => ("bn", leaf),
        _ => return None,
    };
    Some(format!("{}.{unit}.{leaf}", head.join(".")))
}

/// torchvision numbers an EfficientNet's layers, and counts the stem as a stage; the first stage's blocks do not widen
/// and so are a layer shorter. `None` for the names of other networks.
fn from_torchvision(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    Some(match parts[..] {
        ["features", "0", "0", leaf] => format!("conv_stem.{leaf}"),
        ["features", "0", "1", leaf] => format!("bn1.{leaf}"),
        ["features", "8", "0", leaf] => format!("conv_head.{leaf}"),
        ["features", "8", "1", leaf] => format!("bn2.{leaf}"),
        ["classifier", "1", leaf] => format!("classifier.{leaf}"),
        ["features", stage, block, "block", layer, unit, leaf] => {
            let stage: usize = stage.parse().ok()?;
            let unit = match (stage, layer, unit) {
                (1, "1", "fc1") | (2.., "2", "fc1") => "se.conv_reduce",
                (1, "1", "fc2") | (2.., "2", "fc2") => "se.conv_expand",
                (1, "0", "0") | (2.., "1", "0") => "conv_dw",
                (1, "2", "0") | (2.., "0", "0") => "conv_pw",
                (1, "0", "1") | (2.., "0", "1") => "bn1",
                (1, "2", "1") | (2.., "1", "1") => "bn2",
                (2.., "3", "0") => "conv_pwl",
                (2.., "3", "1") => "bn3",
                _ => return None,
            };
            format!("blocks.{}.{block}.{unit}.{leaf}", stage.checked_sub(1)?)
        }
        _ => return None,
    })
}

fn is_unit(part: &str) -> bool {
    part == "downsample" || matches!(part, "conv1" | "conv2" | "conv3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_original_names_becomes_timms() {
        let weight = |name: &str| Role::Weight(name.to_owned());
        let abn = |name: &str| Role::AbnWeight(name.to_owned());
        for (original, role) in [
            ("body.conv1.0.weight", weight("body.conv1.conv.weight")),
            ("body.conv1.1.weight", abn("body.conv1.bn.weight")),
            ("body.conv1.1.running_var", weight("body.conv1.bn.running_var")),
            ("body.layer1.0.conv1.0.weight", weight("body.layer1.0.conv1.conv.weight")),
            ("body.layer2.0.conv1.0.0.weight", weight("body.layer2.0.conv1.conv.weight")),
            ("body.layer2.0.conv1.0.1.weight", abn("body.layer2.0.conv1.bn.weight")),
            ("body.layer2.0.conv1.0.1.bias", weight("body.layer2.0.conv1.bn.bias")),
            ("body.layer3.0.conv2.1.op.filt", Role::Unused),
            ("body.layer3.0.conv2.1.filt", Role::Unused),
            ("body.layer3.1.conv3.1.weight", abn("body.layer3.1.conv3.bn.weight")),
            ("body.layer3.1.conv3.1.num_batches_tracked", Role::Unused),
            ("body.layer2.0.downsample.1.0.weight", weight("body.layer2.0.downsample.1.conv.weight")),
            ("body.layer2.0.downsample.1.1.weight", abn("body.layer2.0.downsample.1.bn.weight")),
            ("body.layer1.0.downsample.0.1.running_mean", weight("body.layer1.0.downsample.0.bn.running_mean")),
            ("body.layer1.0.se.fc1.bias", weight("body.layer1.0.se.fc1.bias")),
            ("module.head.fc.weight", weight("head.fc.weight")),
        ] {
            assert_eq!(Layout::OriginalTresnet.role(original), role, "{original}");
        }
    }

    #[test]
    fn torchvisions_efficientnets_are_timms_by_other_names() {
        for (torchvision, timm) in [
            ("features.0.0.weight", "conv_stem.weight"),
            ("features.0.1.running_mean", "bn1.running_mean"),
            ("features.1.0.block.0.0.weight", "blocks.0.0.conv_dw.weight"),
            ("features.1.0.block.1.fc2.bias", "blocks.0.0.se.conv_expand.bias"),
            ("features.1.0.block.2.1.weight", "blocks.0.0.bn2.weight"),
            ("features.4.2.block.0.0.weight", "blocks.3.2.conv_pw.weight"),
            ("features.4.2.block.1.1.bias", "blocks.3.2.bn2.bias"),
            ("features.4.2.block.3.0.weight", "blocks.3.2.conv_pwl.weight"),
            ("features.8.1.weight", "bn2.weight"),
            ("classifier.1.bias", "classifier.bias"),
        ] {
            let role = Layout::TorchvisionEfficientNet.role(torchvision);
            assert_eq!(role, Role::Weight(timm.to_owned()), "{torchvision}");
        }
    }

    #[test]
    fn layouts_are_recognised_from_their_names() {
        for (names, layout) in [
            (&["module.body.conv1.0.weight"][..], Layout::OriginalTresnet),
            (&["body.layer1.0.se.fc1.weight", "module.body.conv1.conv.weight"], Layout::Timm),
            (&["_orig_mod.module.init_layer.0.weight", "head.weight"], Layout::TorchResnet),
            (&["conv1.weight", "layer1.0.conv1.weight"], Layout::Torchvision),
            (&["conv1.0.weight", "layer1.0.conv1.weight", "layer1.0.se.fc1.weight"], Layout::Torchvision),
            (&["module.conv_stem.weight", "blocks.0.0.conv_dw.weight"], Layout::TimmEfficientNet),
            (&["init_layer.weight", "norm.weight"], Layout::TorchResnet),
            (&["features.1.0.block.0.0.weight", "features.7.1.block.0.0.weight"], Layout::TorchvisionEfficientNet),
            (&["features.1.0.block.0.0.weight", "features.7.2.block.0.0.weight"], Layout::TorchvisionLargeEfficientNet),
            (&["encoder.weight"], Layout::Unknown),
        ] {
            assert_eq!(Layout::recognise(names.iter().copied()), layout);
        }
    }
}
