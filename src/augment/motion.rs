//! The affine maps of augmentation: turn, shear, shift.

use super::Rgb;
use super::affine::{Matrix, transform};
use crate::preprocessing::Interpolation;

/// A movement of a picture within its frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Counter-clockwise about the centre, by degrees.
    Rotate(f64),
    /// Sideways by this many pixels a row; the content goes left where it is positive.
    ShearX(f64),
    /// Upwards by this many pixels a column.
    ShearY(f64),
    /// To the left, by pixels.
    TranslateX(f64),
    /// Upwards, by pixels.
    TranslateY(f64),
    /// To the left, by this share of the width.
    TranslateXRel(f64),
    /// Upwards, by this share of the height.
    TranslateYRel(f64),
}

impl Motion {
    /// Moves `image`; what comes from outside it is `fill`.
    pub(super) fn apply(self, image: &mut Rgb, filter: Interpolation, fill: [u8; 3], spare: &mut Vec<u8>) {
        if self != Self::Rotate(0.0) && !image.pixels.is_empty() {
            transform(image, &self.matrix(image.width as f64, image.height as f64), filter, fill, spare);
        }
    }

    fn matrix(self, width: f64, height: f64) -> Matrix {
        match self {
            Self::Rotate(degrees) => rotation(degrees, width, height),
            Self::ShearX(pixels) => [1.0, pixels, 0.0, 0.0, 1.0, 0.0],
            Self::ShearY(pixels) => [1.0, 0.0, 0.0, pixels, 1.0, 0.0],
            Self::TranslateX(pixels) => [1.0, 0.0, pixels, 0.0, 1.0, 0.0],
            Self::TranslateY(pixels) => [1.0, 0.0, 0.0, 0.0, 1.0, pixels],
            Self::TranslateXRel(share) => Self::TranslateX(share * width).matrix(width, height),
            Self::TranslateYRel(share) => Self::TranslateY(share * height).matrix(width, height),
        }
    }
}

/// Pillow's `Image.rotate`. It turns by half and quarter circles without arithmetic; the rounded cosines give the same.
fn rotation(degrees: f64, width: f64, height: f64) -> Matrix {
    // Python's modulo and `math.radians`.
    let angle = -(degrees.rem_euclid(360.0) * (std::f64::consts::PI / 180.0));
    let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
    let centre = (width / 2.0, height / 2.0);
    let across = cos * -centre.0 + sin * -centre.1 + 0.0;
    let along = -sin * -centre.0 + cos * -centre.1 + 0.0;
    [cos, sin, across + centre.0, -sin, cos, along + centre.1]
}

/// To 15 decimals, by way of the decimal number, as Python rounds.
fn rounded(value: f64) -> f64 {
    format!("{value:.15}").parse().unwrap_or(value)
}
