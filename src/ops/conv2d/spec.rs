//! Geometry of a convolution.

use anyhow::{Result, ensure};

use crate::ops::Shape;

/// A convolution with a square kernel, over all channels of its feature maps or over a window of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    pub in_channels: usize,
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// Equal shares of the channels, in and out, that see nothing of each other. Divides both counts.
    pub groups: usize,
    /// Where `in_channels` lie in the input, `out_channels` in the output.
    pub input: Window,
    pub output: Window,
}

/// A run of a feature map's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub first: usize,
    /// Channels of the whole map.
    pub of: usize,
}

impl ConvSpec {
    /// A convolution over all channels whose padding keeps the size at stride 1 where `kernel` is odd.
    pub const fn new(in_channels: usize, out_channels: usize, kernel: usize, stride: usize) -> Self {
        let [input, output] = [Window { first: 0, of: in_channels }, Window { first: 0, of: out_channels }];
        Self { in_channels, out_channels, kernel, stride, padding: kernel / 2, groups: 1, input, output }
    }

    /// The output's shape, or why the input does not fit.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        ensure!(
            input.channels == self.input.of,
            "a convolution of {} input channels got a feature map {input}",
            self.input.of
        );
        let side = |size: usize| (size + 2 * self.padding).checked_sub(self.kernel).map(|span| span / self.stride + 1);
        match (side(input.height), side(input.width)) {
            (Some(height), Some(width)) => Ok(Shape::new(input.batch, height, width, self.output.of)),
            _ => anyhow::bail!("a {0}x{0} convolution got a feature map {input}, smaller than its kernel", self.kernel),
        }
    }

    /// Shape of the weight in a checkpoint: output channels, input channels of a group, kernel height, kernel width.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups, self.kernel, self.kernel]
    }

    /// Multiplications with accumulation for an output of `area` positions.
    pub fn macs(&self, area: usize) -> u64 {
        area as u64 * self.weight_shape().iter().map(|&dim| dim as u64).product::<u64>()
    }

    /// Whether each channel is filtered alone.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Whether every output channel sees every channel of its map.
    pub fn is_dense(&self) -> bool {
        self.groups == 1 && self.in_channels == self.input.of && self.out_channels == self.output.of
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}
