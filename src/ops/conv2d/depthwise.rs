//! Depthwise convolution and its gradients: each channel is filtered alone.

use rayon::prelude::*;

use super::filters::{Filter, Filters, OUTER_TAPS, Outer, ROWS};
use super::gather::{Forward, Gather};
use super::product::{Operands, Pointers};
use super::{ConvSpec, Window};
use crate::ops::{Activation, Isa};

/// Tiles that a task takes, whose pointers are gathered together.
const TASK_TILES: usize = 16;

/// Weights laid out for the processor.
pub(super) struct Depthwise {
    taps: usize,
    channels: usize,
    input: Window,
    output: Window,
    /// `[taps][channels]`
    weights: Vec<f32>,
    /// `[channels]`
    shift: Vec<f32>,
    /// What a tap reads that falls outside the input.
    zeros: Vec<f32>,
    filters: Filters,
}

impl Depthwise {
    /// Lays out `weight`, `[channels][taps]`. Each channel is multiplied by its `scale` and then raised by its `shift`.
    pub fn new(spec: &ConvSpec, weight: &[f32], scale: Option<&[f32]>, shift: Option<&[f32]>, isa: Isa) -> Self {
        let (taps, channels) = (spec.taps(), spec.out_channels);
        assert_eq!(weight.len(), channels * taps, "weights of {spec:?}");
        let mut weights = vec![0.0; weight.len()];
        for (channel, filter) in weight.chunks_exact(taps).enumerate() {
            let factor = scale.map_or(1.0, |scale| scale[channel]);
            for (to, weight) in weights.iter_mut().skip(channel).step_by(channels).zip(filter) {
                *to = factor * weight;
            }
        }
        Self {
            taps,
            channels,
            input: spec.input,
            output: spec.output,
            weights,
            shift: shift.map_or_else(|| vec![0.0; channels], <[f32]>::to_vec),
            zeros: vec![0.0; channels],
            filters: Filters::new(isa),
        }
    }

    /// The way back, from the output's gradient to the input's.
    pub fn backward(spec: &ConvSpec, weight: &[f32], isa: Isa) -> Self {
        Self { input: spec.output, output: spec.input, ..Self::new(spec, weight, None, None, isa) }
    }

    /// `out = activation(sum + residual)` in the window's channels. `gather` says what each tap of an output pixel
    /// reads. The result does not depend on the number of threads.
    pub fn run(&self, operands: Operands, gather: &impl Gather) {
        let Operands { input, residual, activation, out } = operands;
        let pixels = out.len() / self.output.of;
        assert_eq!(out.len(), pixels * self.output.of);
        assert!(residual.is_none_or(|residual| residual.len() == out.len()));
        let in_pixels = input.len() / self.input.of;
        let pointers = Pointers::new(input, residual, out);
        let tiles = pixels.div_ceil(ROWS);
        (0..tiles.div_ceil(TASK_TILES)).into_par_iter().for_each(|task| {
            let mut inputs = Vec::with_capacity(self.taps * ROWS);
            for tile in task * TASK_TILES..tiles.min((task + 1) * TASK_TILES) {
                // Rows beyond the last pixel repeat it; they are not written.
                let positions: [_; ROWS] =
                    std::array::from_fn(|row| gather.position((tile * ROWS + row).min(pixels - 1)));
                inputs.clear();
                for tap in 0..self.taps {
                    inputs.extend(positions.iter().map(|&position| match gather.source(position, tap) {
                        Some(from) => {
                            assert!(from < in_pixels);
                            pointers.input.wrapping_add(from * self.input.of + self.input.first)
                        }
                        None => self.zeros.as_ptr(),
                    }));
                }
                // SAFETY: `inputs` points to `channels` values for each tap and row; `out` and the residual hold `pixels`
                // pixels of `output.of` values, and the tile's are this task's alone.
                unsafe { self.run_tile(pointers, &inputs, tile * ROWS, ROWS.min(pixels - tile * ROWS), activation) }
            }
        });
    }

    /// # Safety
    /// `inputs` is `[taps][ROWS]`, each valid for `channels` values; `pointers.out` (and the residual, unless null)
    /// holds the `rows` pixels from `first`, which nobody else writes.
    unsafe fn run_tile(
        &self,
        pointers: Pointers,
        inputs: &[*const f32],
        first: usize,
        rows: usize,
        activation: Activation,
    ) {
        let at = first * self.output.of + self.output.first;
        let residual = pointers.residual;
        // SAFETY: as the caller vouches; the window's channels lie within each pixel.
        unsafe {
            let out = pointers.out.add(at);
            (self.filters.filter)(&Filter {
                taps: inputs.as_ptr(),
                tap_count: self.taps,
                channels: self.channels,
                weights: self.weights.as_ptr(),
                shift: self.shift.as_ptr(),
                residual: if residual.is_null() { residual } else { residual.add(at) },
                slope: activation.slope(),
                out,
                out_stride: self.output.of,
                rows,
            });
            if activation.is_curved() {
                for row in 0..rows {
                    activation.bend(std::slice::from_raw_parts_mut(out.add(row * self.output.of), self.channels));
                }
            }
        }
    }
}

/// Adds dL/dweight to `out`, `[channels][taps]`. Sums run over pixels in one order, whatever the number of threads.
pub(super) fn weight_gradient(
    spec: &ConvSpec,
    input: &[f32],
    gather: &Forward,
    gradient: &[f32],
    out: &mut [f32],
    isa: Isa,
) {
    let (taps, channels) = (spec.taps(), spec.out_channels);
    let pixels = gradient.len() / spec.output.of;
    // So many pixels that adding up the tasks' sums is little beside them.
    let step = 256.max(8 * taps);
    let filters = Filters::new(isa);
    let zeros = vec![0.0; channels];
    let partial: Vec<Vec<f32>> = (0..pixels.div_ceil(step))
        .into_par_iter()
        .map(|task| {
            let block = task * step..pixels.min((task + 1) * step);
            let positions: Vec<_> = block.clone().map(|pixel| gather.position(pixel)).collect();
            let mut sums = vec![0.0; taps * channels];
            let mut inputs = Vec::with_capacity(OUTER_TAPS * block.len());
            let mut tap = 0;
            while tap < taps {
                let (count, outer) =
                    if taps - tap >= OUTER_TAPS { (OUTER_TAPS, filters.outer) } else { (1, filters.outer_one) };
                inputs.clear();
                for tap in tap..tap + count {
                    inputs.extend(positions.iter().map(|&position| match gather.source(position, tap) {
                        Some(from) => input[from * spec.input.of + spec.input.first..][..channels].as_ptr(),
                        None => zeros.as_ptr(),
                    }));
                }
                // SAFETY: each of `inputs` points to `channels` values; so does each of the block's pixels in the
                // gradient from the window's first channel; `sums` has as many for each of the taps.
                unsafe {
                    outer(&Outer {
                        pixels: block.len(),
                        inputs: inputs.as_ptr(),
                        gradient: gradient.as_ptr().add(block.start * spec.output.of + spec.output.first),
                        stride: spec.output.of,
                        out: sums.as_mut_ptr().add(tap * channels),
                        channels,
                    });
                }
                tap += count;
            }
            sums
        })
        .collect();
    for sums in partial {
        for (tap, sums) in sums.chunks_exact(channels).enumerate() {
            for (out, sum) in out.iter_mut().skip(tap).step_by(taps).zip(sums) {
                *out += sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Shape;

    #[test]
    fn a_window_of_channels_leaves_the_others_alone() {
        let shape = Shape::new(1, 3, 3, 5);
        let spec = ConvSpec {
            groups: 2,
            input: Window { first: 2, of: 5 },
            output: Window { first: 1, of: 4 },
            ..ConvSpec::new(2, 2, 1, 1)
        };
        let input: Vec<f32> = (0..shape.len()).map(|at| at as f32).collect();
        let mut out = vec![-1.0; 9 * 4];
        let depthwise = Depthwise::new(&spec, &[1.0, 2.0], None, None, Isa::detect());
        let gather = Forward::new(&spec, shape, spec.output(shape).unwrap());
        let activation = Activation::Identity;
        depthwise.run(Operands { input: &input, residual: None, activation, out: &mut out }, &gather);
        for (pixel, out) in out.chunks_exact(4).enumerate() {
            let from = (5 * pixel) as f32;
            assert_eq!(out, [-1.0, from + 2.0, 2.0 * (from + 3.0), -1.0]);
        }
    }
}
