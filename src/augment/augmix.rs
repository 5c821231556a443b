//! AugMix (Hendrycks et al. 2019) in timm's form: several chains of operations, mixed with each other and the picture.

use anyhow::{Result, ensure};

use super::enhance::blend_to;
use super::magnitude::{Magnitude, Spread, Trial};
use super::operation::{Hints, Operation};
use super::sections::{number, sections, unknown};
use super::{Rgb, Step};
use crate::random::Draws;

/// A chain has as many operations as this at most where their number is drawn.
const DEPTHS: usize = 3;

/// More chains, or operations in one, are a slip of the keyboard.
const MOST: usize = 100;

/// Draws a mixture of chains a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct AugMix {
    pub trials: Vec<Trial>,
    /// Concentration of the chains' weights and of the mixture's share.
    pub alpha: f64,
    /// Chains a picture.
    pub width: usize,
    /// Operations a chain; none draws 1 to 3.
    pub depth: Option<usize>,
    /// Blends chain after chain into the picture, in bytes, instead of summing them first.
    pub blended: bool,
    pub hints: Hints,
}

/// What AugMix does to one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Share of each chain; together 1.
    pub weights: Vec<f32>,
    pub chains: Vec<Vec<Step>>,
    /// Share of the chains; the rest is the picture's.
    pub share: f32,
    pub blended: bool,
}

/// Room to mix in.
#[derive(Debug, Default)]
pub struct Room {
    branch: Rgb,
    original: Rgb,
    sum: Vec<f32>,
}

impl AugMix {
    /// Reads timm's `augmix-m3-w3-d-1`: `m` magnitude (3), `w` chains (3), `d` operations a chain (-1, which draws 1
    /// to 3), `a` concentration of the weights (1), `b` 1 to blend chain after chain, `mstd` deviation of the
    /// magnitude (by default it is drawn uniformly).
    ///
    /// # Errors
    ///
    /// An unknown section, a value out of range.
    pub fn parse(text: &str, hints: Hints) -> Result<Self> {
        let mut magnitude = Magnitude::new(3.0, Spread::Uniform);
        let (mut width, mut depth, mut alpha, mut blended) = (3, -1, 1.0_f64, false);
        for (key, value) in sections(text)? {
            match key {
                "m" => magnitude.value = f64::from(number::<u32>(text, key, &value, 0)?),
                "w" => width = number(text, key, &value, 1)?,
                "d" => depth = number(text, key, &value, -1)?,
                "a" => alpha = number(text, key, &value, 0.0)?,
                "b" => blended = number::<u32>(text, key, &value, 0)? > 0,
                "mstd" => magnitude.spread = Spread::normal(number(text, key, &value, 0.0)?),
                _ => return Err(unknown(text, key, &["m", "w", "d", "a", "b", "mstd"])),
            }
        }
        let depth = usize::try_from(depth).ok().filter(|&depth| depth > 0);
        ensure!(width <= MOST && depth <= Some(MOST), "--aa {text}: more than {MOST} chains, or operations in one");
        ensure!(alpha > 0.0 && alpha.is_finite(), "--aa {text}: `a` takes a number above 0");
        let trial = |operation| Trial { operation, probability: 1.0, magnitude };
        // timm moves less far here than elsewhere.
        let hints = Hints { relative_shift: 0.3, ..hints };
        Ok(Self { trials: OPERATIONS.map(trial).to_vec(), alpha, width, depth, blended, hints })
    }

    /// What to do to one picture.
    pub fn draw(&self, draws: &mut Draws) -> Mixture {
        let weights = draws.shares(self.width, self.alpha).into_iter().map(|weight| weight as f32).collect();
        let share = draws.beta(self.alpha, self.alpha) as f32;
        let chains = (0..self.width)
            .map(|_| {
                let depth = self.depth.unwrap_or_else(|| 1 + draws.below(DEPTHS));
                (0..depth)
                    .filter_map(|_| {
                        let trial = self.trials[draws.below(self.trials.len())];
                        trial.draw(&self.hints, draws)
                    })
                    .collect()
            })
            .collect();
        Mixture { weights, chains, share, blended: self.blended }
    }
}

impl Mixture {
    /// Does it to `image`, with `spare` and `room` to work in.
    pub fn apply(&self, image: &mut Rgb, spare: &mut Vec<u8>, room: &mut Room) {
        room.original.clone_from(image);
        room.sum.clear();
        room.sum.resize(image.pixels.len(), 0.0);
        for ((chain, &weight), blended) in self.chains.iter().zip(&self.weights).zip(self.blending()) {
            room.branch.clone_from(&room.original);
            for step in chain {
                step.apply(&mut room.branch, spare);
            }
            if self.blended {
                blend_to(&mut image.pixels, &room.branch.pixels, blended);
            } else {
                for (sum, &value) in room.sum.iter_mut().zip(&room.branch.pixels) {
                    *sum += weight * f32::from(value);
                }
            }
        }
        if !self.blended {
            // The casts truncate and clip.
            room.branch.pixels.clear();
            room.branch.pixels.extend(room.sum.iter().map(|&sum| sum as u8));
            blend_to(&mut image.pixels, &room.branch.pixels, self.share);
        }
    }

    /// By how much each chain is blended in, one after another, so that each ends up with its weight.
    fn blending(&self) -> Vec<f32> {
        let mut left = 1.0;
        let mut shares: Vec<f32> = self
            .weights
            .iter()
            .rev()
            .map(|weight| {
                let share = weight * self.share / left;
                left *= 1.0 - share;
                share
            })
            .collect();
        shares.reverse();
        shares
    }
}

use Operation::*;

/// timm's `_AUGMIX_TRANSFORMS`.
#[rustfmt::skip]
const OPERATIONS: [Operation; 13] = [
    AutoContrast, ColorIncreasing, ContrastIncreasing, BrightnessIncreasing, SharpnessIncreasing, Equalize, Rotate,
    PosterizeIncreasing, SolarizeIncreasing, ShearX, ShearY, TranslateXRel, TranslateYRel,
];
