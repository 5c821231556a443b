//! Weights as tensor cores want them: a filter's input channels last, and channels padded with zeros to a multiple of 8.
//!
//! cuDNN copies a map of 76 or 83 channels into a padded one on every call, and has none of its best kernels for it.
//! Padded once at load it never does. A padded channel stays zero through bias, activation, blur, pool, gate and sum,
//! and nobody outside sees it.

use super::ConvSpec;
use crate::ops::cuda::conv2d::filter_for_device;
use crate::ops::cuda::padded;

/// A convolution's parameters as a device takes them, before they are rounded to its element.
#[derive(Clone, Debug, PartialEq)]
pub struct PaddedConv {
    /// With the padded channels.
    pub spec: ConvSpec,
    /// `[out_channels, kernel, kernel, in_channels]`
    pub weight: Vec<f32>,
    /// `[out_channels]`
    pub bias: Vec<f32>,
}

impl ConvSpec {
    /// The convolution with its channels padded: a dense one, or one whose groups make a multiple of eight already.
    pub fn padded(&self) -> Self {
        if self.groups > 1 {
            return *self;
        }
        let wide = Self::new(padded(self.in_channels), padded(self.out_channels), self.kernel, self.stride);
        Self { padding: self.padding, ..wide }
    }
}

impl PaddedConv {
    /// Lays out `weight`, `[out_channels, in_channels, kernel, kernel]` as in a checkpoint, each output channel
    /// multiplied by its `scale`. `shift` becomes the bias.
    pub fn new(spec: &ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>) -> Self {
        let filter = spec.in_channels / spec.groups * spec.taps();
        let factor = |channel: usize| scale.map_or(1.0, |scale| scale[channel]);
        let scaled: Vec<f32> = weight.iter().enumerate().map(|(at, value)| factor(at / filter) * value).collect();
        let wide = spec.padded();
        Self {
            spec: wide,
            weight: filter_for_device(spec, &scaled, padded),
            bias: padded_vector(shift.unwrap_or_default(), wide.out_channels),
        }
    }
}

/// A linear layer's parameters as a device takes them, in f32: such layers are small and last.
#[derive(Clone, Debug, PartialEq)]
pub struct PaddedLinear {
    /// `[outputs, inputs]`
    pub weight: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
}

impl PaddedLinear {
    /// `weight` is `[outputs, inputs]` as in a checkpoint, `bias` `[outputs]`; both become as large as `padded`, which
    /// are outputs and inputs too.
    pub fn new([outputs, inputs]: [usize; 2], weight: &[f32], bias: &[f32], padded: [usize; 2]) -> Self {
        assert_eq!((weight.len(), bias.len()), (outputs * inputs, outputs), "a linear layer of {outputs}x{inputs}");
        assert!(outputs <= padded[0] && inputs <= padded[1], "{outputs}x{inputs} padded to {padded:?}");
        let mut out = vec![0.0; padded[0] * padded[1]];
        for (out, row) in out.chunks_exact_mut(padded[1]).zip(weight.chunks_exact(inputs)) {
            out[..inputs].copy_from_slice(row);
        }
        Self { weight: out, bias: padded_vector(bias, padded[0]) }
    }
}

/// One value a channel, with zeros behind them up to `len`.
pub fn padded_vector(values: &[f32], len: usize) -> Vec<f32> {
    let mut longer = values.to_vec();
    longer.resize(len, 0.0);
    longer
}
