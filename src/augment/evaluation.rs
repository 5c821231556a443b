//! The evaluation transform: resize and centre crop, or squash, as torchvision and timm do it on a PIL image.

use anyhow::{Result, ensure};

use super::resize::{self, Resizer, Window};
use super::{Place, Region, Rgb, Transform};
use crate::ops::squares::SquarePlan;
use crate::preprocessing::{Interpolation, Preprocessing, ResizeMode};

/// From any picture to the square that a network is evaluated on.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    side: usize,
    /// The resized shorter side; none when the picture is squashed to the square itself.
    shorter: Option<usize>,
    interpolation: Interpolation,
}

/// One axis of the crop: what of the resized line is kept, and where in the output it begins.
struct Axis {
    kept: std::ops::Range<usize>,
    begin: usize,
}

impl Evaluation {
    /// The transform that a network's preprocessing describes.
    ///
    /// # Errors
    ///
    /// An input size of zero, or a crop share that is not a positive number or leaves nothing to crop.
    pub fn new(preprocessing: &Preprocessing) -> Result<Self> {
        let Preprocessing { input_size: side, crop_pct, resize_mode, interpolation, .. } = *preprocessing;
        ensure!((1..=1 << 14).contains(&side), "--input-size {side}: give a side from 1 to {} pixels", 1 << 14);
        let shorter = match resize_mode {
            ResizeMode::Squash => None,
            ResizeMode::Crop => {
                let range = 1.0 / 64.0..=side as f64;
                ensure!(
                    range.contains(&crop_pct),
                    "--crop-pct {crop_pct}: give the share of the shorter side that is kept, such as 0.875"
                );
                // timm floors, the original's `int` truncates: the same for positive numbers.
                Some((side as f64 / crop_pct).floor() as usize)
            }
        };
        Ok(Self { side, shorter, interpolation })
    }

    /// Side of the square that comes out, in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The rectangle that [`Evaluation::apply`] looks at in a picture of `width` x `height`, neither of them 0.
    pub fn region(&self, width: usize, height: usize) -> Region {
        let resized = self.resized(width, height);
        self.window(resized).0.sources((width, height), resized, self.interpolation)
    }

    /// What [`Evaluation::apply`] does to a picture of `width` x `height`, neither of them 0, as passes for a device.
    pub fn plan(&self, width: usize, height: usize) -> SquarePlan {
        let resized = self.resized(width, height);
        let (window, inset) = self.window(resized);
        let (Region { left, top, .. }, [first, second]) =
            resize::plan((width, height), resized, self.interpolation, &window);
        SquarePlan { width, height, left, top, first, second, side: self.side, inset }
    }

    /// Writes the `[side, side, 3]` bytes that the network sees of `image` into `out`. Around [`Evaluation::region`] the
    /// picture may hold anything.
    ///
    /// # Panics
    ///
    /// When the picture is empty or `out` has another length: the caller's mistakes.
    pub fn apply(&self, image: &Rgb, resizer: &mut Resizer, out: &mut [u8]) {
        assert_eq!(out.len(), self.side * self.side * 3, "the output's length");
        let resized = self.resized(image.width, image.height);
        let (window, [left, top]) = self.window(resized);
        if window.columns.len() < self.side || window.rows.len() < self.side {
            out.fill(0);
        }
        let start = (top * self.side + left) * 3;
        resizer.resize_window(image, resized, self.interpolation, &window, &mut out[start..], self.side * 3);
    }

    /// What is kept of a picture resized to `resized`, and where in the square it begins.
    fn window(&self, resized: (usize, usize)) -> (Window, [usize; 2]) {
        let (across, down) = (Axis::centred(resized.0, self.side), Axis::centred(resized.1, self.side));
        (Window { columns: across.kept, rows: down.kept }, [across.begin, down.begin])
    }

    /// Size of the whole picture after the resize: torchvision's `Resize`, whose longer side is truncated.
    fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        let Some(shorter) = self.shorter else { return (self.side, self.side) };
        let longer = |long: usize, short: usize| ((shorter * long) as f64 / short as f64) as usize;
        if width <= height { (shorter, longer(height, width)) } else { (longer(width, height), shorter) }
    }
}

impl Transform for Evaluation {
    type Room = Resizer;

    fn side(&self) -> usize {
        self.side
    }

    fn region(&self, width: usize, height: usize, _: Place) -> Region {
        self.region(width, height)
    }

    fn apply(&self, image: &Rgb, _: Place, resizer: &mut Resizer, out: &mut [u8]) {
        self.apply(image, resizer, out);
    }
}

/// The same transform, of which JPEGs are left to a device.
#[derive(Clone, Copy, Debug)]
pub struct OnDevice(pub Evaluation);

impl Transform for OnDevice {
    type Room = Resizer;

    fn side(&self) -> usize {
        self.0.side
    }

    fn region(&self, width: usize, height: usize, _: Place) -> Region {
        self.0.region(width, height)
    }

    fn on_device(&self) -> Option<&Evaluation> {
        Some(&self.0)
    }

    fn apply(&self, image: &Rgb, _: Place, resizer: &mut Resizer, out: &mut [u8]) {
        self.0.apply(image, resizer, out);
    }
}

impl Axis {
    /// torchvision's `CenterCrop`: `round((length - side) / 2)` with halves to even; zeros around what is too small,
    /// the odd one behind.
    fn centred(length: usize, side: usize) -> Self {
        if length < side {
            return Self { kept: 0..length, begin: (side - length) / 2 };
        }
        let start = ((length - side) as f64 / 2.0).round_ties_even() as usize;
        Self { kept: start..start + side, begin: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preprocessing(input_size: usize, crop_pct: f64) -> Preprocessing {
        Preprocessing {
            input_size,
            crop_pct,
            resize_mode: ResizeMode::Crop,
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    #[test]
    fn the_shorter_side_is_floored_and_the_longer_truncated() {
        let at_224 = Evaluation::new(&preprocessing(224, 0.875)).unwrap();
        assert_eq!(at_224.resized(500, 375), (341, 256));
        assert_eq!(at_224.resized(375, 500), (256, 341));
        assert_eq!(Evaluation::new(&preprocessing(224, 0.9)).unwrap().resized(100, 100), (248, 248));
    }

    #[test]
    fn an_odd_margin_rounds_to_even() {
        assert_eq!(Axis::centred(341, 224).kept, 58..282);
        assert_eq!(Axis::centred(339, 224).kept, 58..282);
        assert_eq!(Axis::centred(225, 224).kept, 0..224);
    }

    #[test]
    fn a_picture_smaller_than_the_crop_gets_black_around_it() {
        let transform = Evaluation::new(&preprocessing(7, 1.75)).unwrap();
        let white = Rgb { width: 4, height: 4, pixels: vec![255; 48] };
        let mut out = vec![9; 7 * 7 * 3];
        transform.apply(&white, &mut Resizer::new(), &mut out);
        let lit = |x: usize, y: usize| out[(y * 7 + x) * 3] == 255;
        for y in 0..7 {
            for x in 0..7 {
                assert_eq!(lit(x, y), (1..5).contains(&x) && (1..5).contains(&y), "{x}, {y}");
            }
        }
    }

    #[test]
    fn a_crop_share_of_nothing_names_its_flag() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Evaluation::new(&preprocessing(224, wrong)).unwrap_err().to_string();
            assert!(error.contains("--crop-pct"), "{error}");
        }
        assert!(Evaluation::new(&preprocessing(0, 0.875)).unwrap_err().to_string().contains("--input-size"));
    }
}
