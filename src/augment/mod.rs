//! What happens to a decoded picture before a network sees it. One idea a file, on u8 RGB.

mod affine;
pub mod augmix;
pub mod auto_augment;
mod blur;
mod crop;
mod enhance;
pub mod erase;
pub mod evaluation;
pub mod flip;
mod hue;
pub mod jitter;
mod lookup;
pub mod magnitude;
mod mix_pixels;
pub mod mixing;
mod motion;
pub mod operation;
mod padded_crop;
pub mod policy;
pub mod rand_augment;
pub mod resize;
mod sections;
mod step;
pub mod training;
mod transform;

pub use crop::RandomCrop;
pub use mix_pixels::mix_batch;
pub use motion::Motion;
pub use padded_crop::{Cut, PaddedCrop};
pub use step::Step;
pub use transform::{OfEpoch, Place, Transform};

/// A decoded picture: `[height, width, 3]` bytes, rows from the top, red first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    /// `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}

/// A rectangle of a picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// A picture, or a rectangle of one, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Begins with the first pixel and ends with the last.
    pixels: &'a [u8],
    width: usize,
    height: usize,
    /// Bytes from a row to the next.
    pitch: usize,
}

impl Rgb {
    /// The rectangle `region` of this picture.
    ///
    /// # Panics
    ///
    /// When the region leaves the picture, or the picture has fewer bytes than it says: the caller's mistakes.
    pub fn cut(&self, region: Region) -> View<'_> {
        let Region { left, top, width, height } = region;
        assert!(left + width <= self.width && top + height <= self.height, "{region:?} leaves the picture");
        let pitch = self.width * 3;
        let start = top * pitch + left * 3;
        let end = if width * height == 0 { start } else { start + (height - 1) * pitch + width * 3 };
        View { pixels: &self.pixels[start..end], width, height, pitch }
    }
}

impl<'a> From<&'a Rgb> for View<'a> {
    fn from(image: &'a Rgb) -> Self {
        image.cut(Region { left: 0, top: 0, width: image.width, height: image.height })
    }
}
