//! The activations of these networks, all of one form: `max(x, slope * x)`.

use rayon::prelude::*;

use super::simd::vectorized;

/// What follows a convolution, a normalisation or a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    Relu,
    /// The slope of the negative side, in [0, 1].
    LeakyRelu(f32),
}

impl Activation {
    /// The slope of the negative side: one form serves all, without a branch in an inner loop.
    pub const fn slope(self) -> f32 {
        match self {
            Self::Identity => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu(slope) => slope,
        }
    }

    /// NaN stays NaN.
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        let scaled = x * self.slope();
        if scaled > x { scaled } else { x }
    }
}

/// Takes a gradient through an activation, in place; `output` is what the activation gave. At 0 the slope is the
/// negative side's, as PyTorch's is.
pub fn activation_gradient(gradient: &mut [f32], output: &[f32], activation: Activation) {
    /// Values a task takes.
    const CHUNK: usize = 1 << 14;
    gradient.par_chunks_mut(CHUNK).zip(output.par_chunks(CHUNK)).for_each(|(gradient, output)| {
        through(gradient, output, activation.slope());
    });
}

vectorized! {
    fn through(gradient: &mut [f32], output: &[f32], slope: f32) {
        for (g, y) in gradient.iter_mut().zip(output) {
            *g = if *y > 0.0 { *g } else { *g * slope };
        }
    }
}
