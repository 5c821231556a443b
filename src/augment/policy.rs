//! Any of the learnt or random policies, by timm's strings.

use anyhow::Result;

use super::augmix::{self, AugMix};
use super::auto_augment::AutoAugment;
use super::operation::Hints;
use super::rand_augment::RandAugment;
use super::{Rgb, Step};
use crate::random::Draws;

/// What `--aa` names.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    Rand(RandAugment),
    Auto(AutoAugment),
    Mix(AugMix),
}

/// Room for a policy to work in.
#[derive(Debug, Default)]
pub struct Room {
    spare: Vec<u8>,
    mixing: augmix::Room,
}

impl Policy {
    /// Reads a policy's string.
    ///
    /// # Errors
    ///
    /// A string that no policy has, with what there is.
    pub fn parse(text: &str, hints: Hints) -> Result<Self> {
        Ok(match text.split('-').next() {
            Some("rand") => Self::Rand(RandAugment::parse(text, hints)?),
            Some("augmix") => Self::Mix(AugMix::parse(text, hints)?),
            _ => Self::Auto(AutoAugment::parse(text, hints)?),
        })
    }

    /// Does to `image` what `draws` decide.
    pub fn apply(&self, image: &mut Rgb, draws: &mut Draws, room: &mut Room) {
        match self {
            Self::Rand(policy) => room.carry_out(&policy.draw(draws), image),
            Self::Auto(policy) => room.carry_out(&policy.draw(draws), image),
            Self::Mix(policy) => policy.draw(draws).apply(image, &mut room.spare, &mut room.mixing),
        }
    }
}

impl Room {
    /// Does the steps, one after another.
    pub fn carry_out(&mut self, steps: &[Step], image: &mut Rgb) {
        for step in steps {
            step.apply(image, &mut self.spare);
        }
    }
}
