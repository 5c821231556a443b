//! The activations of these networks, all of one form: `max(x, slope * x)`.

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
