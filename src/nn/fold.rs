//! Batch norm as a part of the convolution before it.

use super::graph::NORM_EPSILON;

/// The scale and the shift that a batch norm of running statistics comes to, one a channel.
pub(super) fn fold(gamma: &[f32], beta: &[f32], mean: &[f32], variance: &[f32]) -> [Vec<f32>; 2] {
    let inverse = variance.iter().map(|variance| 1.0 / (variance + NORM_EPSILON).sqrt());
    let scale: Vec<f32> = gamma.iter().zip(inverse).map(|(gamma, inverse)| gamma * inverse).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
    [scale, shift]
}
