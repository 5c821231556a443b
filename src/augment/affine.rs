//! Pillow's `Image.transform` by an affine map, byte for byte: no antialiasing, f64, and a cubic of its own.

mod lanes;

use self::lanes::Lanes;
use super::Rgb;
use crate::preprocessing::Interpolation;

/// Where an output pixel lies in the source: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`, between
/// the centres of pixels.
pub(super) type Matrix = [f64; 6];

/// Moves the picture; what comes from outside it is `fill`.
pub(super) fn transform(image: &mut Rgb, matrix: &Matrix, filter: Interpolation, fill: [u8; 3], spare: &mut Vec<u8>) {
    std::mem::swap(&mut image.pixels, spare);
    image.pixels.resize(spare.len() + 1, 0);
    // A pixel is read and written as four bytes.
    spare.push(0);
    let source = Source { pixels: spare, width: image.width, height: image.height };
    lanes::dispatch(source, matrix, filter, fill, &mut image.pixels);
    image.pixels.pop();
}

#[derive(Clone, Copy)]
struct Source<'a> {
    /// One byte longer than the picture.
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

/// A point within the picture: the pixel above and to the left of it, which may lie outside, and how far it is from it.
#[derive(Clone, Copy)]
struct Point {
    column: isize,
    row: isize,
    right: f64,
    down: f64,
}

/// A filter. Its methods are all inlined, and free of closures, so that they are compiled for the lanes' processor.
trait Filter {
    /// The pixel at a point.
    fn at<L: Lanes>(source: Source<'_>, point: Point) -> L;
}

struct Bilinear;

impl Bilinear {
    #[inline(always)]
    fn line<L: Lanes>(source: Source<'_>, point: Point, step: isize) -> L {
        let [left, right] = source.neighbours::<L, 2>(point.row + step, point.column);
        left.towards(right, point.right)
    }
}

impl Filter for Bilinear {
    #[inline(always)]
    fn at<L: Lanes>(source: Source<'_>, point: Point) -> L {
        let upper = Self::line::<L>(source, point, 0);
        // No way down is no step: the lower row would add zero.
        if point.down == 0.0 { upper } else { upper.towards(Self::line(source, point, 1), point.down) }
    }
}

struct Bicubic;

impl Bicubic {
    #[inline(always)]
    fn line<L: Lanes>(source: Source<'_>, point: Point, step: isize) -> L {
        let taps = source.neighbours::<L, 4>(point.row + step, point.column - 1);
        if point.right == 0.0 { taps[1] } else { L::cubic(taps, point.right) }
    }
}

impl Filter for Bicubic {
    #[inline(always)]
    fn at<L: Lanes>(source: Source<'_>, point: Point) -> L {
        let here = Self::line(source, point, 0);
        if point.down == 0.0 {
            return here;
        }
        let (above, below) = (Self::line(source, point, -1), Self::line(source, point, 1));
        L::cubic([above, here, below, Self::line(source, point, 2)], point.down)
    }
}

/// Fills `to`, one byte longer than the picture.
#[inline(always)]
fn sample<L: Lanes, F: Filter>(source: Source<'_>, matrix: &Matrix, fill: [u8; 3], to: &mut [u8]) {
    let outside = [fill[0], fill[1], fill[2], 0];
    for y in 0..source.height {
        for x in 0..source.width {
            // The fourth byte is the next pixel's, whose turn comes later. There is one behind the last.
            let Some(to) = to[(y * source.width + x) * 3..].first_chunk_mut() else { return };
            *to = match source.point(matrix, x, y) {
                Some(point) => F::at::<L>(source, point).bytes(),
                None => outside,
            };
        }
    }
}

impl Source<'_> {
    /// Where output pixel `x`, `y` comes from; none outside the picture.
    #[inline(always)]
    fn point(self, matrix: &Matrix, x: usize, y: usize) -> Option<Point> {
        let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
        let across = matrix[0] * x + matrix[1] * y + matrix[2];
        let along = matrix[3] * x + matrix[4] * y + matrix[5];
        if !(0.0..self.width as f64).contains(&across) || !(0.0..self.height as f64).contains(&along) {
            return None;
        }
        let (across, along) = (across - 0.5, along - 0.5);
        // Floors: the numbers are at least -0.5, and casts truncate.
        let column = if across < 0.0 { -1 } else { across as isize };
        let row = if along < 0.0 { -1 } else { along as isize };
        Some(Point { column, row, right: across - column as f64, down: along - row as f64 })
    }

    /// `N` pixels of a row from `column` on; what lies outside is the nearest that does not.
    #[inline(always)]
    fn neighbours<L: Lanes, const N: usize>(self, row: isize, column: isize) -> [L; N] {
        let start = row.clamp(0, self.height as isize - 1) as usize * self.width * 3;
        let mut pixels = [L::load([0; 4]); N];
        if column >= 0 && (column as usize) + N <= self.width {
            let at = start + column as usize * 3;
            let bytes = &self.pixels[at..at + 3 * N + 1];
            for (n, pixel) in pixels.iter_mut().enumerate() {
                *pixel = L::load([bytes[3 * n], bytes[3 * n + 1], bytes[3 * n + 2], bytes[3 * n + 3]]);
            }
        } else {
            for (n, pixel) in pixels.iter_mut().enumerate() {
                let at = start + (column + n as isize).clamp(0, self.width as isize - 1) as usize * 3;
                let bytes = &self.pixels[at..at + 4];
                *pixel = L::load([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
        pixels
    }
}
