//! timm's named operations, and what a magnitude means to each (its `LEVEL_TO_ARG`).

use super::{Motion, Step};
use crate::preprocessing::Interpolation;
use crate::random::Draws;

/// The magnitude at which most operations reach the end of their range.
pub const FULL: f64 = 10.0;

/// An operation whose strength is still to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    /// Fewer bits are kept at lower magnitudes, 0 to 4.
    Posterize,
    /// Fewer bits are kept at higher magnitudes, 4 to 0.
    PosterizeIncreasing,
    /// Fewer bits are kept at lower magnitudes, 4 to 8.
    PosterizeOriginal,
    Solarize,
    SolarizeIncreasing,
    SolarizeAdd,
    Color,
    ColorIncreasing,
    Contrast,
    ContrastIncreasing,
    Brightness,
    BrightnessIncreasing,
    Sharpness,
    SharpnessIncreasing,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    TranslateXRel,
    TranslateYRel,
    Desaturate,
    GaussianBlur,
    /// A deviation from 0.1 to at most 2 pixels, drawn.
    GaussianBlurRand,
}

/// What operations need to know besides their magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hints {
    /// Colour of what comes from outside the picture.
    pub fill: [u8; 3],
    /// Filter of movements; none draws one of the two for each.
    pub filter: Option<Interpolation>,
    /// Pixels of a full absolute shift.
    pub shift: f64,
    /// Share of the side of a full relative shift.
    pub relative_shift: f64,
}

impl Hints {
    /// timm's: shifts of up to 0.45 of the side, the mean colour around what moves.
    pub fn new(side: usize, mean: [f32; 3], filter: Option<Interpolation>) -> Self {
        // timm's numbers are f64, where `mean` has the nearest f32: rounding to whole numbers hides that.
        let fill = mean.map(|share| (255.0 * f64::from(share)).round_ties_even() as u8);
        Self { fill, filter, shift: (side as f64 * 0.45).floor(), relative_shift: 0.45 }
    }
}

impl Operation {
    /// Decides everything: `magnitude` of 10 is full, whatever else is open is drawn.
    pub fn step(self, magnitude: f64, hints: &Hints, draws: &mut Draws) -> Step {
        // Multiplied in timm's order throughout: a last bit may decide about a byte.
        let level = magnitude / FULL;
        let mut signed = |value: f64| if draws.chance(0.5) { -value } else { value };
        let plain = level * 1.8 + 0.1;
        let posterized = (level * 4.0) as i32;
        let solarized = ((level * 256.0) as u16).min(256);
        let motion = match self {
            Self::Rotate => Motion::Rotate(signed(level * 30.0)),
            Self::ShearX => Motion::ShearX(signed(level * 0.3)),
            Self::ShearY => Motion::ShearY(signed(level * 0.3)),
            Self::TranslateX => Motion::TranslateX(signed(level * hints.shift)),
            Self::TranslateY => Motion::TranslateY(signed(level * hints.shift)),
            Self::TranslateXRel => Motion::TranslateXRel(signed(level * hints.relative_shift)),
            Self::TranslateYRel => Motion::TranslateYRel(signed(level * hints.relative_shift)),
            Self::AutoContrast => return Step::AutoContrast,
            Self::Equalize => return Step::Equalize,
            Self::Invert => return Step::Invert,
            Self::Posterize => return Step::Posterize(posterized),
            Self::PosterizeIncreasing => return Step::Posterize(4 - posterized),
            Self::PosterizeOriginal => return Step::Posterize(posterized + 4),
            Self::Solarize => return Step::Solarize(solarized),
            Self::SolarizeIncreasing => return Step::Solarize(256 - solarized),
            Self::SolarizeAdd => return Step::SolarizeAdd(((level * 110.0) as u8).min(128)),
            Self::Color => return Step::Color(plain),
            Self::Contrast => return Step::Contrast(plain),
            Self::Brightness => return Step::Brightness(plain),
            Self::Sharpness => return Step::Sharpness(plain),
            Self::ColorIncreasing => return Step::Color((1.0 + signed(level * 0.9)).max(0.1)),
            Self::ContrastIncreasing => return Step::Contrast((1.0 + signed(level * 0.9)).max(0.1)),
            Self::BrightnessIncreasing => return Step::Brightness((1.0 + signed(level * 0.9)).max(0.1)),
            Self::SharpnessIncreasing => return Step::Sharpness((1.0 + signed(level * 0.9)).max(0.1)),
            Self::Desaturate => return Step::Color((1.0 - between(0.5, 1.0, level)).clamp(0.0, 1.0)),
            Self::GaussianBlur => return Step::GaussianBlur(between(0.1, 2.0, level)),
            Self::GaussianBlurRand => {
                return Step::GaussianBlur(draws.uniform(0.1, 2.0 * between(0.0, 1.0, level)));
            }
        };
        let filters = [Interpolation::Bilinear, Interpolation::Bicubic];
        let filter = hints.filter.unwrap_or_else(|| filters[draws.below(filters.len())]);
        Step::Move { motion, filter, fill: hints.fill }
    }
}

/// `level` of the way from `low` to `high`, no further.
fn between(low: f64, high: f64, level: f64) -> f64 {
    (low + (high - low) * level).clamp(low, high)
}
