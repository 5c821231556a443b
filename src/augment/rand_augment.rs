//! RandAugment (Cubuk et al. 2019) in timm's form: a few operations of a set, each tried, each at a drawn strength.

use anyhow::{Result, bail, ensure};

use super::Step;
use super::magnitude::{Magnitude, Spread, Trial};
use super::operation::{FULL, Hints, Operation};
use super::sections::{number, sections, unknown};
use crate::random::Draws;

/// Beyond this deviation a magnitude is drawn uniformly.
const UNIFORM_BEYOND: f64 = 100.0;

/// More operations a picture than this are a slip of the keyboard.
const MOST_LAYERS: usize = 100;

/// Draws `layers` operations a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct RandAugment {
    /// What is chosen from.
    pub trials: Vec<Trial>,
    /// Of the same length as `trials`: then an operation is chosen at most once a picture, in proportion to these.
    /// Without, every operation is as likely as any other, each time.
    pub weights: Option<Vec<f64>>,
    /// Operations chosen for a picture.
    pub layers: usize,
    pub hints: Hints,
}

impl RandAugment {
    /// Reads timm's `rand-m9-mstd0.5-inc1`: `m` magnitude (10), `n` operations (2), `p` probability of each (0.5),
    /// `mstd` deviation of the magnitude (0; above 100 uniform), `mmax` its limit (10), `inc` 1 for operations that
    /// grow with the magnitude, `t` a set (`weights`, `3a`, `3aw`).
    ///
    /// # Errors
    ///
    /// An unknown section or set, a value out of range, more operations than a weighted set has.
    pub fn parse(text: &str, hints: Hints) -> Result<Self> {
        let mut magnitude = Magnitude::new(FULL, Spread::None);
        let (mut layers, mut probability, mut increasing, mut set) = (2, 0.5, false, None);
        for (key, value) in sections(text)? {
            match key {
                "m" => magnitude.value = f64::from(number::<u32>(text, key, &value, 0)?),
                "mstd" => {
                    let deviation: f64 = number(text, key, &value, 0.0)?;
                    let uniform = deviation > UNIFORM_BEYOND;
                    magnitude.spread = if uniform { Spread::Uniform } else { Spread::normal(deviation) };
                }
                "mmax" => {
                    let most = number::<u32>(text, key, &value, 0)?;
                    magnitude.most = if most == 0 { FULL } else { f64::from(most) };
                }
                "n" => layers = number(text, key, &value, 0)?,
                "p" => probability = number(text, key, &value, 0.0)?,
                "inc" => increasing = number::<u32>(text, key, &value, 0)? > 0,
                "t" => set = Some(value),
                _ => return Err(unknown(text, key, &["m", "mstd", "mmax", "n", "p", "inc", "t"])),
            }
        }
        let (operations, weights) = match set.as_deref() {
            None if increasing => (INCREASING.to_vec(), None),
            None => (PLAIN.to_vec(), None),
            Some("3a") => (THREE.to_vec(), None),
            Some("3aw") => weighted(&THREE_WEIGHTED),
            Some("weights") => weighted(&WEIGHTED),
            Some(other) => bail!("--aa {text}: there is no set `{other}`; there are `tweights`, `t3a` and `t3aw`"),
        };
        let limit = if weights.is_some() { operations.len() } else { MOST_LAYERS };
        ensure!(layers <= limit, "--aa {text}: n{layers} operations a picture; at most {limit} can be chosen");
        let trial = |operation| Trial { operation, probability, magnitude };
        Ok(Self { trials: operations.into_iter().map(trial).collect(), weights, layers, hints })
    }

    /// What to do to one picture, in order.
    pub fn draw(&self, draws: &mut Draws) -> Vec<Step> {
        let chosen = match &self.weights {
            None => (0..self.layers).map(|_| draws.below(self.trials.len())).collect(),
            Some(weights) => without_replacement(weights.clone(), self.layers, draws),
        };
        chosen.into_iter().filter_map(|index: usize| self.trials[index].draw(&self.hints, draws)).collect()
    }
}

/// `count` different indices, one after another, each in proportion to the weights of those that are left.
fn without_replacement(mut weights: Vec<f64>, count: usize, draws: &mut Draws) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        let mut point = draws.uniform(0.0, weights.iter().sum());
        let mut last = None;
        for (index, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            last = Some(index);
            if point < weight {
                break;
            }
            point -= weight;
        }
        // No weight is left only where there are fewer operations than `count`.
        let Some(index) = last else { break };
        weights[index] = 0.0;
        chosen.push(index);
    }
    chosen
}

fn weighted(set: &[(Operation, f64)]) -> (Vec<Operation>, Option<Vec<f64>>) {
    let total: f64 = set.iter().map(|(_, weight)| weight).sum();
    (set.iter().map(|&(operation, _)| operation).collect(), Some(set.iter().map(|(_, w)| w / total).collect()))
}

use Operation::*;

/// timm's `_RAND_TRANSFORMS`.
#[rustfmt::skip]
const PLAIN: [Operation; 15] = [
    AutoContrast, Equalize, Invert, Rotate, Posterize, Solarize, SolarizeAdd, Color, Contrast, Brightness, Sharpness,
    ShearX, ShearY, TranslateXRel, TranslateYRel,
];

/// timm's `_RAND_INCREASING_TRANSFORMS`.
#[rustfmt::skip]
const INCREASING: [Operation; 15] = [
    AutoContrast, Equalize, Invert, Rotate, PosterizeIncreasing, SolarizeIncreasing, SolarizeAdd, ColorIncreasing,
    ContrastIncreasing, BrightnessIncreasing, SharpnessIncreasing, ShearX, ShearY, TranslateXRel, TranslateYRel,
];

/// timm's `_RAND_3A`.
const THREE: [Operation; 3] = [SolarizeIncreasing, Desaturate, GaussianBlur];

/// timm's `_RAND_WEIGHTED_3A`.
#[rustfmt::skip]
const THREE_WEIGHTED: [(Operation, f64); 14] = [
    (SolarizeIncreasing, 6.0), (Desaturate, 6.0), (GaussianBlur, 6.0), (Rotate, 3.0), (ShearX, 2.0), (ShearY, 2.0),
    (PosterizeIncreasing, 1.0), (AutoContrast, 1.0), (ColorIncreasing, 1.0), (SharpnessIncreasing, 1.0),
    (ContrastIncreasing, 1.0), (BrightnessIncreasing, 1.0), (Equalize, 1.0), (Invert, 1.0),
];

/// timm's `_RAND_WEIGHTED_0`.
#[rustfmt::skip]
const WEIGHTED: [(Operation, f64); 15] = [
    (Rotate, 3.0), (ShearX, 2.0), (ShearY, 2.0), (TranslateXRel, 1.0), (TranslateYRel, 1.0), (ColorIncreasing, 0.25),
    (SharpnessIncreasing, 0.25), (AutoContrast, 0.25), (SolarizeIncreasing, 0.05), (SolarizeAdd, 0.05),
    (ContrastIncreasing, 0.05), (BrightnessIncreasing, 0.05), (Equalize, 0.05), (PosterizeIncreasing, 0.05),
    (Invert, 0.05),
];
