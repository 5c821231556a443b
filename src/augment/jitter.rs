//! Colour jitter: brightness, contrast, saturation and hue by random factors, in random order (torchvision's
//! `ColorJitter`).

use anyhow::{Result, ensure};

use super::Step;
use crate::random::Draws;

/// How far each property strays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorJitter {
    /// Factors are drawn from `1 - brightness`, but not below 0, to `1 + brightness`; nothing is done at 0.
    pub brightness: f64,
    /// Likewise.
    pub contrast: f64,
    /// Likewise.
    pub saturation: f64,
    /// Shares of the circle from `-hue` to `hue`; nothing is done at 0.
    pub hue: f64,
}

impl ColorJitter {
    /// From the numbers of `--color-jitter`: one for brightness, contrast and saturation, or one for each, or a fourth
    /// for the hue.
    ///
    /// # Errors
    ///
    /// Another count of numbers, a negative one, a hue above 0.5.
    pub fn new(strengths: &[f64]) -> Result<Self> {
        let (brightness, contrast, saturation, hue) = match *strengths {
            [all] => (all, all, all, 0.0),
            [brightness, contrast, saturation] => (brightness, contrast, saturation, 0.0),
            [brightness, contrast, saturation, hue] => (brightness, contrast, saturation, hue),
            _ => anyhow::bail!("--color-jitter: give one number, or three, or four; not {}", strengths.len()),
        };
        let usable = |strength: &f64| (0.0..=1e3).contains(strength);
        ensure!(strengths.iter().all(usable), "--color-jitter {strengths:?}: give numbers from 0, such as 0.4");
        ensure!(hue <= 0.5, "--color-jitter: a hue of {hue}; give at most 0.5, which is the whole circle");
        Ok(Self { brightness, contrast, saturation, hue })
    }

    /// What to do to one picture, in order.
    pub fn draw(&self, draws: &mut Draws) -> Vec<Step> {
        let mut factor = |strength: f64| draws.uniform((1.0 - strength).max(0.0), 1.0 + strength);
        let mut steps = Vec::with_capacity(4);
        if self.brightness > 0.0 {
            steps.push(Step::Brightness(factor(self.brightness)));
        }
        if self.contrast > 0.0 {
            steps.push(Step::Contrast(factor(self.contrast)));
        }
        if self.saturation > 0.0 {
            steps.push(Step::Color(factor(self.saturation)));
        }
        if self.hue > 0.0 {
            steps.push(Step::Hue(draws.uniform(-self.hue, self.hue)));
        }
        draws.shuffle(&mut steps);
        steps
    }
}
