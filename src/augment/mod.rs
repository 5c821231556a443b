//! What happens to a decoded picture before a network sees it. One idea a file, on u8 RGB.

pub mod evaluation;
pub mod resize;
mod transform;

pub use transform::{Place, Transform};

/// A decoded picture: `[height, width, 3]` bytes, rows from the top, red first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    /// `height * width * 3` bytes.
    pub pixels: Vec<u8>,
}
