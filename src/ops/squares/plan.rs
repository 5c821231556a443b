//! How a square is made of a decoded picture: two passes of the resize, as data.

use crate::ops::cuda::resize::{Job, TAP_HEAD};

/// Bytes of a pixel.
const PIXEL: usize = 3;

/// One pass: every pixel is a weighted sum of pixels of its line, or of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whether pixels of a column are summed, not of a line.
    pub is_down: bool,
    /// For each column, or line, that comes out: first pixel, number of weights, weights, zeros up to `tap_row` ints.
    pub taps: Vec<i32>,
    pub tap_row: usize,
    /// What comes out.
    pub columns: usize,
    pub lines: usize,
}

/// From a decoded picture to the square that a network sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SquarePlan {
    /// Size of the picture.
    pub width: usize,
    pub height: usize,
    /// The first pixel of it that is looked at.
    pub left: usize,
    pub top: usize,
    pub first: Pass,
    pub second: Pass,
    /// Side of the square, and where in it the picture begins: around it is black.
    pub side: usize,
    pub inset: [usize; 2],
}

impl SquarePlan {
    /// Bytes of the decoded picture.
    pub fn picture_bytes(&self) -> usize {
        self.width * self.height * PIXEL
    }

    /// Bytes that the first pass leaves to the second.
    pub fn between_bytes(&self) -> usize {
        self.first.columns * self.first.lines * PIXEL
    }

    /// Bytes of the square.
    pub fn square_bytes(&self) -> usize {
        self.side * self.side * PIXEL
    }

    /// The two passes for a picture that begins at byte `picture`, with what is between at byte `between`, into the
    /// square at byte `square`. Their taps are appended to `taps`.
    pub fn jobs(&self, [picture, between, square]: [usize; 3], taps: &mut Vec<i32>) -> [Job; 2] {
        let mut place = |pass: &Pass| {
            taps.extend_from_slice(&pass.taps);
            taps.len() - pass.taps.len()
        };
        let [first_taps, second_taps] = [place(&self.first), place(&self.second)];
        let pitch = self.width * PIXEL;
        let between_pitch = self.first.columns * PIXEL;
        let [left, top] = self.inset;
        let first = Job {
            from: picture + self.top * pitch + self.left * PIXEL,
            from_pitch: pitch,
            to: between,
            to_pitch: between_pitch,
            is_down: self.first.is_down,
            taps: first_taps,
            tap_row: self.first.tap_row,
            left: 0,
            top: 0,
            columns: self.first.columns,
            lines: self.first.lines,
            wide: self.first.columns,
            high: self.first.lines,
        };
        let second = Job {
            from: between,
            from_pitch: between_pitch,
            to: square,
            to_pitch: self.side * PIXEL,
            is_down: self.second.is_down,
            taps: second_taps,
            tap_row: self.second.tap_row,
            left,
            top,
            columns: self.second.columns,
            lines: self.second.lines,
            wide: self.side,
            high: self.side,
        };
        [first, second]
    }
}

impl Pass {
    /// A pass whose rows of taps are `rows`: first pixel, and weights of 22 fractional bits.
    pub fn new<'a>(
        is_down: bool,
        rows: impl Iterator<Item = (usize, &'a [i32])> + Clone,
        [columns, lines]: [usize; 2],
    ) -> Self {
        let tap_row = TAP_HEAD + rows.clone().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let mut taps = Vec::new();
        for (first, weights) in rows {
            let end = taps.len() + tap_row;
            // Beyond what pictures have pixels across, a number is refused by the launch.
            taps.extend([i32::try_from(first).unwrap_or(-1), weights.len() as i32]);
            taps.extend_from_slice(weights);
            taps.resize(end, 0);
        }
        Self { is_down, taps, tap_row, columns, lines }
    }
}
