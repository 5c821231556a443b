//! Batch norm as a part of the convolution before it.

/// The scale and the shift that a batch norm of running statistics comes to, one a channel.
pub(super) fn fold([gamma, beta, mean, variance]: [&[f32]; 4], epsilon: f32) -> [Vec<f32>; 2] {
    let inverse = variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt());
    let scale: Vec<f32> = gamma.iter().zip(inverse).map(|(gamma, inverse)| gamma * inverse).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
    [scale, shift]
}
