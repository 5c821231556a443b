//! The shape of a feature map.

use std::fmt;

/// Dimensions of a feature map in memory order: batch, height, width, channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Shape {
    pub const fn new(batch: usize, height: usize, width: usize, channels: usize) -> Self {
        Self { batch, height, width, channels }
    }

    /// Values in the map.
    pub const fn len(&self) -> usize {
        self.batch * self.image_len()
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in one image.
    pub const fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Positions in the map, whatever the channels.
    pub const fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Positions in one image.
    pub const fn area(&self) -> usize {
        self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}, {}]", self.batch, self.height, self.width, self.channels)
    }
}
