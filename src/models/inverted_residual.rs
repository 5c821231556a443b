//! The blocks of mobile networks (MobileNetV2, Sandler et al., arXiv 1801.04381): widen, filter each channel, gate,
//! narrow; and networks that are rows of them. EfficientNet and MixNet are such. Parameters bear timm's names.

use std::cmp::max;

use candle_nn::Init;

use super::variant::{Architecture, Request};
use crate::nn::{ConvLayer, Graph, Grouping, NORM_EPSILON, SqueezeExciteLayer, Value};
use crate::ops::{Activation, ConvSpec};

/// A network from its stem to its classifier.
pub(super) struct Mobile<'a> {
    pub stem_channels: usize,
    /// Of the stem and of the last convolution.
    pub activation: Activation,
    pub stages: &'a [&'a [Blocks]],
    /// Channels of the last convolution.
    pub features: usize,
    /// Factor of all channels of blocks and stem, each of which becomes a multiple of 8.
    pub width: f64,
    /// Factor of a stage's blocks, and how their number becomes whole.
    pub depth: f64,
    pub whole: fn(f64) -> f64,
}

/// Equal blocks in a row, of which the first alone strides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub repeats: usize,
    /// Kernels of the depthwise convolution, and of the pointwise ones that widen and narrow.
    pub kernels: &'static [usize],
    pub widen: &'static [usize],
    pub narrow: &'static [usize],
    pub stride: usize,
    /// Channels within for each of the input's; 1 is a block that does not widen.
    pub expansion: usize,
    pub channels: usize,
    /// Channels inside the gate for each of the block's input; 0 is no gate.
    pub gate: f64,
    pub activation: Activation,
}

impl Mobile<'_> {
    pub fn build(&self, request: &Request) -> Architecture {
        let (mut graph, image) = Graph::new(request.in_chans, 1);
        graph.set_norm_epsilon(request.kwargs.bn_eps.unwrap_or(NORM_EPSILON));
        let stem = layer("conv_stem", "bn1", self.scaled(self.stem_channels));
        let stem = ConvLayer { kernels: &[3], stride: 2, activation: self.activation, ..stem };
        let mut x = graph.conv(image, stem);
        let repeats = |rows: &&[Blocks]| {
            let repeats: Vec<usize> = rows.iter().map(|row| row.repeats).collect();
            scaled_repeats(&repeats, self.depth, self.whole)
        };
        let stages: Vec<Vec<usize>> = self.stages.iter().map(repeats).collect();
        let count: usize = stages.iter().flatten().sum();
        let mut before = 0;
        for (stage, (rows, repeats)) in self.stages.iter().zip(stages).enumerate() {
            let blocks = rows.iter().zip(repeats).flat_map(|(row, repeats)| {
                (0..repeats).map(move |at| Blocks { stride: if at == 0 { row.stride } else { 1 }, ..*row })
            });
            for (at, block) in blocks.enumerate() {
                let block = Blocks { channels: self.scaled(block.channels), ..block };
                x = block.add_to(&mut graph, x, &format!("blocks.{stage}.{at}"));
                // timm counts blocks without a shortcut too, and its last block drops a little less than the share.
                graph.set_depth(x, before as f64 / count as f64);
                before += 1;
            }
        }
        let head = layer("conv_head", "bn2", self.features);
        let x = graph.conv(x, ConvLayer { activation: self.activation, ..head });
        let features = graph.global_average_pool(x);
        let bound = 1.0 / (request.num_classes as f64).sqrt();
        let init = [Init::Uniform { lo: -bound, up: bound }, Init::Const(0.0)];
        let logits = graph.linear(features, "classifier", request.num_classes, init);
        Architecture { graph, features, logits }
    }

    fn scaled(&self, channels: usize) -> usize {
        round_channels(channels as f64 * self.width)
    }
}

impl Blocks {
    fn add_to(&self, graph: &mut Graph, input: Value, path: &str) -> Value {
        let in_channels = graph.channels(input);
        let within = in_channels * self.expansion;
        let path = |name: &str| format!("{path}.{name}");
        // What the convolutions' names end in, and the norms' numbers, depend on how many there are.
        let (mut x, filter_norm, narrow, narrow_norm) = match self.expansion {
            1 => (input, "bn1", "conv_pw", "bn2"),
            _ => {
                let widen = layer(&path("conv_pw"), &path("bn1"), within);
                let x = graph.conv(input, ConvLayer { kernels: self.widen, activation: self.activation, ..widen });
                (x, "bn2", "conv_pwl", "bn3")
            }
        };
        let filter = ConvLayer {
            kernels: self.kernels,
            grouping: Grouping::Depthwise,
            stride: self.stride,
            activation: self.activation,
            ..layer(&path("conv_dw"), &path(filter_norm), within)
        };
        x = graph.conv(x, filter);
        if self.gate > 0.0 {
            let gate = SqueezeExciteLayer {
                reduce: path("se.conv_reduce"),
                expand: path("se.conv_expand"),
                between: self.activation,
                init: fan_out,
                bias_init: |_| Init::Const(0.0),
                ..SqueezeExciteLayer::new("", (in_channels as f64 * self.gate).round_ties_even() as usize)
            };
            x = graph.squeeze_excite(x, gate);
        }
        let residual = (self.stride == 1 && in_channels == self.channels).then_some(input);
        let narrow = layer(&path(narrow), &path(narrow_norm), self.channels);
        graph.conv(x, ConvLayer { kernels: self.narrow, residual, ..narrow })
    }
}

/// A 1x1 convolution with batch norm, to be altered by its user.
fn layer(conv: &str, norm: &str, out_channels: usize) -> ConvLayer {
    ConvLayer { init: fan_out, ..ConvLayer::normed(conv.to_owned(), norm.to_owned(), out_channels) }
}

/// Normal with a variance of two over the outputs that a weight's input reaches, as in TensorFlow's reference (timm's
/// `_init_weight_goog`).
fn fan_out(spec: &ConvSpec) -> Init {
    let reached = spec.kernel * spec.kernel * spec.out_channels / spec.groups;
    Init::Randn { mean: 0.0, stdev: (2.0 / reached as f64).sqrt() }
}

/// The nearest multiple of 8 that is not below nine tenths (timm's `round_channels`).
pub(super) fn round_channels(channels: f64) -> usize {
    let rounded = max(8, (channels + 4.0) as usize / 8 * 8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

/// So many times the blocks of a stage, shared among its rows from the last to the first, each of which keeps at least
/// one (timm's `_scale_stage_depth`).
fn scaled_repeats(repeats: &[usize], depth: f64, whole: fn(f64) -> f64) -> Vec<usize> {
    let mut left: usize = repeats.iter().sum();
    let mut scaled_left = whole(left as f64 * depth).max(1.0);
    let share = |&row: &usize| {
        let scaled = (row as f64 / left as f64 * scaled_left).round_ties_even().max(1.0);
        left -= row;
        scaled_left -= scaled;
        scaled as usize
    };
    let mut scaled: Vec<usize> = repeats.iter().rev().map(share).collect();
    scaled.reverse();
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_rounded_to_eights_but_never_far_down() {
        assert_eq!([16.0, 17.6, 20.8, 28.0, 52.0].map(round_channels), [16, 16, 24, 32, 56]);
        assert_eq!([1.0, 11.9, 12.0].map(round_channels), [8, 16, 16]);
    }

    #[test]
    fn a_stages_last_rows_grow_first() {
        assert_eq!(scaled_repeats(&[1, 3], 1.2, f64::round_ties_even), [1, 4]);
        assert_eq!(scaled_repeats(&[1, 1], 1.2, f64::round_ties_even), [1, 1]);
        assert_eq!(scaled_repeats(&[4], 3.1, f64::ceil), [13]);
    }
}
