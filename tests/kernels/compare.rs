//! Inputs, layouts and comparisons.

use half::{bf16, f16};
use tresnet::ops::cuda::{Element, padded};
use tresnet::ops::{Activation, Shape};

use crate::random::{fnv1a64, splitmix64};

pub const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];
/// Multiples of eight and not, below it and above, and those of TResNet-L and XL.
pub const CHANNELS: [usize; 5] = [1, 3, 76, 83, 100];

/// Numbers in [-1, 1) that `element` holds exactly, so that both sides start from the same.
pub fn values(name: &str, len: usize, element: Element) -> Vec<f32> {
    let stream = fnv1a64(name);
    let unit = |at: u64| (splitmix64(stream.wrapping_add(at)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    (0..len as u64).map(|at| round(unit(at), element)).collect()
}

pub fn round(value: f32, element: Element) -> f32 {
    match element {
        Element::F32 => value,
        Element::F16 => f16::from_f32(value).to_f32(),
        Element::Bf16 => bf16::from_f32(value).to_f32(),
    }
}

pub fn activated(activation: Activation, x: f32) -> f32 {
    if activation.is_curved() { x / (1.0 + (-x).exp()) } else { x.max(activation.slope() * x) }
}

/// The shape with its channels padded.
pub fn padded_shape(shape: Shape) -> Shape {
    Shape { channels: padded(shape.channels), ..shape }
}

/// Rows of `channels` with zeros behind each.
pub fn pad(values: &[f32], channels: usize) -> Vec<f32> {
    let row = |row: &[f32]| row.iter().copied().chain(std::iter::repeat_n(0.0, padded(channels) - channels)).collect();
    values.chunks_exact(channels).flat_map::<Vec<f32>, _>(row).collect()
}

/// The other way; what is cut off must be zeros.
pub fn unpad(values: &[f32], channels: usize) -> Vec<f32> {
    let rows = values.chunks_exact(padded(channels));
    for row in rows.clone() {
        assert!(row[channels..].iter().all(|value| *value == 0.0), "padding channels hold {:?}", &row[channels..]);
    }
    rows.flat_map(|row| row[..channels].to_vec()).collect()
}

/// Whether all are as near as the element's digits allow, and f32's sums in another order.
pub fn assert_near(what: &str, element: Element, ours: &[f32], expected: &[f32]) {
    // Half a unit in the last place of a number, twice: a value may be rounded on the way.
    let digits = match element {
        Element::F32 => 0.0,
        Element::F16 => 1.0 / 1024.0,
        Element::Bf16 => 1.0 / 128.0,
    };
    assert_within(what, ours, expected, digits);
}

/// Whether all are within `relative` of the number, and a share of the largest.
pub fn assert_within(what: &str, ours: &[f32], expected: &[f32], relative: f32) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let tolerance = relative * expected.abs() + (1e-5 + relative / 32.0) * largest + 1e-7;
        assert!((ours - expected).abs() <= tolerance, "{what}: {ours} instead of {expected} at {at}");
    }
}
