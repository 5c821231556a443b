//! The ops as plain loops in f64.

use tresnet::ops::{ConvSpec, Shape, Subsample};

/// The value at a position that may lie outside the map, where it is zero.
fn padded(input: &[f64], shape: Shape, [image, y, x, channel]: [isize; 4]) -> f64 {
    if y < 0 || x < 0 || y >= shape.height as isize || x >= shape.width as isize {
        return 0.0;
    }
    let pixel = (image as usize * shape.height + y as usize) * shape.width + x as usize;
    input[pixel * shape.channels + channel as usize]
}

/// Every value of a map by its image, row, column and channel.
fn map(shape: Shape, value: impl Fn([usize; 4]) -> f64) -> Vec<f64> {
    let at = |index: usize| {
        let (pixel, channel) = (index / shape.channels, index % shape.channels);
        [pixel / shape.area(), pixel % shape.area() / shape.width, pixel % shape.width, channel]
    };
    (0..shape.len()).map(|index| value(at(index))).collect()
}

/// Zero in the channels that the convolution does not compute.
pub fn conv2d(spec: &ConvSpec, input: &[f64], shape: Shape, weight: &[f64]) -> Vec<f64> {
    let taps = spec.kernel * spec.kernel;
    let [in_group, out_group] = [spec.in_channels, spec.out_channels].map(|channels| channels / spec.groups);
    map(spec.output(shape).unwrap(), |[image, y, x, channel]| {
        let Some(channel) = channel.checked_sub(spec.output.first).filter(|&channel| channel < spec.out_channels)
        else {
            return 0.0;
        };
        let weight = &weight[channel * in_group * taps..][..in_group * taps];
        let term = |(at, w): (usize, &f64)| {
            let row = (y * spec.stride + at % taps / spec.kernel) as isize - spec.padding as isize;
            let column = (x * spec.stride + at % spec.kernel) as isize - spec.padding as isize;
            let from = spec.input.first + channel / out_group * in_group + at / taps;
            w * padded(input, shape, [image as isize, row, column, from as isize])
        };
        weight.iter().enumerate().map(term).sum()
    })
}

/// 3x3, stride 2, padded by 1.
pub fn max_pool(input: &[f64], shape: Shape) -> Vec<f64> {
    let out = Shape::new(shape.batch, shape.height.div_ceil(2), shape.width.div_ceil(2), shape.channels);
    map(out, |[image, y, x, channel]| {
        let places = (0..9).map(|tap| ((2 * y + tap / 3).wrapping_sub(1), (2 * x + tap % 3).wrapping_sub(1)));
        let inside = places.filter(|&(y, x)| y < shape.height && x < shape.width);
        let values =
            inside.map(|(y, x)| padded(input, shape, [image as isize, y as isize, x as isize, channel as isize]));
        values.fold(f64::NEG_INFINITY, f64::max)
    })
}

pub fn subsample(op: Subsample, input: &[f64], shape: Shape) -> Vec<f64> {
    map(op.output(shape), |[image, y, x, channel]| {
        let [y, x] = [y, x].map(|at| (at * op.stride) as isize);
        if channel < shape.channels { padded(input, shape, [image as isize, y, x, channel as isize]) } else { 0.0 }
    })
}

pub fn silu(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|x| x / (1.0 + (-x).exp())).collect()
}

pub fn blur_pool(input: &[f64], shape: Shape) -> Vec<f64> {
    let reflect = |at: isize, size: usize| (size as isize - 1) - ((size as isize - 1) - at.abs()).abs();
    let out = Shape::new(shape.batch, shape.height.div_ceil(2), shape.width.div_ceil(2), shape.channels);
    map(out, |[image, y, x, channel]| {
        let term = |(dy, dx): (isize, isize)| {
            let (row, column) = (reflect(2 * y as isize + dy, shape.height), reflect(2 * x as isize + dx, shape.width));
            let weight = ((2 - dy.abs()) * (2 - dx.abs())) as f64 / 16.0;
            weight * padded(input, shape, [image as isize, row, column, channel as isize])
        };
        (0..9).map(|tap| term((tap / 3 - 1, tap % 3 - 1))).sum()
    })
}

pub fn average_pool_2x2(input: &[f64], shape: Shape) -> Vec<f64> {
    let out = Shape::new(shape.batch, shape.height.div_ceil(2), shape.width.div_ceil(2), shape.channels);
    map(out, |[image, y, x, channel]| {
        let window: Vec<f64> = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(dy, dx)| (2 * y + dy, 2 * x + dx))
            .into_iter()
            .filter(|&(y, x)| y < shape.height && x < shape.width)
            .map(|(y, x)| padded(input, shape, [image as isize, y as isize, x as isize, channel as isize]))
            .collect();
        window.iter().sum::<f64>() / window.len() as f64
    })
}

pub fn global_average_pool(input: &[f64], shape: Shape) -> Vec<f64> {
    let mean = |(image, channel): (usize, usize)| {
        let plane = &input[image * shape.image_len()..][..shape.image_len()];
        plane.iter().skip(channel).step_by(shape.channels).sum::<f64>() / shape.area() as f64
    };
    (0..shape.batch * shape.channels).map(|at| mean((at / shape.channels, at % shape.channels))).collect()
}

/// `weight` is `[outputs, inputs]`.
pub fn linear(input: &[f64], batch: usize, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let inputs = input.len() / batch;
    let dot = |row: &[f64], weight: &[f64]| row.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>();
    let rows = input.chunks_exact(inputs);
    rows.flat_map(|row| weight.chunks_exact(inputs).zip(bias).map(move |(weight, bias)| dot(row, weight) + bias))
        .collect()
}

/// `weights` are reduce's weight and bias and expand's; `between` follows the first.
pub fn squeeze_excite(
    input: &[f64],
    shape: Shape,
    weights: [&[f64]; 4],
    between: impl Fn(Vec<f64>) -> Vec<f64>,
) -> Vec<f64> {
    let hidden = linear(&global_average_pool(input, shape), shape.batch, weights[0], weights[1]);
    let gates = linear(&between(hidden), shape.batch, weights[2], weights[3]);
    let gate = |at: usize| {
        let gate = gates[at / shape.image_len() * shape.channels + at % shape.channels];
        1.0 / (1.0 + (-gate).exp())
    };
    input.iter().enumerate().map(|(at, x)| x * gate(at)).collect()
}

/// Batch norm with the batch's own statistics.
pub fn batch_norm(input: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let channels = weight.len();
    let count = (input.len() / channels) as f64;
    let mut out = vec![0.0; input.len()];
    for channel in 0..channels {
        let values = || input.iter().skip(channel).step_by(channels);
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        for (out, x) in out.iter_mut().skip(channel).step_by(channels).zip(values()) {
            *out = (x - mean) / (variance + epsilon).sqrt() * weight[channel] + bias[channel];
        }
    }
    out
}

/// ReLU with a slope for the negative side.
pub fn leaky(values: Vec<f64>, slope: f64) -> Vec<f64> {
    values.into_iter().map(|x| if x < 0.0 { x * slope } else { x }).collect()
}
