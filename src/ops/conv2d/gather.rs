//! Which pixel each tap of a convolution reads, forward and backward.

use super::ConvSpec;
use crate::ops::Shape;

/// Where a product's pixels read. The two steps let one pixel's taps share its divisions.
pub(super) trait Gather: Sync {
    /// Where output pixel `pixel` lies.
    fn position(&self, pixel: usize) -> Position;

    /// The input pixel that `tap` reads there, or none where it reads zeros.
    fn source(&self, position: Position, tap: usize) -> Option<usize>;
}

/// The first pixel of an image, and a place in it.
#[derive(Clone, Copy)]
pub(super) struct Position {
    image: usize,
    y: usize,
    x: usize,
}

/// Pixel `pixel` of maps of the shape `of`, in images of `area` pixels.
fn locate(pixel: usize, of: Shape, area: usize) -> Position {
    let (image, place) = (pixel / of.area(), pixel % of.area());
    Position { image: image * area, y: place / of.width, x: place % of.width }
}

/// Row and column of each tap.
fn offsets(spec: &ConvSpec) -> Vec<(usize, usize)> {
    (0..spec.taps()).map(|tap| (tap / spec.kernel, tap % spec.kernel)).collect()
}

/// Output pixels read the input.
pub(super) struct Forward {
    spec: ConvSpec,
    input: Shape,
    output: Shape,
    offsets: Vec<(usize, usize)>,
}

impl Forward {
    pub fn new(spec: &ConvSpec, input: Shape, output: Shape) -> Self {
        Self { spec: *spec, input, output, offsets: offsets(spec) }
    }
}

impl Gather for Forward {
    #[inline(always)]
    fn position(&self, pixel: usize) -> Position {
        let at = locate(pixel, self.output, self.input.area());
        Position { y: at.y * self.spec.stride, x: at.x * self.spec.stride, ..at }
    }

    #[inline(always)]
    fn source(&self, at: Position, tap: usize) -> Option<usize> {
        let (row, column) = self.offsets[tap];
        // Above or left of the map the difference wraps to a number beyond any map.
        let (y, x) = ((at.y + row).wrapping_sub(self.spec.padding), (at.x + column).wrapping_sub(self.spec.padding));
        (y < self.input.height && x < self.input.width).then(|| at.image + y * self.input.width + x)
    }
}

/// Input pixels read the output's gradient: the inverse of [`Forward`].
pub(super) struct Backward {
    spec: ConvSpec,
    input: Shape,
    output: Shape,
    offsets: Vec<(usize, usize)>,
}

impl Backward {
    pub fn new(spec: &ConvSpec, input: Shape, output: Shape) -> Self {
        Self { spec: *spec, input, output, offsets: offsets(spec) }
    }
}

impl Gather for Backward {
    #[inline(always)]
    fn position(&self, pixel: usize) -> Position {
        let at = locate(pixel, self.input, self.output.area());
        Position { y: at.y + self.spec.padding, x: at.x + self.spec.padding, ..at }
    }

    #[inline(always)]
    fn source(&self, at: Position, tap: usize) -> Option<usize> {
        let (row, column) = self.offsets[tap];
        let (y, x) = (at.y.checked_sub(row)?, at.x.checked_sub(column)?);
        let stride = self.spec.stride;
        let (y, x) = match stride {
            1 => (y, x),
            _ if y.is_multiple_of(stride) && x.is_multiple_of(stride) => (y / stride, x / stride),
            _ => return None,
        };
        (y < self.output.height && x < self.output.width).then(|| at.image + y * self.output.width + x)
    }
}
