//! Padded crop: a square out of a picture with a black border, nothing resized (torchvision's `RandomCrop` with `padding`
//! and `pad_if_needed`), as networks for CIFAR are trained since He et al. (arXiv 1512.03385).

use super::{Region, Rgb};
use crate::random::Draws;

/// Draws squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddedCrop {
    /// Pixels of the border at each side.
    pub padding: usize,
}

/// What of a picture a square holds, the rest of which is black.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    pub region: Region,
    /// Where the region lies in the square.
    pub left: usize,
    pub top: usize,
}

/// An edge of the picture with its border.
struct Edge {
    length: usize,
    border: usize,
    /// Places that the square may have.
    places: usize,
}

impl PaddedCrop {
    /// The square of `side` pixels at `offset` (to the right, down) in the picture of `width` x `height` with its border.
    pub fn cut(&self, (width, height): (usize, usize), side: usize, offset: (usize, usize)) -> Cut {
        let (left, width, at_left) = self.edge(width, side).span(side, offset.0);
        let (top, height, at_top) = self.edge(height, side).span(side, offset.1);
        Cut { region: Region { left, top, width, height }, left: at_left, top: at_top }
    }

    /// A square at any place, each as likely as the others.
    pub fn draw(&self, size: (usize, usize), side: usize, draws: &mut Draws) -> Cut {
        let down = draws.below(self.edge(size.1, side).places);
        let right = draws.below(self.edge(size.0, side).places);
        self.cut(size, side, (right, down))
    }

    /// Where the border is not enough for a square, torchvision adds what lacks at both ends.
    fn edge(&self, length: usize, side: usize) -> Edge {
        let enough = length + 2 * self.padding >= side;
        let border = if enough { self.padding } else { side - length - self.padding };
        Edge { length, border, places: length + 2 * border - side + 1 }
    }
}

impl Edge {
    /// Where the square begins in the picture, how much of the picture it has, and where that begins in the square.
    fn span(&self, side: usize, offset: usize) -> (usize, usize, usize) {
        let start = offset.saturating_sub(self.border);
        let end = (offset + side).saturating_sub(self.border).min(self.length);
        (start, end.saturating_sub(start), self.border.saturating_sub(offset))
    }
}

impl Cut {
    /// Makes `square`, of `side` pixels, what this names of `image`.
    pub fn apply(&self, image: &Rgb, side: usize, square: &mut Rgb) {
        (square.width, square.height) = (side, side);
        square.pixels.clear();
        square.pixels.resize(side * side * 3, 0);
        let Region { left, top, width, height } = self.region;
        for row in 0..height {
            let from = ((top + row) * image.width + left) * 3;
            let to = ((self.top + row) * side + self.left) * 3;
            square.pixels[to..][..width * 3].copy_from_slice(&image.pixels[from..][..width * 3]);
        }
    }
}
