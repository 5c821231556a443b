//! The shortcut without parameters (He et al., arXiv 1512.03385, option A): every so many pixels of each side, and
//! zeros for the channels that the input has not.

use rayon::prelude::*;

use super::Shape;

/// How a map shrinks and deepens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    pub stride: usize,
    /// Channels of the output, at least the input's.
    pub channels: usize,
}

impl Subsample {
    /// The output's shape.
    pub fn output(&self, input: Shape) -> Shape {
        let side = |size: usize| size.div_ceil(self.stride);
        Shape::new(input.batch, side(input.height), side(input.width), self.channels)
    }

    /// The input's pixel under an output's.
    fn source(&self, pixel: usize, input: Shape) -> usize {
        let out = self.output(input);
        let (image, y, x) = (pixel / out.area(), pixel % out.area() / out.width, pixel % out.width);
        (image * input.height + y * self.stride) * input.width + x * self.stride
    }
}

/// The input's pixels at multiples of the stride, then zeros.
pub fn subsample(op: Subsample, input: &[f32], shape: Shape, out: &mut [f32]) {
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), op.output(shape).len());
    out.par_chunks_exact_mut(op.channels).enumerate().for_each(|(pixel, out)| {
        let (own, zeros) = out.split_at_mut(shape.channels);
        own.copy_from_slice(&input[op.source(pixel, shape) * shape.channels..][..shape.channels]);
        zeros.fill(0.0);
    });
}

/// The input's gradient of [`subsample`], into `out`.
pub fn subsample_gradient(op: Subsample, gradient: &[f32], shape: Shape, out: &mut [f32]) {
    assert_eq!(gradient.len(), op.output(shape).len());
    assert_eq!(out.len(), shape.len());
    out.fill(0.0);
    for (pixel, gradient) in gradient.chunks_exact(op.channels).enumerate() {
        let at = op.source(pixel, shape) * shape.channels;
        out[at..at + shape.channels].copy_from_slice(&gradient[..shape.channels]);
    }
}
