//! Geometry of a convolution.

use anyhow::{Result, ensure};

use crate::ops::Shape;

/// A convolution with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    pub in_channels: usize,
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

impl ConvSpec {
    /// The output's shape, or why the input does not fit.
    pub fn output(&self, input: Shape) -> Result<Shape> {
        ensure!(
            input.channels == self.in_channels,
            "a convolution of {} input channels got a feature map {input}",
            self.in_channels
        );
        let side = |size: usize| (size + 2 * self.padding).checked_sub(self.kernel).map(|span| span / self.stride + 1);
        match (side(input.height), side(input.width)) {
            (Some(height), Some(width)) => Ok(Shape::new(input.batch, height, width, self.out_channels)),
            _ => anyhow::bail!("a {0}x{0} convolution got a feature map {input}, smaller than its kernel", self.kernel),
        }
    }

    /// Shape of the weight in a checkpoint: output channels, input channels, kernel height, kernel width.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels, self.kernel, self.kernel]
    }

    /// Multiplications with accumulation for an output of `area` positions.
    pub fn macs(&self, area: usize) -> u64 {
        area as u64 * self.weight_shape().iter().map(|&dim| dim as u64).product::<u64>()
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
}
