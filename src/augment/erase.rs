//! Random erasing (Zhong et al. 2017) as timm does it: rectangles of the *normalised* picture become zero or noise.
//!
//! Batches are bytes until the network, which normalises them. So what is to be erased travels beside the batch as a
//! list, and [`Erase::apply`] carries it out on the f32 values. Noise is standard normal there, whatever mean and
//! deviation the normalisation has; without one, as with TResNet, it reaches far beyond black and white.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use super::Region;
use crate::random::Draws;

/// Least and greatest share of the picture's area that is erased.
const AREA: (f64, f64) = (0.02, 1.0 / 3.0);

/// Least ratio of height to width; the greatest is its inverse.
const ASPECT: f64 = 0.3;

/// Tries at a rectangle that fits.
const TRIES: usize = 10;

/// What comes in place of a rectangle: `--remode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseMode {
    /// Zero.
    Const,
    /// One normal variate a channel.
    Rand,
    /// One normal variate a value.
    Pixel,
}

/// Draws rectangles to erase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomErasing {
    probability: f64,
    mode: EraseMode,
    /// Rectangles a picture at most; the area is shared among them.
    most: usize,
}

/// A rectangle to erase.
#[derive(Clone, Debug)]
pub struct Erase {
    pub region: Region,
    pub mode: EraseMode,
    /// What the noise is drawn from.
    noise: Draws,
}

impl RandomErasing {
    /// timm's `--reprob`, `--remode`, `--recount`.
    ///
    /// # Errors
    ///
    /// A probability outside [0, 1], no rectangles.
    pub fn new(probability: f64, mode: EraseMode, most: usize) -> Result<Self> {
        ensure!((0.0..=1.0).contains(&probability), "--reprob {probability}: give a probability from 0 to 1");
        ensure!((1..=1000).contains(&most), "--recount {most}: give a number of rectangles from 1 to 1000");
        Ok(Self { probability, mode, most })
    }

    /// What to erase of a picture of `width` x `height`, in order; mostly nothing, mostly of low probability.
    pub fn draw(&self, width: usize, height: usize, draws: &mut Draws) -> Vec<Erase> {
        if !draws.chance(self.probability) {
            return Vec::new();
        }
        let count = 1 + draws.below(self.most);
        (0..count)
            .filter_map(|number| {
                let region = self.region(width, height, count, draws)?;
                let noise = Draws::new(draws.bits(), 0, number as u64, "noise");
                Some(Erase { region, mode: self.mode, noise })
            })
            .collect()
    }

    /// One of `count` rectangles; none where no try fits.
    fn region(&self, width: usize, height: usize, count: usize, draws: &mut Draws) -> Option<Region> {
        (0..TRIES).find_map(|_| {
            let (share, shape) = (draws.unit(), draws.unit());
            let (w, h) = size(width, height, count, share, shape)?;
            let top = draws.below(height - h + 1);
            let left = draws.below(width - w + 1);
            Some(Region { left, top, width: w, height: h })
        })
    }
}

/// Width and height of one of `count` rectangles for two uniform numbers in [0, 1); none where it fills a side.
fn size(width: usize, height: usize, count: usize, share: f64, shape: f64) -> Option<(usize, usize)> {
    let area = (AREA.0 + (AREA.1 - AREA.0) * share) * (width * height) as f64 / count as f64;
    let (low, high) = (ASPECT.ln(), (1.0 / ASPECT).ln());
    let aspect = (low + (high - low) * shape).exp();
    let h = (area * aspect).sqrt().round_ties_even() as usize;
    let w = (area / aspect).sqrt().round_ties_even() as usize;
    (w < width && h < height).then_some((w, h))
}

impl Erase {
    /// Erases the rectangle of `image`, `[height, width, 3]` normalised values in rows of `width` pixels.
    ///
    /// # Panics
    ///
    /// When the rectangle leaves the picture: it was drawn for another.
    pub fn apply(&self, image: &mut [f32], width: usize) {
        let Region { left, top, width: w, height: h } = self.region;
        assert!(left + w <= width, "{:?} leaves a picture {width} wide", self.region);
        let mut noise = self.noise.clone();
        let mut color = [0.0; 3];
        if self.mode == EraseMode::Rand {
            noise.fill_normal(&mut color);
        }
        for row in image.chunks_exact_mut(width * 3).skip(top).take(h) {
            let erased = &mut row[left * 3..][..w * 3];
            match self.mode {
                EraseMode::Pixel => noise.fill_normal(erased),
                EraseMode::Const | EraseMode::Rand => erased.as_chunks_mut().0.fill(color),
            }
        }
    }
}

impl FromStr for EraseMode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "const" => Self::Const,
            "rand" => Self::Rand,
            "pixel" => Self::Pixel,
            _ => bail!("--remode {text}: there are const, rand and pixel"),
        })
    }
}

impl fmt::Display for EraseMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Const => "const",
            Self::Rand => "rand",
            Self::Pixel => "pixel",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_rectangles_are_timms() {
        let text = include_str!("../../tests/fixtures/augment/crops.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in fixture["erased"].as_array().unwrap() {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let (side, count) = (number("side"), number("count"));
            let mut units = case["units"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap());
            let mut image = vec![1.0; side * side * 3];
            let (mut right, mut bottom) = (0, 0);
            for _ in 0..count {
                // The fixture's whole numbers are the least that there are: every rectangle is in the corner.
                let tried =
                    (0..TRIES).find_map(|_| size(side, side, count, units.next().unwrap(), units.next().unwrap()));
                let Some((width, height)) = tried else { continue };
                (right, bottom) = (right.max(width), bottom.max(height));
                let region = Region { left: 0, top: 0, width, height };
                let noise = Draws::new(0, 0, 0, "noise");
                Erase { region, mode: EraseMode::Const, noise }.apply(&mut image, side);
            }
            let zeros = image.iter().filter(|&&value| value == 0.0).count() / 3;
            let extent = serde_json::json!([right, bottom]);
            assert_eq!((zeros, &extent), (number("zeros"), &case["extent"]), "{case}");
        }
    }
}
