//! Mirror images.

use anyhow::{Result, ensure};

use super::Rgb;
use crate::random::Draws;

/// Draws whether a picture is mirrored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flips {
    across: f64,
    over: f64,
}

impl Flips {
    /// By the probabilities of `--hflip` and `--vflip`.
    ///
    /// # Errors
    ///
    /// What is no probability.
    pub fn new(across: f64, over: f64) -> Result<Self> {
        for (flag, probability) in [("--hflip", across), ("--vflip", over)] {
            ensure!((0.0..=1.0).contains(&probability), "{flag} {probability}: give a probability from 0 to 1");
        }
        Ok(Self { across, over })
    }

    /// Mirrors `image`, or not.
    pub fn apply(&self, image: &mut Rgb, draws: &mut Draws) {
        if draws.chance(self.across) {
            horizontally(image);
        }
        if draws.chance(self.over) {
            vertically(image);
        }
    }
}

/// Exchanges left and right.
pub fn horizontally(image: &mut Rgb) {
    for row in image.pixels.chunks_exact_mut((image.width * 3).max(1)) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

/// Exchanges top and bottom.
pub fn vertically(image: &mut Rgb) {
    let pitch = (image.width * 3).max(1);
    let (upper, rest) = image.pixels.split_at_mut(image.height / 2 * pitch);
    for (one, other) in upper.chunks_exact_mut(pitch).zip(rest.chunks_exact_mut(pitch).rev()) {
        one.swap_with_slice(other);
    }
}
