//! The activations of these networks: `max(x, slope * x)`, which ops apply as they write, and SiLU, which follows in a
//! pass over values that are still in the caches.

use rayon::prelude::*;

use super::simd::vectorized;

/// What follows a convolution, a normalisation or a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Identity,
    Relu,
    /// The slope of the negative side, in [0, 1].
    LeakyRelu(f32),
    /// `x * sigmoid(x)`, also called swish (arXiv 1702.03118, 1710.05941).
    Silu,
}

impl Activation {
    /// The slope of the negative side: one form serves all without a branch in an inner loop. For a curved activation
    /// it is that of the identity, on which [`Self::bend`] works.
    pub const fn slope(self) -> f32 {
        match self {
            Self::Identity | Self::Silu => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu(slope) => slope,
        }
    }

    /// Whether there is more to it than a slope.
    pub const fn is_curved(self) -> bool {
        matches!(self, Self::Silu)
    }

    /// `max(x, slope * x)`. NaN stays NaN.
    #[inline(always)]
    pub(super) fn lean(self, x: f32) -> f32 {
        let scaled = x * self.slope();
        if scaled > x { scaled } else { x }
    }

    /// What is left of a curved activation after the slope's part, in place; nothing for the others.
    pub(super) fn bend(self, values: &mut [f32]) {
        if self.is_curved() {
            silu(values);
        }
    }
}

impl Activation {
    /// As [`Self::bend`], over all threads.
    pub(super) fn bend_all(self, values: &mut [f32]) {
        if self.is_curved() {
            values.par_chunks_mut(CHUNK).for_each(|values| self.bend(values));
        }
    }
}

vectorized! {
    fn silu(values: &mut [f32]) {
        for x in values {
            *x /= 1.0 + exp(-*x);
        }
    }
}

/// Values a task takes.
const CHUNK: usize = 1 << 14;

/// Takes a gradient through a sloped activation, in place; `output` is what the activation gave. At 0 the slope is the
/// negative side's, as PyTorch's is. A curved activation needs its input: see [`silu_gradient`].
pub fn activation_gradient(gradient: &mut [f32], output: &[f32], activation: Activation) {
    assert!(!activation.is_curved(), "the gradient of {activation:?} does not follow from its output");
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

/// Takes a gradient through SiLU, in place; `input` is what SiLU was given.
pub fn silu_gradient(gradient: &mut [f32], input: &[f32]) {
    gradient.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).for_each(|(gradient, input)| unbend(gradient, input));
}

vectorized! {
    fn unbend(gradient: &mut [f32], input: &[f32]) {
        for (g, x) in gradient.iter_mut().zip(input) {
            let gate = 1.0 / (1.0 + exp(-*x));
            *g *= gate * (1.0 + x * (1.0 - gate));
        }
    }
}

/// The exponential, within 2 units in the last place over [-87, 88] and held there beyond: Cephes' `expf` without
/// branches, so that loops over it are widened.
#[inline(always)]
#[allow(clippy::excessive_precision)]
fn exp(x: f32) -> f32 {
    /// Added, it moves a number's whole part to the lowest bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first of few enough digits to be multiplied exactly.
    const LN_2: [f32; 2] = [0.693_359_375, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_150_0e-4,
        1.398_199_950_7e-3,
        8.333_451_907_3e-3,
        4.166_579_589_4e-2,
        1.666_666_545_9e-1,
        5.000_000_120_1e-1,
    ];
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let power = shifted - SHIFT;
    let rest = x - power * LN_2[0] - power * LN_2[1];
    let mut sum = 0.0;
    for coefficient in POLYNOMIAL {
        sum = sum * rest + coefficient;
    }
    // 2^power, built in the exponent's bits.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (sum * rest * rest + rest + 1.0) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_standard_library() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let (ours, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / expected - 1.0).abs() < 3e-7, "exp({x}) is {ours}, not {expected}");
        }
    }

    #[test]
    fn silu_holds_at_the_ends() {
        let mut values = [-1e30, -100.0, -0.0, 0.0, 100.0, 1e30, f32::NAN];
        Activation::Silu.bend(&mut values);
        assert!(values[0].abs() < 1e-7 && values[1].abs() < 1e-30, "{values:?}");
        assert_eq!(values[2..6], [-0.0, 0.0, 100.0, 1e30]);
        assert!(values[6].is_nan());
    }
}
