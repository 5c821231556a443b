//! One operation on a picture with everything about it decided: drawn by a policy, carried out here.

use super::motion::Motion;
use super::{Rgb, blur, enhance, hue, lookup};
use crate::preprocessing::Interpolation;

/// What to do to a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    AutoContrast,
    Equalize,
    Invert,
    /// Inverts the values from this one on.
    Solarize(u16),
    /// Adds this to the values below 128.
    SolarizeAdd(u8),
    /// Keeps this many bits; none or fewer leave black.
    Posterize(i32),
    /// Gray at 0, as it was at 1, and beyond.
    Color(f64),
    /// Even gray at 0, as it was at 1, and beyond.
    Contrast(f64),
    /// Black at 0, as it was at 1, and beyond.
    Brightness(f64),
    /// Smoothed at 0, as it was at 1, and beyond.
    Sharpness(f64),
    /// Turns the hue by this share of the circle, -0.5 to 0.5.
    Hue(f64),
    /// A Gaussian of this deviation in pixels.
    GaussianBlur(f64),
    Move {
        motion: Motion,
        filter: Interpolation,
        fill: [u8; 3],
    },
}

impl Step {
    /// Does it to `image`, with `spare` to work in.
    pub fn apply(&self, image: &mut Rgb, spare: &mut Vec<u8>) {
        let pixels = &mut image.pixels;
        let tables = match *self {
            Self::AutoContrast => lookup::auto_contrast(pixels),
            Self::Equalize => lookup::equalize(pixels),
            Self::Invert => lookup::invert(),
            Self::Solarize(threshold) => lookup::solarize(threshold),
            Self::SolarizeAdd(add) => lookup::solarize_add(add),
            Self::Posterize(bits) => lookup::posterize(bits),
            Self::Contrast(factor) => lookup::contrast(pixels, factor as f32),
            Self::Brightness(factor) => lookup::brightness(factor as f32),
            Self::Color(factor) => return enhance::color(pixels, factor as f32, spare),
            Self::Sharpness(factor) => return enhance::sharpness(pixels, image.width, factor as f32, spare),
            Self::Hue(factor) => return hue::turn(image, hue::shift(factor)),
            Self::GaussianBlur(sigma) => return blur::gaussian_blur(image, sigma as f32, spare),
            Self::Move { motion, filter, fill } => return motion.apply(image, filter, fill, spare),
        };
        lookup::look_up(pixels, &tables);
    }
}
