//! Depthwise convolution and its gradients: each channel is filtered alone.

use rayon::prelude::*;

use super::filters::{Filter, Filters, OUTER_TAPS, Outer, ROWS};
use super::gather::{Backward, Forward, Gather};
use super::product::{Operands, Pointers};
use super::{ConvSpec, Window};
use crate::ops::{Activation, Isa, Shape};

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
                let run = Run { first: tile * ROWS, step: 1, rows: ROWS.min(pixels - tile * ROWS) };
                // SAFETY: `inputs` points to `channels` values for each tap and row, and there are weights for each tap;
                // `out` and the residual hold `pixels` pixels of `output.of` values, and the tile's are this task's
                // alone.
                unsafe { self.run_tile(pointers, (&inputs, &self.weights), run, activation) }
            }
        });
    }

    /// As [`Self::run`] for the way back, of a convolution whose input has this shape. With a stride each input pixel is
    /// read by a share of the taps alone; pixels whose rows and columns leave the same remainders have the same taps,
    /// and go through together.
    pub fn run_backward(&self, spec: &ConvSpec, operands: Operands, gather: &Backward, shape: Shape) {
        if spec.stride == 1 {
            return self.run(operands, gather);
        }
        let Operands { input, residual, activation, out } = operands;
        assert_eq!(out.len(), shape.pixels() * self.output.of);
        assert!(residual.is_none_or(|residual| residual.len() == out.len()));
        let in_pixels = input.len() / self.input.of;
        let pointers = Pointers::new(input, residual, out);
        let phases: Vec<Phase> = (0..spec.stride * spec.stride)
            .map(|at| Phase::new(spec, [at / spec.stride, at % spec.stride], &self.weights))
            .collect();
        (0..shape.batch * shape.height).into_par_iter().for_each(|row| {
            let of_row = &phases[row % shape.height % spec.stride * spec.stride..][..spec.stride];
            let mut inputs = Vec::with_capacity(self.taps * ROWS);
            for (column, phase) in of_row.iter().enumerate() {
                let first = row * shape.width + column;
                let count = shape.width.saturating_sub(column).div_ceil(spec.stride);
                for tile in (0..count).step_by(ROWS) {
                    let pixel = |at: usize| first + at.min(count - 1) * spec.stride;
                    let positions: [_; ROWS] = std::array::from_fn(|row| gather.position(pixel(tile + row)));
                    inputs.clear();
                    for &tap in &phase.taps {
                        inputs.extend(positions.iter().map(|&position| match gather.source(position, tap) {
                            Some(from) => {
                                assert!(from < in_pixels);
                                pointers.input.wrapping_add(from * self.input.of + self.input.first)
                            }
                            None => self.zeros.as_ptr(),
                        }));
                    }
                    let run = Run { first: pixel(tile), step: spec.stride, rows: ROWS.min(count - tile) };
                    // SAFETY: as in `run`, with the phase's taps and weights; the tile's pixels lie in this task's row.
                    unsafe { self.run_tile(pointers, (&inputs, &phase.weights), run, activation) }
                }
            }
        });
    }

    /// # Safety
    /// `inputs` is `[taps][ROWS]`, each valid for `channels` values, `weights` is `[taps][channels]`; `pointers.out` (and
    /// the residual, unless null) holds the run's pixels, which nobody else writes.
    unsafe fn run_tile(
        &self,
        pointers: Pointers,
        (inputs, weights): (&[*const f32], &[f32]),
        Run { first, step, rows }: Run,
        activation: Activation,
    ) {
        let at = first * self.output.of + self.output.first;
        let residual = pointers.residual;
        // SAFETY: as the caller vouches; the window's channels lie within each pixel.
        unsafe {
            let out = pointers.out.add(at);
            (self.filters.filter)(&Filter {
                taps: inputs.as_ptr(),
                tap_count: inputs.len() / ROWS,
                channels: self.channels,
                weights: weights.as_ptr(),
                shift: self.shift.as_ptr(),
                residual: if residual.is_null() { residual } else { residual.add(at) },
                slope: activation.slope(),
                out,
                out_stride: step * self.output.of,
                rows,
            });
            if activation.is_curved() {
                for row in 0..rows {
                    activation
                        .bend(std::slice::from_raw_parts_mut(out.add(row * step * self.output.of), self.channels));
                }
            }
        }
    }
}

/// Pixels that a tile writes: `rows` of them from `first`, `step` apart.
struct Run {
    first: usize,
    step: usize,
    rows: usize,
}

/// The taps that read pixels of some remainders of row and column.
struct Phase {
    taps: Vec<usize>,
    /// `[taps][channels]`
    weights: Vec<f32>,
}

impl Phase {
    /// Of the remainders of row and column by the stride; `weights` are those of all taps.
    fn new(spec: &ConvSpec, remainders: [usize; 2], weights: &[f32]) -> Self {
        let reads = |tap: &usize| {
            let offsets = [tap / spec.kernel, tap % spec.kernel];
            let same = |(at, offset): (usize, usize)| (at + spec.padding) % spec.stride == offset % spec.stride;
            remainders.into_iter().zip(offsets).all(same)
        };
        let taps: Vec<usize> = (0..spec.taps()).filter(reads).collect();
        let weights = taps.iter().flat_map(|tap| &weights[tap * spec.out_channels..][..spec.out_channels]);
        Self { weights: weights.copied().collect(), taps }
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
