//! Weights and pixels that both sides of a comparison compute bit for bit, so that fixtures hold results alone. The
//! other side is `scripts/fixtures/formula.py`.

use super::random::{fnv1a64, splitmix64};

/// The values of parameter `name` in the checkpoint's own order: non-trivial statistics and biases, and weights that
/// keep activations of moderate size.
pub fn value(name: &str, shape: &[usize]) -> Vec<f32> {
    let stream = fnv1a64(name);
    let unit = |at: u64| (splitmix64(stream.wrapping_add(at)) >> 40) as f64 / (1u64 << 24) as f64;
    let form: Box<dyn Fn(f64) -> f64> = match (name.rsplit('.').next(), shape) {
        (Some("running_mean" | "bias"), _) => Box::new(|u| (u - 0.5) * 0.4),
        (Some("running_var"), _) => Box::new(|u| 0.5 + u),
        (_, [_]) => Box::new(|u| 0.45 + 0.9 * u),
        (_, shape) => {
            let fan_in: usize = shape[1..].iter().product();
            let bound = (3.0 / fan_in as f64).sqrt();
            Box::new(move |u| (2.0 * u - 1.0) * bound)
        }
    };
    (0..shape.iter().product::<usize>() as u64).map(|at| form(unit(at)) as f32).collect()
}

/// Images `[batch, side, side, channels]`: noise over 4x4 cells over a tone that alternates between images.
pub fn pixels(batch: usize, side: usize, channels: usize) -> Vec<u8> {
    let byte = |name: &str, at: usize| (splitmix64(fnv1a64(name).wrapping_add(at as u64)) >> 56) as usize;
    let mut pixels = Vec::with_capacity(batch * side * side * channels);
    for b in 0..batch {
        for (y, x) in (0..side * side).map(|at| (at / side, at % side)) {
            for c in 0..channels {
                let cell = byte("cells", ((b * 4 + y * 4 / side) * 4 + x * 4 / side) * channels + c);
                let fine = byte("pixels", pixels.len());
                let tone = if b % 2 == 1 { 255 } else { 0 };
                pixels.push(((tone + 2 * cell + fine) / 4) as u8);
            }
        }
    }
    pixels
}
