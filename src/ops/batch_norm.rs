//! Batch norm with activation, for training: a batch's statistics, the forward pass and the gradient.
//!
//! The gradient needs the normalised value. Either the convolution's output was stored beside the result, or the
//! layer worked in place and the value is recovered from the result (in-place activated batch norm, Rota Bulo et al.,
//! arXiv 1712.02616). All sums run over fixed chunks in order, so that no result depends on the number of threads.

use rayon::prelude::*;

use super::Activation;
use super::simd::vectorized;

/// Pixels that one partial sum covers.
const CHUNK_PIXELS: usize = 256;

/// Mean and variance of each channel over batch and positions.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    pub mean: Vec<f32>,
    /// Biased: divided by the number of values.
    pub variance: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)`
    pub inverse_deviation: Vec<f32>,
}

/// A channel's two numbers for every channel.
type PerChannel = [Vec<f32>; 2];

/// Statistics of `[pixels][channels]` values.
pub fn batch_statistics(values: &[f32], channels: usize, epsilon: f32) -> BatchStatistics {
    let chunks: Vec<(usize, PerChannel)> = values
        .par_chunks(CHUNK_PIXELS * channels)
        .map(|chunk| (chunk.len() / channels, chunk_moments(chunk, channels)))
        .collect();
    let (mut count, mut mean, mut squares) = (0.0, vec![0f64; channels], vec![0f64; channels]);
    for (pixels, [chunk_mean, chunk_squares]) in chunks {
        // Chan, Golub and LeVeque's update of a mean and a sum of squared deviations.
        let total = count + pixels as f64;
        for channel in 0..channels {
            let delta = f64::from(chunk_mean[channel]) - mean[channel];
            mean[channel] += delta * pixels as f64 / total;
            squares[channel] += f64::from(chunk_squares[channel]) + delta * delta * count * pixels as f64 / total;
        }
        count = total;
    }
    let variance: Vec<f32> = squares.iter().map(|squares| (squares / count) as f32).collect();
    let inverse_deviation = variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
    BatchStatistics { mean: mean.into_iter().map(|mean| mean as f32).collect(), variance, inverse_deviation }
}

vectorized! {
    /// Mean and sum of squared deviations of a chunk that fits the first caches.
    fn chunk_moments(chunk: &[f32], channels: usize) -> PerChannel {
        let mut mean = vec![0.0; channels];
        for pixel in chunk.chunks_exact(channels) {
            for (sum, x) in mean.iter_mut().zip(pixel) {
                *sum += x;
            }
        }
        let count = (chunk.len() / channels) as f32;
        for sum in &mut mean {
            *sum /= count;
        }
        let mut squares = vec![0.0; channels];
        for pixel in chunk.chunks_exact(channels) {
            for ((sum, x), mean) in squares.iter_mut().zip(pixel).zip(&mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        [mean, squares]
    }
}

/// `values = activation((values - mean) * inverse_deviation * weight + bias)`, in place.
pub fn batch_norm(
    values: &mut [f32],
    statistics: &BatchStatistics,
    weight: &[f32],
    bias: &[f32],
    activation: Activation,
) {
    let (scale, shift) = scale_and_shift(statistics, weight, bias);
    let channels = scale.len();
    values.par_chunks_mut(CHUNK_PIXELS * channels).for_each(|chunk| affine_in_place(chunk, &scale, &shift, activation));
}

/// `out = activation((values - mean) * inverse_deviation * weight + bias + residual)`.
pub fn batch_norm_into(
    values: &[f32],
    statistics: &BatchStatistics,
    weight: &[f32],
    bias: &[f32],
    residual: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) {
    let (scale, shift) = scale_and_shift(statistics, weight, bias);
    let len = CHUNK_PIXELS * scale.len();
    out.par_chunks_mut(len).zip(values.par_chunks(len)).enumerate().for_each(|(at, (out, values))| {
        let residual = residual.map(|residual| &residual[at * len..][..out.len()]);
        affine(values, residual, &scale, &shift, activation, out);
    });
}

fn scale_and_shift(statistics: &BatchStatistics, weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = weight.iter().zip(&statistics.inverse_deviation).map(|(weight, inv)| weight * inv).collect();
    let shift =
        bias.iter().zip(&statistics.mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
    (scale, shift)
}

vectorized! {
    fn affine_in_place(values: &mut [f32], scale: &[f32], shift: &[f32], activation: Activation) {
        for pixel in values.chunks_exact_mut(scale.len()) {
            for ((x, scale), shift) in pixel.iter_mut().zip(scale).zip(shift) {
                *x = activation.lean(*x * scale + shift);
            }
        }
        activation.bend(values);
    }
}

vectorized! {
    fn affine(
        values: &[f32],
        residual: Option<&[f32]>,
        scale: &[f32],
        shift: &[f32],
        activation: Activation,
        out: &mut [f32],
    ) {
        let channels = scale.len();
        for (at, (out, values)) in out.chunks_exact_mut(channels).zip(values.chunks_exact(channels)).enumerate() {
            let terms = out.iter_mut().zip(values).zip(scale).zip(shift);
            match residual {
                Some(residual) => {
                    for ((((out, x), scale), shift), residual) in terms.zip(&residual[at * channels..]) {
                        *out = activation.lean(x * scale + shift + residual);
                    }
                }
                None => {
                    for (((out, x), scale), shift) in terms {
                        *out = activation.lean(x * scale + shift);
                    }
                }
            }
        }
        activation.bend(out);
    }
}

/// What the forward pass left behind to recover the normalised value from.
#[derive(Clone, Copy)]
pub enum Saved<'a> {
    /// The convolution's output. The gradient is that of the norm's output, the activation's already behind it.
    Input(&'a [f32]),
    /// The result, from a norm that worked in place, and its activation, whose slope is not 0. The gradient is that
    /// of the result.
    Output(&'a [f32], Activation),
}

/// Turns the output's gradient into the input's, in place; adds to the weight's and the bias's.
pub fn batch_norm_gradient(
    gradient: &mut [f32],
    saved: Saved,
    statistics: &BatchStatistics,
    [weight, bias]: [&[f32]; 2],
    [weight_gradient, bias_gradient]: [&mut [f32]; 2],
) {
    let channels = weight.len();
    let inverse = &statistics.inverse_deviation;
    // normalised = lifted * scale + shift, lifted = the saved value with its activation undone
    let (values, slope, scale, shift): (_, _, Vec<f32>, Vec<f32>) = match saved {
        Saved::Input(values) => {
            let shift = statistics.mean.iter().zip(inverse).map(|(mean, inverse)| -mean * inverse).collect();
            (values, 1.0, inverse.clone(), shift)
        }
        Saved::Output(values, activation) => {
            let scale: Vec<f32> = weight.iter().map(|weight| 1.0 / weight).collect();
            let shift = bias.iter().zip(&scale).map(|(bias, scale)| -bias * scale).collect();
            (values, activation.slope(), scale, shift)
        }
    };
    let normalised = Normalised { slope, scale: &scale, shift: &shift };
    let len = CHUNK_PIXELS * channels;
    let partial: Vec<PerChannel> = gradient
        .par_chunks_mut(len)
        .zip(values.par_chunks(len))
        .map(|(gradient, values)| gradient_sums(gradient, values, &normalised))
        .collect();
    let mut sums = [vec![0f64; channels], vec![0f64; channels]];
    for partial in partial {
        for (sum, partial) in sums.iter_mut().zip(partial) {
            for (sum, value) in sum.iter_mut().zip(partial) {
                *sum += f64::from(value);
            }
        }
    }
    let pixels = (gradient.len() / channels) as f64;
    let mean = |sums: &[f64]| -> Vec<f32> { sums.iter().map(|sum| (sum / pixels) as f32).collect() };
    let means = [mean(&sums[0]), mean(&sums[1])];
    for ((bias, weight), at) in bias_gradient.iter_mut().zip(weight_gradient).zip(0..) {
        *bias += sums[0][at] as f32;
        *weight += sums[1][at] as f32;
    }
    let factor: Vec<f32> = weight.iter().zip(inverse).map(|(weight, inverse)| weight * inverse).collect();
    gradient
        .par_chunks_mut(len)
        .zip(values.par_chunks(len))
        .for_each(|(gradient, values)| input_gradient(gradient, values, &normalised, &means, &factor));
}

/// How a saved value becomes the normalised one.
struct Normalised<'a> {
    slope: f32,
    scale: &'a [f32],
    shift: &'a [f32],
}

vectorized! {
    /// Takes the gradient through the activation, in place, and sums it and its product with the normalised value.
    fn gradient_sums(gradient: &mut [f32], values: &[f32], normalised: &Normalised) -> PerChannel {
        let channels = normalised.scale.len();
        let mut sums = [vec![0.0; channels], vec![0.0; channels]];
        let [bias, weight] = &mut sums;
        let (slope, inverse) = (normalised.slope, 1.0 / normalised.slope);
        for (gradient, values) in gradient.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            let parameters = normalised.scale.iter().zip(normalised.shift);
            let sums = bias.iter_mut().zip(weight.iter_mut());
            for (((g, v), (scale, shift)), (bias, weight)) in gradient.iter_mut().zip(values).zip(parameters).zip(sums) {
                let (through, lifted) = if *v > 0.0 { (*g, *v) } else { (*g * slope, v * inverse) };
                *g = through;
                *bias += through;
                *weight += through * (lifted * scale + shift);
            }
        }
        sums
    }
}

vectorized! {
    /// `(g - mean(g) - normalised * mean(g * normalised)) * weight / deviation`
    fn input_gradient(
        gradient: &mut [f32],
        values: &[f32],
        normalised: &Normalised,
        means: &PerChannel,
        factor: &[f32],
    ) {
        let channels = factor.len();
        let inverse = 1.0 / normalised.slope;
        for (gradient, values) in gradient.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            let parameters = normalised.scale.iter().zip(normalised.shift);
            let means = means[0].iter().zip(&means[1]);
            let terms = gradient.iter_mut().zip(values).zip(parameters).zip(means).zip(factor);
            for ((((g, v), (scale, shift)), (mean, mean_product)), factor) in terms {
                let lifted = if *v < 0.0 { v * inverse } else { *v };
                *g = (*g - mean - (lifted * scale + shift) * mean_product) * factor;
            }
        }
    }
}
