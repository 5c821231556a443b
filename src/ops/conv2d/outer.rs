//! Sums of outer products over pixels: what the gradient of a weight is made of.

use std::ops::Range;

use crate::ops::kernels::{Kernel, OuterTile};

/// Adds to `out`, `[channels][outputs]`, the products of each pixel's `channels` with its `outputs` of `gradients`, which
/// lie `stride` apart.
///
/// # Safety
/// Each of `inputs`, one a pixel, points to at least `channels.end` values.
pub(super) unsafe fn outer_products(
    kernels: &[Kernel],
    inputs: &[*const f32],
    channels: Range<usize>,
    (gradients, stride): (&[f32], usize),
    outputs: usize,
    out: &mut [f32],
) {
    assert!(gradients.len() + stride >= inputs.len() * stride + outputs && out.len() == channels.len() * outputs);
    let mut first_output = 0;
    for kernel in kernels {
        let mut channel = channels.start;
        while channel < channels.end {
            // The last of the kernel's sizes is 1, which fits while the loop runs.
            let Some(outer) = kernel.outer.iter().find(|outer| outer.rows <= channels.end - channel) else { break };
            // SAFETY: each of `inputs` points to the `outer.rows` values that the tile reads from `channel`; there are
            // `outputs` gradients a pixel and as many in `out` for each of `channels`.
            unsafe {
                (outer.run)(&OuterTile {
                    pixels: inputs.len(),
                    inputs: inputs.as_ptr(),
                    first_input: channel,
                    gradient: gradients.as_ptr().add(first_output),
                    stride,
                    out: out.as_mut_ptr().add((channel - channels.start) * outputs + first_output),
                    out_stride: outputs,
                    channels: kernel.panel.min(outputs - first_output),
                });
            }
            channel += outer.rows;
        }
        first_output += kernel.panel;
    }
}
