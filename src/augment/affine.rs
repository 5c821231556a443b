//! Pillow's `Image.transform` by an affine map, byte for byte: no antialiasing, f64, and a cubic of its own.

use super::Rgb;
use crate::ops::vectorized;
use crate::preprocessing::Interpolation;

/// Where an output pixel lies in the source: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`, between
/// the centres of pixels.
pub(super) type Matrix = [f64; 6];

/// A pixel's channels and a fourth number without meaning, so that they fill a vector.
type Lanes = [f64; 4];

/// Moves the picture; what comes from outside it is `fill`.
pub(super) fn transform(image: &mut Rgb, matrix: &Matrix, filter: Interpolation, fill: [u8; 3], spare: &mut Vec<u8>) {
    spare.clear();
    spare.extend_from_slice(&image.pixels);
    // A pixel is read as four bytes.
    spare.push(0);
    let source = Source { pixels: spare, width: image.width, height: image.height };
    match filter {
        Interpolation::Bilinear => bilinear(source, matrix, fill, &mut image.pixels),
        Interpolation::Bicubic => bicubic(source, matrix, fill, &mut image.pixels),
    }
}

#[derive(Clone, Copy)]
struct Source<'a> {
    /// One byte longer than the picture.
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

/// A point within the picture: the pixel above and to the left of it, which may lie outside, and how far it is from it.
struct Point {
    column: isize,
    row: isize,
    right: f64,
    down: f64,
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

    /// Byte offset of the row nearest to `row`.
    #[inline(always)]
    fn row(self, row: isize) -> usize {
        row.clamp(0, self.height as isize - 1) as usize * self.width * 3
    }

    /// Byte offset in its row of the pixel nearest to `column`.
    #[inline(always)]
    fn column(self, column: isize) -> usize {
        column.clamp(0, self.width as isize - 1) as usize * 3
    }

    #[inline(always)]
    fn pixel(self, at: usize) -> Lanes {
        let bytes = &self.pixels[at..at + 4];
        std::array::from_fn(|lane| f64::from(bytes[lane]))
    }
}

vectorized! {
    fn bilinear(source: Source<'_>, matrix: &Matrix, fill: [u8; 3], to: &mut [u8]) {
        for (y, row) in to.chunks_exact_mut(source.width * 3).enumerate() {
            for (x, to) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let Some(point) = source.point(matrix, x, y) else {
                    *to = fill;
                    continue;
                };
                let columns = [0, 1].map(|step| source.column(point.column + step));
                let along_row = |row: isize| {
                    let start = source.row(row);
                    let [left, right] = columns.map(|column| source.pixel(start + column));
                    between(left, right, point.right)
                };
                let upper = along_row(point.row);
                // Halfway to nowhere is no step: the lower row then adds zero.
                let value =
                    if point.down == 0.0 { upper } else { between(upper, along_row(point.row + 1), point.down) };
                *to = bytes(value);
            }
        }
    }
}

vectorized! {
    fn bicubic(source: Source<'_>, matrix: &Matrix, fill: [u8; 3], to: &mut [u8]) {
        for (y, row) in to.chunks_exact_mut(source.width * 3).enumerate() {
            for (x, to) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let Some(point) = source.point(matrix, x, y) else {
                    *to = fill;
                    continue;
                };
                let columns = [-1, 0, 1, 2].map(|step| source.column(point.column + step));
                let along_row = |row: isize| {
                    let start = source.row(row);
                    if point.right == 0.0 {
                        return source.pixel(start + columns[1]);
                    }
                    cubic(columns.map(|column| source.pixel(start + column)), point.right)
                };
                let value = if point.down == 0.0 {
                    along_row(point.row)
                } else {
                    cubic([-1, 0, 1, 2].map(|step| along_row(point.row + step)), point.down)
                };
                *to = bytes(value);
            }
        }
    }
}

#[inline(always)]
fn between(a: Lanes, b: Lanes, share: f64) -> Lanes {
    std::array::from_fn(|lane| a[lane] + (b[lane] - a[lane]) * share)
}

/// Cubic convolution with a = -1, where the resize has -0.5; `share` of the way from the second tap to the third.
#[inline(always)]
fn cubic([a, b, c, d]: [Lanes; 4], share: f64) -> Lanes {
    std::array::from_fn(|lane| {
        let (a, b, c, d) = (a[lane], b[lane], c[lane], d[lane]);
        let second = 2.0 * (a - b) + c - d;
        let third = -a + b - c + d;
        b + share * ((-a + c) + share * (second + share * third))
    })
}

/// Clipped and truncated.
#[inline(always)]
fn bytes(value: Lanes) -> [u8; 3] {
    std::array::from_fn(|lane| value[lane].clamp(0.0, 255.0) as i32 as u8)
}
