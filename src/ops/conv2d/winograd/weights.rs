//! A 3x3 kernel's weights at Winograd's points, packed for the inner kernels.

use rayon::prelude::*;

use super::scheme::{KERNEL, MOST_POINTS, MOST_SIDE, Size};
use crate::ops::bf16::pair;
use crate::ops::conv2d::pack::{Strides, in_words, places};
use crate::ops::kernels::{Kernel, KernelSet};
use crate::ops::vectorized;

/// Taps of a kernel.
const TAPS: usize = KERNEL * KERNEL;
/// Output channels that are transformed side by side.
const LANES: usize = 16;

/// The output channels that one kernel call computes.
pub(super) struct Panel {
    pub kernel: Kernel,
    pub first_channel: usize,
    pub channels: usize,
    /// `[points][words][kernel.panel]`, zero beyond `channels`.
    pub weights: Vec<f32>,
}

/// A weight tensor, whose taps lie side by side.
pub(super) struct Source<'a> {
    pub weight: &'a [f32],
    pub strides: Strides,
    /// By half a turn, as the input's gradient wants the kernels.
    pub turned: bool,
    /// What each output channel is multiplied by.
    pub scale: Option<&'a [f32]>,
}

/// Values of an input channel, or of a pair of them, at the points; as many as the scheme has.
type Points = [[f32; LANES]; MOST_POINTS];
const ZEROS: Points = [[0.0; LANES]; MOST_POINTS];

impl Source<'_> {
    /// The kernels from an input channel to the `lanes` output channels from `first` on.
    fn taps(&self, in_channel: usize, first: usize, lanes: usize, taps: &mut [[f32; LANES]; TAPS]) {
        for (at, taps) in taps.iter_mut().enumerate() {
            let tap = in_channel * self.strides.in_channel + if self.turned { TAPS - 1 - at } else { at };
            for (channel, value) in (first..).zip(&mut taps[..lanes]) {
                let factor = self.scale.map_or(1.0, |scale| scale[channel]);
                *value = factor * self.weight[channel * self.strides.out_channel + tap];
            }
        }
    }
}

/// Packs weights, in bf16 pairs of input channels or whole.
pub(super) fn pack(
    size: Size,
    set: &KernelSet,
    [out_channels, in_channels]: [usize; 2],
    source: &Source,
    is_bf16: bool,
) -> Vec<Panel> {
    let words = in_words(in_channels, is_bf16);
    let panels = places(set, out_channels).into_par_iter().map(|(kernel, first_channel, channels)| {
        let width = kernel.panel;
        let mut weights = vec![0.0; size.points * words * width];
        let (mut taps, mut values, mut second) = ([[0.0; LANES]; TAPS], ZEROS, ZEROS);
        for group in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - group);
            let mut at_points = |in_channel: usize, values: &mut Points| {
                source.taps(in_channel, first_channel + group, lanes, &mut taps);
                transform(size.kernel, &taps, values);
            };
            for word in 0..words {
                if is_bf16 {
                    at_points(2 * word, &mut values);
                    match 2 * word + 1 < in_channels {
                        true => at_points(2 * word + 1, &mut second),
                        false => second = ZEROS,
                    }
                    pair_up(&mut values, &second, size.points);
                } else {
                    at_points(word, &mut values);
                }
                for (point, values) in values.iter().enumerate().take(size.points) {
                    weights[(point * words + word) * width + group..][..lanes].copy_from_slice(&values[..lanes]);
                }
            }
        }
        Panel { kernel, first_channel, channels, weights }
    });
    panels.collect()
}

vectorized! {
    /// `G g Gt`.
    fn transform(g: &[[f32; KERNEL]], taps: &[[f32; LANES]; TAPS], values: &mut Points) {
        let mut half = [[[0.0; LANES]; KERNEL]; MOST_SIDE];
        for (g, half) in g.iter().zip(&mut half) {
            for (column, half) in half.iter_mut().enumerate() {
                for (lane, half) in half.iter_mut().enumerate() {
                    *half = g[0] * taps[column][lane] + g[1] * taps[KERNEL + column][lane] + g[2] * taps[2 * KERNEL + column][lane];
                }
            }
        }
        let side = g.len();
        for (row, half) in half.iter().enumerate().take(side) {
            for (column, g) in g.iter().enumerate() {
                for (lane, value) in values[row * side + column].iter_mut().enumerate() {
                    *value = g[0] * half[0][lane] + g[1] * half[1][lane] + g[2] * half[2][lane];
                }
            }
        }
    }
}

vectorized! {
    /// Both in the words of the first, rounded to bf16.
    fn pair_up(first: &mut Points, second: &Points, points: usize) {
        for (first, second) in first.iter_mut().zip(second).take(points) {
            for (word, second) in first.iter_mut().zip(second) {
                *word = pair(*word, *second);
            }
        }
    }
}
