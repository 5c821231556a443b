//! Weights as tensor cores want them: f16, a filter's input channels last, and channels padded with zeros to a multiple
//! of 8.
//!
//! cuDNN copies a map of 76 or 83 channels into a padded one on every call, and has none of its best kernels for it.
//! Padded once at load it never does. A padded channel stays zero through bias, activation, blur, pool, gate and sum,
//! and nobody outside sees it.

use half::f16;

use super::ConvSpec;

/// Channels in the memory of a device for `channels` of a network.
pub const fn padded_channels(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// A convolution's parameters as a device takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct PaddedConv {
    /// With the padded channels.
    pub spec: ConvSpec,
    /// `[out_channels, kernel, kernel, in_channels]`
    pub weight: Vec<f16>,
    /// `[out_channels]`
    pub bias: Vec<f32>,
}

impl PaddedConv {
    /// Lays out `weight`, `[out_channels, in_channels, kernel, kernel]` as in a checkpoint, each output channel
    /// multiplied by its `scale` in f32, then rounded once. `shift` becomes the bias.
    pub fn new(spec: &ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>) -> Self {
        assert_eq!(weight.len(), spec.weight_shape().iter().product::<usize>(), "weights of {spec:?}");
        let padded = ConvSpec {
            in_channels: padded_channels(spec.in_channels),
            out_channels: padded_channels(spec.out_channels),
            ..*spec
        };
        let taps = spec.taps();
        let mut out = vec![f16::ZERO; padded.weight_shape().iter().product()];
        let filters = out.chunks_exact_mut(taps * padded.in_channels).zip(weight.chunks_exact(spec.in_channels * taps));
        for (at, (out, filter)) in filters.enumerate() {
            let factor = scale.map_or(1.0, |scale| scale[at]);
            for (tap, out) in out.chunks_exact_mut(padded.in_channels).enumerate() {
                for (out, value) in out.iter_mut().zip(filter[tap..].iter().step_by(taps)) {
                    *out = f16::from_f32(factor * value);
                }
            }
        }
        Self { weight: out, bias: padded_vector(shift.unwrap_or_default(), padded.out_channels), spec: padded }
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

fn padded_vector(values: &[f32], len: usize) -> Vec<f32> {
    let mut padded = values.to_vec();
    padded.resize(len, 0.0);
    padded
}
