//! A convolution's gradients: both are products of the same kind and speed as the forward pass.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;

use super::ConvSpec;
use super::depthwise::{self, Depthwise};
use super::gather::{Backward, Forward, Gather};
use super::outer::outer_products;
use super::pack::Sides;
use super::product::{Operands, Product};
use super::winograd::{self, Winograd};
use crate::ops::bf16::{pair_rows, row_pairs};
use crate::ops::kernels::{Kernel, KernelSet};
use crate::ops::scratch::Scratch;
use crate::ops::{Activation, Isa, Shape};

/// Rows of inputs and gradients, of a pixel or a pair of them, that stay in the caches while all of a task's tiles pass
/// over them.
const BLOCK_ROWS: usize = 256;
/// Output channels whose sums, which lie side by side, are read together.
const SUM_LANES: usize = 16;

/// `out = dL/dinput + add`: the output's gradient through the transposed weights. `shape` is the input's, `weight`
/// as in a checkpoint. Where the convolution's channels are a window of the input's, nothing else of `out` is touched.
pub fn conv2d_input_gradient(
    spec: &ConvSpec,
    weight: &[f32],
    gradient: &[f32],
    shape: Shape,
    add: Option<&[f32]>,
    out: &mut [f32],
    isa: Isa,
) -> Result<()> {
    let out_shape = spec.output(shape)?;
    assert_eq!(gradient.len(), out_shape.len(), "output's gradient of {spec:?}");
    assert_eq!(out.len(), shape.len(), "input's gradient of {spec:?}");
    let operands = Operands { input: gradient, residual: add, activation: Activation::Identity, out };
    let gather = Backward::new(spec, shape, out_shape);
    let sides = Sides::backward(spec);
    if spec.is_depthwise() {
        Depthwise::backward(spec, weight, isa).run_backward(spec, operands, &gather, shape);
    } else if let Some(transforms) = winograd::transforms(spec, true, isa) {
        let dims = [spec.in_channels, spec.out_channels];
        Winograd::pack(transforms, dims, weight, sides.strides, true, [None; 2], isa).run(operands, out_shape);
    } else {
        Product::pack(&sides, weight, None, None, isa).run(operands, &gather);
    }
    Ok(())
}

/// Adds dL/dweight to `out`, laid out as in a checkpoint; summed in f32 on every set. Sums run over pixels in one order,
/// whatever the number of threads.
pub fn conv2d_weight_gradient(
    spec: &ConvSpec,
    input: &[f32],
    shape: Shape,
    gradient: &[f32],
    out: &mut [f32],
    isa: Isa,
) -> Result<()> {
    let out_shape = spec.output(shape)?;
    assert_eq!(input.len(), shape.len(), "input of {spec:?}");
    assert_eq!(gradient.len(), out_shape.len(), "output's gradient of {spec:?}");
    assert_eq!(out.len(), spec.weight_shape().iter().product::<usize>(), "weight's gradient of {spec:?}");
    let isa = isa.without_tiles();
    if let Some(transforms) = winograd::transforms(spec, true, isa) {
        winograd::weight_gradient(transforms, spec, input, shape, gradient, out, isa);
        return Ok(());
    }
    let gather = Forward::new(spec, shape, out_shape);
    if spec.is_depthwise() {
        depthwise::weight_gradient(spec, input, &gather, gradient, out, isa);
        return Ok(());
    }
    let [in_group, out_group] = [spec.in_channels, spec.out_channels].map(|channels| channels / spec.groups);
    let in_block = Sides::forward(spec).groups_in_block();
    let zeros = vec![0.0; spec.in_channels];
    let paired = isa.is_bf16().then(|| row_pairs(gradient, spec.output.of));
    let taps = spec.taps();
    for (block, out) in out.chunks_mut(in_block * out_group * in_group * taps).enumerate() {
        let groups = out.len() / (out_group * in_group * taps);
        let (inputs, outputs) = (groups * in_group, groups * out_group);
        let outer = Outer {
            input,
            in_stride: spec.input.of,
            first_input: spec.input.first + block * in_block * in_group,
            inputs,
            pixels: gradient.len() / spec.output.of,
            shared: if isa.is_bf16() { 2 } else { 1 },
            gradient: paired.as_deref().unwrap_or(gradient),
            out_stride: spec.output.of,
            first_output: spec.output.first + block * in_block * out_group,
            outputs,
            gather: &gather,
            kernels: KernelSet::new(isa, outputs).panels(outputs),
            zeros: &zeros,
        };
        let sums = outer.sums(taps);
        // A channel's own group alone: the products between a block's groups are of no use.
        let row = in_group * taps;
        out.par_chunks_mut(SUM_LANES * row).enumerate().for_each(|(chunk, out)| {
            let lanes = out.len() / row;
            // Where the sums of an output with its group's first input lie.
            let places: [usize; SUM_LANES] = std::array::from_fn(|lane| {
                let output = chunk * SUM_LANES + lane;
                output / out_group * in_group * outputs + output
            });
            for channel in 0..in_group {
                for tap in 0..taps {
                    let sums = &sums[(tap * inputs + channel) * outputs..];
                    for (lane, place) in places.iter().enumerate().take(lanes) {
                        out[lane * row + channel * taps + tap] += sums[*place];
                    }
                }
            }
        });
    }
    Ok(())
}

/// The operands of a weight's gradient, in a block of the channels.
struct Outer<'a> {
    input: &'a [f32],
    /// Channels of an input pixel, and which of them are the block's.
    in_stride: usize,
    first_input: usize,
    inputs: usize,
    pixels: usize,
    /// Pixels in a row of the gradient: two where products are in bf16, which share words.
    shared: usize,
    gradient: &'a [f32],
    out_stride: usize,
    first_output: usize,
    outputs: usize,
    gather: &'a Forward,
    kernels: Vec<Kernel>,
    zeros: &'a [f32],
}

impl Outer<'_> {
    /// `[taps][inputs][outputs]`, the order in which the kernel writes.
    fn sums(&self, taps: usize) -> Scratch {
        let mut sums = Scratch::new(taps * self.inputs * self.outputs);
        sums.fill(0.0);
        let step = self.channels_per_task(taps);
        let tasks = sums.par_chunks_exact_mut(self.inputs * self.outputs).enumerate().flat_map(|(tap, sums)| {
            sums.par_chunks_mut(step * self.outputs).enumerate().map(move |(at, sums)| (tap, at * step, sums))
        });
        tasks.for_each(|(tap, first, sums)| self.run(tap, first..first + sums.len() / self.outputs, sums));
        sums
    }

    /// Input channels of a task: few enough that the threads have several tasks each, and whole tiles.
    fn channels_per_task(&self, taps: usize) -> usize {
        let rows = self.kernels[0].outer[0].rows;
        let wanted = (4 * rayon::current_num_threads()).div_ceil(taps);
        self.inputs.div_ceil(wanted).next_multiple_of(rows).min(self.inputs)
    }

    /// Computes one tap's sums for a range of the block's input channels into `out`, `[channels][outputs]`.
    fn run(&self, tap: usize, channels: Range<usize>, out: &mut [f32]) {
        let rows = self.pixels.div_ceil(self.shared);
        let mut inputs = Vec::with_capacity(BLOCK_ROWS);
        let mut pairs = Scratch::new(if self.shared == 1 { 0 } else { rows.min(BLOCK_ROWS) * channels.len() });
        for block in (0..rows).step_by(BLOCK_ROWS) {
            let block = block..rows.min(block + BLOCK_ROWS);
            let input = |pixel: usize| -> &[f32] {
                let position = (pixel < self.pixels).then(|| self.gather.position(pixel));
                match position.and_then(|position| self.gather.source(position, tap)) {
                    Some(from) => &self.input[from * self.in_stride + self.first_input..][channels.clone()],
                    None => &self.zeros[channels.clone()],
                }
            };
            inputs.clear();
            if self.shared == 1 {
                inputs.extend(block.clone().map(|pixel| input(pixel).as_ptr()));
            } else {
                for (row, pairs) in block.clone().zip(pairs.chunks_exact_mut(channels.len())) {
                    pair_rows(input(2 * row), input(2 * row + 1), pairs);
                    inputs.push(pairs.as_ptr());
                }
            }
            let gradients = &self.gradient[block.start * self.out_stride + self.first_output..];
            // SAFETY: each of `inputs` points to the range's channels.
            unsafe {
                outer_products(
                    &self.kernels,
                    &inputs,
                    0..channels.len(),
                    (gradients, self.out_stride),
                    self.outputs,
                    out,
                );
            }
        }
    }
}
