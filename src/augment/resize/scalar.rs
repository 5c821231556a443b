//! Both passes in plain Rust: what the faster ones must equal, and what other machines run.

use super::taps::{HALF, PRECISION, Taps, Weights};
use super::{CHANNELS, Lines, LinesMut};

/// See [`super::Instructions::across`].
pub fn across(from: Lines, taps: &Taps, to: LinesMut) {
    for (from, to) in from.bytes.chunks(from.pitch).zip(to.bytes.chunks_mut(to.pitch)).take(to.count) {
        for ((first, weights), to) in taps.each().zip(to.chunks_exact_mut(CHANNELS)) {
            let mut sums = [HALF; CHANNELS];
            for (pixel, &weight) in from[first * CHANNELS..].chunks_exact(CHANNELS).zip(weights.whole) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(value) * weight);
                }
            }
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = clip(sum);
            }
        }
    }
}

/// One line of [`super::Instructions::down`], from byte `skip` on, where a faster pass has left off.
pub fn down(from: Lines, weights: Weights, to: &mut [u8], skip: usize) {
    for (x, to) in to.iter_mut().enumerate().skip(skip) {
        let column = from.bytes[x..].iter().step_by(from.pitch).zip(weights.whole);
        *to = clip(column.fold(HALF, |sum, (&value, &weight)| sum.wrapping_add(i32::from(value) * weight)));
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
