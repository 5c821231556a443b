//! Random resized crop: which rectangle of a picture becomes the square, and by which filter (torchvision's
//! `RandomResizedCrop`, with timm's random filter).

use anyhow::{Result, ensure};

use super::Region;
use crate::preprocessing::Interpolation;
use crate::random::Draws;

/// Tries at a rectangle that fits.
const TRIES: usize = 10;

/// Draws rectangles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomCrop {
    /// Least and greatest share of the picture's area.
    pub scale: (f64, f64),
    /// Least and greatest width over height; its logarithm is uniform between.
    pub ratio: (f64, f64),
    /// None draws one of the two for each picture.
    pub filter: Option<Interpolation>,
}

impl RandomCrop {
    /// timm's crop.
    ///
    /// # Errors
    ///
    /// Shares that are not positive, or whose first is above its second.
    pub fn new(scale: (f64, f64), ratio: (f64, f64), filter: Option<Interpolation>) -> Result<Self> {
        for (flag, (least, most)) in [("--scale", scale), ("--ratio", ratio)] {
            ensure!(
                least > 0.0 && least <= most && most.is_finite(),
                "{flag} {least} {most}: give the lesser first, both above 0"
            );
        }
        ensure!(scale.1 <= 1.0, "--scale {} {}: a crop has at most the whole area, 1", scale.0, scale.1);
        Ok(Self { scale, ratio, filter })
    }

    /// The rectangle of a picture of `width` x `height`, both at least 1. It needs the picture's size alone, so that
    /// a decoder may leave out the rest.
    pub fn region(&self, width: usize, height: usize, draws: &mut Draws) -> Region {
        for _ in 0..TRIES {
            let (share, shape) = (draws.unit(), draws.unit());
            if let Some((w, h)) = self.size(width, height, share, shape) {
                let top = draws.below(height - h + 1);
                let left = draws.below(width - w + 1);
                return Region { left, top, width: w, height: h };
            }
        }
        self.fallback(width, height)
    }

    /// The filter for one picture.
    pub fn filter(&self, draws: &mut Draws) -> Interpolation {
        let both = [Interpolation::Bilinear, Interpolation::Bicubic];
        self.filter.unwrap_or_else(|| both[draws.below(both.len())])
    }

    /// Width and height for two uniform numbers in [0, 1); none where it does not fit the picture.
    fn size(&self, width: usize, height: usize, share: f64, shape: f64) -> Option<(usize, usize)> {
        let area = between(self.scale, share) * (width * height) as f64;
        let ratio = between((self.ratio.0.ln(), self.ratio.1.ln()), shape).exp();
        let w = (area * ratio).sqrt().round_ties_even() as usize;
        let h = (area / ratio).sqrt().round_ties_even() as usize;
        // torchvision insists on a pixel; timm does not, and a resize of nothing is an error there.
        ((1..=width).contains(&w) && (1..=height).contains(&h)).then_some((w, h))
    }

    /// The middle, as much of it as the ratio permits.
    fn fallback(&self, width: usize, height: usize) -> Region {
        let ratio = width as f64 / height as f64;
        let rounded = |length: f64, most: usize| (length.round_ties_even() as usize).clamp(1, most);
        let (w, h) = if ratio < self.ratio.0 {
            (width, rounded(width as f64 / self.ratio.0, height))
        } else if ratio > self.ratio.1 {
            (rounded(height as f64 * self.ratio.1, width), height)
        } else {
            (width, height)
        };
        Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

fn between((low, high): (f64, f64), share: f64) -> f64 {
    low + (high - low) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_the_last_resort_are_timms() {
        let crop = RandomCrop::new((0.08, 1.0), (3.0 / 4.0, 4.0 / 3.0), None).unwrap();
        let text = include_str!("../../tests/fixtures/augment/crops.json");
        let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut resorted = 0;
        for case in fixture["crop"].as_array().unwrap() {
            let whole = |list: &serde_json::Value| -> Vec<usize> {
                list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
            };
            let units: Vec<f64> = case["units"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
            let [width, height] = whole(&case["size"])[..] else { panic!("a size has two numbers") };
            let tried = units.chunks(2).find_map(|two| crop.size(width, height, two[0], two[1]));
            resorted += usize::from(tried.is_none());
            // The fixture's whole numbers are the greatest that there are.
            let region = tried.map_or(crop.fallback(width, height), |(w, h)| Region {
                left: width - w,
                top: height - h,
                width: w,
                height: h,
            });
            let found = [region.left, region.top, region.width, region.height];
            assert_eq!(found.to_vec(), whole(&case["box"]), "{case}");
        }
        assert!(resorted > 5, "{resorted}");
    }
}
