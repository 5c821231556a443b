//! Where the tiles of a map lie.

use super::scheme::{MOST_OUT, MOST_POINTS, Size};
use super::transform::OUTSIDE;
use crate::ops::Shape;

/// The tiles of maps of one shape, image by image, row by row; the last of a row or column may reach beyond the map.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    shape: Shape,
    size: Size,
    rows: usize,
    columns: usize,
}

impl Tiling {
    pub fn new(shape: Shape, size: Size) -> Self {
        Self { shape, size, rows: shape.height.div_ceil(size.out), columns: shape.width.div_ceil(size.out) }
    }

    /// Tiles in all.
    pub fn count(&self) -> usize {
        self.shape.batch * self.rows * self.columns
    }

    /// The pixels that a tile reads, row by row with the padding of 1 that a 3x3 kernel has; none where it reads zeros,
    /// and whatever beyond the tile's last.
    pub fn inputs(&self, tile: usize) -> [Option<usize>; MOST_POINTS] {
        let (image, top, left) = self.corner(tile);
        let side = self.size.side;
        std::array::from_fn(|at| {
            // Above or left of the map the difference wraps to a number beyond any map.
            self.pixel(image, (top + at / side).wrapping_sub(1), (left + at % side).wrapping_sub(1))
        })
    }

    /// The pixels that a tile writes, row by row; none outside the map, and whatever beyond the tile's last.
    pub fn outputs(&self, tile: usize) -> [Option<usize>; MOST_OUT * MOST_OUT] {
        let (image, top, left) = self.corner(tile);
        let out = self.size.out;
        std::array::from_fn(|at| self.pixel(image, top + at / out, left + at % out))
    }

    /// As [`Self::outputs`], as places of values, [`OUTSIDE`] for none.
    pub fn places(&self, tile: usize) -> [usize; MOST_OUT * MOST_OUT] {
        self.outputs(tile).map(|pixel| pixel.map_or(OUTSIDE, |pixel| pixel * self.shape.channels))
    }

    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (row, column) = (tile / self.columns, tile % self.columns);
        (row / self.rows, row % self.rows * self.size.out, column * self.size.out)
    }

    fn pixel(&self, image: usize, y: usize, x: usize) -> Option<usize> {
        let Shape { height, width, .. } = self.shape;
        (y < height && x < width).then(|| (image * height + y) * width + x)
    }
}
