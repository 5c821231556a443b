//! A 3x3 kernel's weights at Winograd's points, packed for the inner kernels.

use rayon::prelude::*;

use super::scheme::{KERNEL, MOST_SIDE, Size};
use crate::ops::conv2d::pack::{Strides, places};
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
    /// `[points][in_channels][kernel.panel]`, zero beyond `channels`.
    pub weights: Vec<f32>,
}

/// Packs a weight tensor, whose taps lie side by side; `turned` by half a turn, as the input's gradient wants them. Each
/// output channel is multiplied by its `scale`.
pub(super) fn pack(
    size: Size,
    set: &KernelSet,
    [out_channels, in_channels]: [usize; 2],
    weight: &[f32],
    strides: Strides,
    turned: bool,
    scale: Option<&[f32]>,
) -> Vec<Panel> {
    let panels = places(set, out_channels).into_par_iter().map(|(kernel, first_channel, channels)| {
        let width = kernel.panel;
        let mut weights = vec![0.0; size.points * in_channels * width];
        for group in (0..channels).step_by(LANES) {
            let lanes = LANES.min(channels - group);
            for in_channel in 0..in_channels {
                let mut taps = [[0.0; LANES]; TAPS];
                for (at, taps) in taps.iter_mut().enumerate() {
                    let tap = in_channel * strides.in_channel + if turned { TAPS - 1 - at } else { at };
                    for (channel, value) in (first_channel + group..).zip(&mut taps[..lanes]) {
                        let factor = scale.map_or(1.0, |scale| scale[channel]);
                        *value = factor * weight[channel * strides.out_channel + tap];
                    }
                }
                let to = &mut weights[in_channel * width + group..];
                transform(size.kernel, &taps, lanes, in_channels * width, to);
            }
        }
        Panel { kernel, first_channel, channels, weights }
    });
    panels.collect()
}

vectorized! {
    /// `G g Gt`, written in steps of `stride` from one point to the next.
    fn transform(g: &[[f32; KERNEL]], taps: &[[f32; LANES]; TAPS], lanes: usize, stride: usize, to: &mut [f32]) {
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
                let mut values = [0.0; LANES];
                for (lane, value) in values.iter_mut().enumerate() {
                    *value = g[0] * half[0][lane] + g[1] * half[1][lane] + g[2] * half[2][lane];
                }
                to[(row * side + column) * stride..][..lanes].copy_from_slice(&values[..lanes]);
            }
        }
    }
}
