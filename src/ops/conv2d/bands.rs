//! A depthwise convolution as a device computes it: eight channels at a time, with kernels of one side.
//!
//! The shares of a mixed convolution need not be multiples of eight. Eight channels with kernels of several sides take
//! the largest: a smaller kernel in the middle of a larger one, with zeros around, is the same convolution.

use anyhow::{Result, ensure};

use super::ConvSpec;
use crate::ops::Shape;
use crate::ops::cuda::padded;

/// Channels that share the side of their kernel.
const GROUP: usize = 8;

/// Neighbouring channels, a multiple of eight, whose kernels have one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub first: usize,
    pub channels: usize,
    pub kernel: usize,
}

/// A depthwise convolution over all channels of its map, padded to a multiple of eight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bands {
    /// In the order of the channels, none missing.
    pub bands: Vec<Band>,
    pub stride: usize,
}

impl Bands {
    /// Whether the convolutions are the parts of one that filters each channel alone, with the padding that keeps the size
    /// at stride 1.
    pub fn make_up(specs: &[ConvSpec]) -> bool {
        let Some(first) = specs.first() else { return false };
        let keeps = |spec: &ConvSpec| {
            spec.is_depthwise()
                && spec.kernel % 2 == 1
                && spec.padding == spec.kernel / 2
                && spec.stride == first.stride
                && spec.input == spec.output
        };
        specs.iter().all(keeps) && covers(specs.iter().map(|spec| [spec.input.first, spec.in_channels, spec.input.of]))
    }

    /// # Errors
    /// If they are no such parts.
    pub fn new(specs: &[ConvSpec]) -> Result<Self> {
        ensure!(Self::make_up(specs), "{specs:?} are no depthwise convolution of one map");
        let mut bands: Vec<Band> = Vec::new();
        for first in (0..padded(specs[0].input.of)).step_by(GROUP) {
            let own = specs.iter().filter(|spec| meets(spec, first));
            let kernel = own.map(|spec| spec.kernel).max().unwrap_or(1);
            match bands.last_mut() {
                Some(last) if last.kernel == kernel => last.channels += GROUP,
                _ => bands.push(Band { first, channels: GROUP, kernel }),
            }
        }
        Ok(Self { bands, stride: specs[0].stride })
    }

    /// Channels of the map, padded.
    pub fn channels(&self) -> usize {
        self.bands.iter().map(|band| band.channels).sum()
    }

    /// The output's shape.
    pub fn output(&self, input: Shape) -> Shape {
        let side = |size: usize| size.div_ceil(self.stride.max(1));
        Shape { height: side(input.height), width: side(input.width), ..input }
    }

    /// Lays out the parts' weights, `[channels][taps]` each as in a checkpoint: band after band, `[taps][channels]`. Each
    /// channel of the map is multiplied by its `scale`.
    pub fn weight(&self, parts: &[(ConvSpec, &[f32])], scale: Option<&[f32]>) -> Vec<f32> {
        let mut out = Vec::new();
        for band in &self.bands {
            let start = out.len();
            out.resize(start + band.kernel * band.kernel * band.channels, 0.0);
            let own = &mut out[start..];
            for (spec, weight) in parts {
                let margin = band.kernel.saturating_sub(spec.kernel) / 2;
                for (at, filter) in weight.chunks_exact(spec.taps()).enumerate() {
                    let channel = spec.output.first + at;
                    let Some(column) = channel.checked_sub(band.first).filter(|&column| column < band.channels) else {
                        continue;
                    };
                    let factor = scale.map_or(1.0, |scale| scale[channel]);
                    for (tap, value) in filter.iter().enumerate() {
                        let (y, x) = (tap / spec.kernel + margin, tap % spec.kernel + margin);
                        own[(y * band.kernel + x) * band.channels + column] = factor * value;
                    }
                }
            }
        }
        out
    }
}

fn meets(spec: &ConvSpec, group: usize) -> bool {
    spec.output.first < group + GROUP && group < spec.output.first + spec.out_channels
}

/// Whether runs of channels, each as its first, its length and the channels of the map, follow one another to the end.
fn covers(runs: impl Iterator<Item = [usize; 3]>) -> bool {
    let (mut next, mut of) = (0, 0);
    for [first, channels, all] in runs {
        if first != next {
            return false;
        }
        (next, of) = (first + channels, all);
    }
    next == of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Window;

    fn mixed(shares: &[(usize, usize)]) -> Vec<ConvSpec> {
        let of = shares.iter().map(|(channels, _)| channels).sum();
        let mut first = 0;
        let spec = |&(channels, kernel): &(usize, usize)| {
            let window = Window { first, of };
            first += channels;
            ConvSpec { groups: channels, input: window, output: window, ..ConvSpec::new(channels, channels, kernel, 2) }
        };
        shares.iter().map(spec).collect()
    }

    #[test]
    fn eight_channels_on_a_border_take_the_larger_kernel() {
        let bands = Bands::new(&mixed(&[(10, 3), (10, 5)])).unwrap();
        let band = |first, channels, kernel| Band { first, channels, kernel };
        assert_eq!(bands.bands, [band(0, 8, 3), band(8, 16, 5)]);
        assert_eq!((bands.channels(), bands.stride), (24, 2));
    }

    #[test]
    fn a_smaller_kernel_lies_in_the_middle_of_the_larger() {
        let specs = mixed(&[(2, 3), (2, 5)]);
        let bands = Bands::new(&specs).unwrap();
        let (small, large) = (vec![1.0; 2 * 9], vec![2.0; 2 * 25]);
        let weight = bands.weight(&[(specs[0], &small), (specs[1], &large)], Some(&[1.0, 3.0, 1.0, 1.0]));
        let taps: Vec<&[f32]> = weight.chunks_exact(8).collect();
        assert_eq!(taps.len(), 25);
        assert_eq!(taps[0], [0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(taps[12], [1.0, 3.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn parts_that_leave_channels_out_are_none() {
        let mut specs = mixed(&[(8, 3), (8, 5)]);
        specs.remove(0);
        assert!(!Bands::make_up(&specs) && Bands::new(&specs).is_err());
        assert!(Bands::new(&[]).is_err());
    }
}
