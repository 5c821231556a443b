//! The ops, forward and backward, against plain loops in f64.

mod forward;
mod gradients;
mod padding;
#[path = "../common/random.rs"]
mod random;
mod reference;

/// Values in [-1, 1), the same at each call with the same name.
fn values(name: &str, len: usize) -> Vec<f32> {
    let stream = random::fnv1a64(name);
    let unit = |at: u64| (random::splitmix64(stream.wrapping_add(at)) >> 40) as f32 / (1u64 << 23) as f32;
    (0..len as u64).map(|at| unit(at) - 1.0).collect()
}

/// [`values`] in f64.
fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}
