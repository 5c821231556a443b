//! AutoAugment (Cubuk et al. 2018) in timm's form: one of a searched list of operation pairs for each picture.

use anyhow::{Result, bail};

use super::Step;
use super::magnitude::{Magnitude, Spread, Trial};
use super::operation::{Hints, Operation};
use super::sections::{number, sections, unknown};
use crate::random::Draws;

/// Draws one of its sub-policies a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoAugment {
    /// Each a few operations, tried one after another.
    pub subpolicies: Vec<Vec<Trial>>,
    pub hints: Hints,
}

impl AutoAugment {
    /// Reads timm's `original`, `originalr`, `v0`, `v0r` or `3a`, and `-mstd0.5` for a deviation of the magnitudes.
    ///
    /// # Errors
    ///
    /// Another name, an unknown section, a deviation that is not a number from 0.
    pub fn parse(text: &str, hints: Hints) -> Result<Self> {
        let mut spread = Spread::None;
        for (key, value) in sections(text)? {
            match key {
                "mstd" => spread = Spread::normal(number(text, key, &value, 0.0)?),
                _ => return Err(unknown(text, key, &["mstd"])),
            }
        }
        let name = text.split('-').next().unwrap_or_default();
        let policy: &[&[Entry]] = match name {
            "original" | "originalr" => &ORIGINAL,
            "v0" | "v0r" => &V0,
            "3a" => &THREE,
            _ => bail!(
                "--aa {text}: there is no policy `{name}`; there are rand (as in rand-m9-mstd0.5-inc1), augmix, original, originalr, v0, v0r and 3a"
            ),
        };
        // The "r" policies have the research code's posterisation, which discards more as the magnitude grows.
        let research = name.ends_with('r');
        let trial = |&(operation, tenths, magnitude): &Entry| Trial {
            operation: match operation {
                Posterize | PosterizeOriginal if research => PosterizeIncreasing,
                _ => operation,
            },
            probability: f64::from(tenths) / 10.0,
            magnitude: Magnitude::new(f64::from(magnitude), spread),
        };
        Ok(Self { subpolicies: policy.iter().map(|pair| pair.iter().map(trial).collect()).collect(), hints })
    }

    /// What to do to one picture, in order.
    pub fn draw(&self, draws: &mut Draws) -> Vec<Step> {
        let subpolicy = &self.subpolicies[draws.below(self.subpolicies.len())];
        subpolicy.iter().filter_map(|trial| trial.draw(&self.hints, draws)).collect()
    }
}

use Operation::*;

/// An operation, its probability in tenths, its magnitude.
type Entry = (Operation, u8, u8);

/// The paper's policy for ImageNet, timm's `original`.
#[rustfmt::skip]
const ORIGINAL: [&[Entry]; 25] = [
    &[(PosterizeOriginal, 4, 8), (Rotate, 6, 9)],
    &[(Solarize, 6, 5), (AutoContrast, 6, 5)],
    &[(Equalize, 8, 8), (Equalize, 6, 3)],
    &[(PosterizeOriginal, 6, 7), (PosterizeOriginal, 6, 6)],
    &[(Equalize, 4, 7), (Solarize, 2, 4)],
    &[(Equalize, 4, 4), (Rotate, 8, 8)],
    &[(Solarize, 6, 3), (Equalize, 6, 7)],
    &[(PosterizeOriginal, 8, 5), (Equalize, 10, 2)],
    &[(Rotate, 2, 3), (Solarize, 6, 8)],
    &[(Equalize, 6, 8), (PosterizeOriginal, 4, 6)],
    &[(Rotate, 8, 8), (Color, 4, 0)],
    &[(Rotate, 4, 9), (Equalize, 6, 2)],
    &[(Equalize, 0, 7), (Equalize, 8, 8)],
    &[(Invert, 6, 4), (Equalize, 10, 8)],
    &[(Color, 6, 4), (Contrast, 10, 8)],
    &[(Rotate, 8, 8), (Color, 10, 2)],
    &[(Color, 8, 8), (Solarize, 8, 7)],
    &[(Sharpness, 4, 7), (Invert, 6, 8)],
    &[(ShearX, 6, 5), (Equalize, 10, 9)],
    &[(Color, 4, 0), (Equalize, 6, 3)],
    &[(Equalize, 4, 7), (Solarize, 2, 4)],
    &[(Solarize, 6, 5), (AutoContrast, 6, 5)],
    &[(Invert, 6, 4), (Equalize, 10, 8)],
    &[(Color, 6, 4), (Contrast, 10, 8)],
    &[(Equalize, 8, 8), (Equalize, 6, 3)],
];

/// The policy of EfficientNet's code for TPUs, timm's `v0`.
#[rustfmt::skip]
const V0: [&[Entry]; 25] = [
    &[(Equalize, 8, 1), (ShearY, 8, 4)],
    &[(Color, 4, 9), (Equalize, 6, 3)],
    &[(Color, 4, 1), (Rotate, 6, 8)],
    &[(Solarize, 8, 3), (Equalize, 4, 7)],
    &[(Solarize, 4, 2), (Solarize, 6, 2)],
    &[(Color, 2, 0), (Equalize, 8, 8)],
    &[(Equalize, 4, 8), (SolarizeAdd, 8, 3)],
    &[(ShearX, 2, 9), (Rotate, 6, 8)],
    &[(Color, 6, 1), (Equalize, 10, 2)],
    &[(Invert, 4, 9), (Rotate, 6, 0)],
    &[(Equalize, 10, 9), (ShearY, 6, 3)],
    &[(Color, 4, 7), (Equalize, 6, 0)],
    &[(Posterize, 4, 6), (AutoContrast, 4, 7)],
    &[(Solarize, 6, 8), (Color, 6, 9)],
    &[(Solarize, 2, 4), (Rotate, 8, 9)],
    &[(Rotate, 10, 7), (TranslateYRel, 8, 9)],
    &[(ShearX, 0, 0), (Solarize, 8, 4)],
    &[(ShearY, 8, 0), (Color, 6, 4)],
    &[(Color, 10, 0), (Rotate, 6, 2)],
    &[(Equalize, 8, 4), (Equalize, 0, 8)],
    &[(Equalize, 10, 4), (AutoContrast, 6, 2)],
    &[(ShearY, 4, 7), (SolarizeAdd, 6, 7)],
    &[(Posterize, 8, 2), (Solarize, 6, 10)],
    &[(Solarize, 6, 8), (Equalize, 6, 1)],
    &[(Color, 8, 6), (Rotate, 4, 5)],
];

/// 3-Augment (Touvron et al. 2022).
const THREE: [&[Entry]; 3] = [&[(Solarize, 10, 5)], &[(Desaturate, 10, 10)], &[(GaussianBlurRand, 10, 10)]];
