//! A convolution's gradients: both are products of the same kind and speed as the forward pass.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;

use super::ConvSpec;
use super::gather::{Backward, Forward, Gather};
use super::outer::outer_products;
use super::product::{Operands, Product, Strides};
use super::winograd::{self, Winograd};
use crate::ops::kernels::{Kernel, KernelSet};
use crate::ops::{Activation, Isa, Shape};

/// Pixels whose inputs and gradients stay in the caches while all of a task's tiles pass over them.
const BLOCK_PIXELS: usize = 256;

/// `out = dL/dinput + add`: the output's gradient through the transposed weights. `shape` is the input's, `weight`
/// as in a checkpoint.
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
    let dims = [spec.in_channels, spec.out_channels, spec.taps()];
    let strides = Strides { out_channel: spec.taps(), in_channel: spec.in_channels * spec.taps() };
    let operands = Operands { input: gradient, residual: add, activation: Activation::Identity, out };
    if let Some(transforms) = winograd::transforms(spec, true, isa) {
        let dims = [spec.in_channels, spec.out_channels];
        Winograd::pack(transforms, dims, weight, strides, true, [None; 2], isa).run(operands, out_shape);
        return Ok(());
    }
    let product = Product::pack(dims, weight, strides, None, None, isa);
    product.run(operands, &Backward::new(spec, shape, out_shape));
    Ok(())
}

/// Adds dL/dweight to `out`, laid out as in a checkpoint; in f32 on every set. Sums run over pixels in one order, whatever the number of
/// threads.
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
    let isa = isa.exact();
    if let Some(transforms) = winograd::transforms(spec, true, isa) {
        winograd::weight_gradient(transforms, spec, input, shape, gradient, out, isa);
        return Ok(());
    }
    let outer = Outer {
        spec,
        input,
        gradient,
        gather: Forward::new(spec, shape, out_shape),
        kernels: KernelSet::new(isa, spec.out_channels).panels(spec.out_channels),
        zeros: vec![0.0; spec.in_channels],
    };
    // [taps][in_channels][out_channels], the order in which the kernel writes.
    let mut sums = vec![0.0; out.len()];
    let step = outer.channels_per_task();
    let tap_len = spec.in_channels * spec.out_channels;
    let tasks = sums.par_chunks_exact_mut(tap_len).enumerate().flat_map(|(tap, sums)| {
        sums.par_chunks_mut(step * spec.out_channels).enumerate().map(move |(at, sums)| (tap, at * step, sums))
    });
    tasks.for_each(|(tap, first, sums)| outer.run(tap, first..first + sums.len() / spec.out_channels, sums));
    out.par_chunks_exact_mut(spec.in_channels * spec.taps()).enumerate().for_each(|(out_channel, out)| {
        for (at, out) in out.iter_mut().enumerate() {
            let (channel, tap) = (at / spec.taps(), at % spec.taps());
            *out += sums[tap * tap_len + channel * spec.out_channels + out_channel];
        }
    });
    Ok(())
}

/// The operands of a weight's gradient.
struct Outer<'a> {
    spec: &'a ConvSpec,
    input: &'a [f32],
    gradient: &'a [f32],
    gather: Forward,
    kernels: Vec<Kernel>,
    zeros: Vec<f32>,
}

impl Outer<'_> {
    /// Input channels of a task: few enough that the threads have several tasks each, and whole tiles.
    fn channels_per_task(&self) -> usize {
        let rows = self.kernels[0].outer[0].rows;
        let wanted = (4 * rayon::current_num_threads()).div_ceil(self.spec.taps());
        self.spec.in_channels.div_ceil(wanted).next_multiple_of(rows).min(self.spec.in_channels)
    }

    /// Computes one tap's sums for a range of input channels into `out`, `[channels][out_channels]`.
    fn run(&self, tap: usize, channels: Range<usize>, out: &mut [f32]) {
        let stride = self.spec.out_channels;
        let pixels = self.gradient.len() / stride;
        let in_pixels = self.input.len() / self.spec.in_channels;
        let mut inputs = Vec::with_capacity(BLOCK_PIXELS);
        for block in (0..pixels).step_by(BLOCK_PIXELS) {
            inputs.clear();
            for pixel in block..pixels.min(block + BLOCK_PIXELS) {
                inputs.push(match self.gather.source(self.gather.position(pixel), tap) {
                    Some(from) => {
                        assert!(from < in_pixels);
                        self.input.as_ptr().wrapping_add(from * self.spec.in_channels)
                    }
                    None => self.zeros.as_ptr(),
                });
            }
            let gradients = &self.gradient[block * stride..][..inputs.len() * stride];
            // SAFETY: each of `inputs` points to `in_channels` values.
            unsafe { outer_products(&self.kernels, &inputs, channels.clone(), gradients, stride, out) };
        }
    }
}
