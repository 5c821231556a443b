//! Mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019) in timm's form: which pictures of a batch are mixed, by how
//! much, and where.
//!
//! The partner of picture `i` in a batch of `n` is `n - 1 - i`. Pictures are mixed as bytes, before normalisation and
//! erasing.

use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use super::Region;
use crate::random::Draws;

/// What shares one draw: `--mixup-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixingMode {
    /// The whole batch.
    Batch,
    /// A picture and its partner.
    Pair,
    /// A picture.
    Elem,
}

/// Settings of mixup and CutMix, by timm's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixingSettings {
    /// `--mixup`: both shapes of mixup's beta distribution; 0 for no mixup.
    pub mixup: f64,
    /// `--cutmix`: likewise of CutMix.
    pub cutmix: f64,
    /// `--cutmix-minmax`: least and greatest share of a side instead; CutMix is then on.
    pub cutmix_minmax: Option<(f64, f64)>,
    /// `--mixup-prob`: of any mixing, for each draw.
    pub probability: f64,
    /// `--mixup-switch-prob`: of CutMix where both are on.
    pub switch_probability: f64,
    pub mode: MixingMode,
    /// `--mixup-off-epoch`: from this epoch on nothing is mixed; 0 for never.
    pub off_epoch: u64,
}

/// Draws mixtures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixing {
    settings: MixingSettings,
}

/// How a picture and its partner are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Share of the picture itself, of its pixels and of its label: lambda.
    pub share: f32,
    /// Share of its partner, 1 - lambda, rounded for itself.
    pub rest: f32,
    /// The rectangle that comes from the partner; none where all pixels are mixed.
    pub region: Option<Region>,
}

/// One draw before it is rounded.
struct Drawn {
    share: f64,
    region: Option<Region>,
}

impl Mix {
    /// The picture stays as it is.
    pub const NONE: Self = Self { share: 1.0, rest: 0.0, region: None };
}

impl Mixing {
    /// Mixing by these settings; none where they ask for none.
    ///
    /// # Errors
    ///
    /// Shapes, probabilities and shares out of range.
    pub fn new(settings: MixingSettings) -> Result<Option<Self>> {
        let shapes = [("--mixup", settings.mixup), ("--cutmix", settings.cutmix)];
        for (flag, shape) in shapes {
            ensure!((0.0..=1e6).contains(&shape), "{flag} {shape}: give a number from 0, such as 0.2");
        }
        let probabilities =
            [("--mixup-prob", settings.probability), ("--mixup-switch-prob", settings.switch_probability)];
        for (flag, probability) in probabilities {
            ensure!((0.0..=1.0).contains(&probability), "{flag} {probability}: give a probability from 0 to 1");
        }
        if let Some((least, most)) = settings.cutmix_minmax {
            ensure!(
                0.0 <= least && least < most && most <= 1.0,
                "--cutmix-minmax {least} {most}: give two shares of a side, the lesser first"
            );
        }
        let on = settings.mixup > 0.0 || settings.cutmix > 0.0 || settings.cutmix_minmax.is_some();
        Ok(on.then_some(Self { settings }))
    }

    /// How to mix a batch of `count` pictures of `width` x `height` in `epoch`, a [`Mix`] for each. In an odd batch
    /// the one in the middle, its own partner, stays.
    pub fn draw(&self, epoch: u64, count: usize, width: usize, height: usize, draws: &mut Draws) -> Vec<Mix> {
        let mut mixes = vec![Mix::NONE; count];
        if self.settings.off_epoch > 0 && epoch >= self.settings.off_epoch {
            return mixes;
        }
        match self.settings.mode {
            MixingMode::Batch => {
                // timm's whole batch is mixed by numbers of f64, rounded last.
                if let Some(Drawn { share, region }) = self.one(width, height, draws) {
                    mixes.fill(Mix { share: share as f32, rest: (1.0 - share) as f32, region });
                }
            }
            MixingMode::Pair => {
                for first in 0..count / 2 {
                    let mix = self.one(width, height, draws).map_or(Mix::NONE, Drawn::rounded);
                    mixes[first] = mix;
                    mixes[count - 1 - first] = mix;
                }
            }
            MixingMode::Elem => mixes.fill_with(|| self.one(width, height, draws).map_or(Mix::NONE, Drawn::rounded)),
        }
        if count % 2 == 1 {
            mixes[count / 2] = Mix::NONE;
        }
        mixes
    }

    /// One draw; none where nothing is to be mixed.
    fn one(&self, width: usize, height: usize, draws: &mut Draws) -> Option<Drawn> {
        let MixingSettings { mixup, cutmix, cutmix_minmax, probability, switch_probability, .. } = self.settings;
        if !draws.chance(probability) {
            return None;
        }
        let cuts = cutmix > 0.0 || cutmix_minmax.is_some();
        if !cuts || mixup > 0.0 && !draws.chance(switch_probability) {
            return Some(Drawn { share: draws.beta(mixup, mixup), region: None });
        }
        let region = match cutmix_minmax {
            Some(bounds) => inner_region(bounds, width, height, draws),
            None => region(draws.beta(cutmix, cutmix), width, height, draws),
        };
        // The share is that of the pixels, whatever the beta variate was before the rectangle was clipped.
        let share = 1.0 - (region.width * region.height) as f64 / (width * height) as f64;
        Some(Drawn { share, region: Some(region) })
    }
}

impl Drawn {
    /// In f32, as timm keeps the shares of single pictures.
    fn rounded(self) -> Mix {
        let share = self.share as f32;
        Mix { share, rest: 1.0 - share, region: self.region }
    }
}

/// A rectangle of the picture's shape and `1 - share` of its area around any pixel, clipped.
fn region(share: f64, width: usize, height: usize, draws: &mut Draws) -> Region {
    let side = (1.0 - share).sqrt();
    let (cut_height, cut_width) = ((height as f64 * side) as usize, (width as f64 * side) as usize);
    let (row, column) = (draws.below(height), draws.below(width));
    let clipped =
        |middle: usize, cut: usize, most: usize| (middle.saturating_sub(cut / 2), (middle + cut.div_ceil(2)).min(most));
    let (top, bottom) = clipped(row, cut_height, height);
    let (left, right) = clipped(column, cut_width, width);
    Region { left, top, width: right - left, height: bottom - top }
}

/// A rectangle within the picture whose sides are shares of the picture's between two bounds.
fn inner_region((least, most): (f64, f64), width: usize, height: usize, draws: &mut Draws) -> Region {
    let mut side = |length: usize| {
        let (low, high) = ((length as f64 * least) as usize, (length as f64 * most) as usize);
        low + draws.below(high - low)
    };
    let (h, w) = (side(height), side(width));
    Region { top: draws.below(height - h + 1), left: draws.below(width - w + 1), width: w, height: h }
}

impl FromStr for MixingMode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "batch" => Self::Batch,
            "pair" => Self::Pair,
            "elem" => Self::Elem,
            _ => bail!("--mixup-mode {text}: there are batch, pair and elem"),
        })
    }
}
