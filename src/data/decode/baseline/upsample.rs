//! From a component that has half the samples to one for each pixel: libjpeg's "fancy" upsampling, a triangle filter
//! whose halves are rounded up and down in turn (`jdsample.c`).

use std::ops::Range;

use super::plane::Plane;
use crate::ops::vectorized;

/// Components no wider than this are doubled by repetition (`downsampled_width > 2` there).
const NARROW: usize = 2;

/// How the samples of one component become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One sample is one pixel.
    None,
    /// Repetition, across and down.
    Repeat(usize, usize),
    Across,
    Down,
    Both,
}

/// The upsampling of a component.
#[derive(Clone, Copy, Debug)]
pub struct Upsampling {
    way: Way,
    /// Size of the component in samples, without what fills the last blocks.
    width: usize,
    height: usize,
}

/// What one row is made in; used again.
#[derive(Debug, Default)]
pub struct Room {
    /// Sums of two rows, with one neighbour on either side.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl Upsampling {
    /// For a picture of `width` x `height`, whose pixels are `across` and `down` to a sample, 1 or 2.
    pub fn new(width: usize, height: usize, across: usize, down: usize) -> Self {
        let (width, height) = (width.div_ceil(across), height.div_ceil(down));
        let way = match (across, down) {
            (1, 1) => Way::None,
            (1, _) => Way::Down,
            _ if width <= NARROW => Way::Repeat(across, down),
            (_, 1) => Way::Across,
            _ => Way::Both,
        };
        Self { way, width, height }
    }

    /// The columns of samples that the pixels of `columns` need.
    pub fn columns(&self, columns: &Range<usize>) -> Range<usize> {
        match self.way {
            Way::None | Way::Down => columns.clone(),
            Way::Repeat(across, _) => columns.start / across..columns.end.div_ceil(across),
            Way::Across | Way::Both => {
                (columns.start / 2).saturating_sub(1)..(columns.end.div_ceil(2) + 1).min(self.width)
            }
        }
    }

    /// The rows of samples that the pixels of `rows` need.
    pub fn rows(&self, rows: &Range<usize>) -> Range<usize> {
        match self.way {
            Way::None | Way::Across => rows.clone(),
            Way::Repeat(_, down) => rows.start / down..rows.end.div_ceil(down),
            Way::Down | Way::Both => (rows.start / 2).saturating_sub(1)..(rows.end.div_ceil(2) + 1).min(self.height),
        }
    }

    /// The pixels of row `y` at `columns`.
    pub fn row<'a>(&self, plane: &'a Plane, y: usize, columns: &Range<usize>, room: &'a mut Room) -> &'a [u8] {
        let needed = self.columns(columns);
        let count = columns.len();
        // The row of samples that this row of pixels lies in, and the nearer of its neighbours.
        let (near, odd) = (y / 2, y % 2 == 1);
        let next = if odd { (near + 1).min(self.height - 1) } else { near.saturating_sub(1) };
        let Room { sums, row } = room;
        match self.way {
            Way::None => return plane.row(y, needed),
            Way::Repeat(across, down) => {
                let samples = plane.row(y / down, needed.clone());
                row.clear();
                row.extend(columns.clone().map(|x| samples[x / across - needed.start]));
                return row;
            }
            Way::Down => {
                row.resize(count, 0);
                let bias = if odd { 2 } else { 1 };
                add_rows(plane.row(near, needed.clone()), plane.row(next, needed), bias, row);
                return row;
            }
            Way::Across | Way::Both => {}
        }
        // Sums for the samples of these columns, one before and one behind; at the edges the edge again.
        let first = columns.start / 2;
        let samples = columns.end.div_ceil(2) - first;
        let offset = usize::from(first == 0);
        sums.resize(samples + 2, 0);
        let inner = &mut sums[offset..][..needed.len()];
        if self.way == Way::Both {
            add_thrice(plane.row(near, needed.clone()), plane.row(next, needed.clone()), inner);
        } else {
            widen(plane.row(y, needed.clone()), inner);
        }
        if offset == 1 {
            sums[0] = sums[1];
        }
        if offset + needed.len() < samples + 2 {
            sums[samples + 1] = sums[samples];
        }
        row.resize(2 * samples, 0);
        if self.way == Way::Both {
            double(sums, 4, [8, 7], row.as_chunks_mut().0);
        } else {
            double(sums, 2, [1, 2], row.as_chunks_mut().0);
        }
        &row[columns.start % 2..][..count]
    }
}

vectorized! {
    /// Three parts of `near`, one of `next`.
    fn add_rows(near: &[u8], next: &[u8], bias: u16, to: &mut [u8]) {
        for ((to, &near), &next) in to.iter_mut().zip(near).zip(next) {
            *to = ((3 * u16::from(near) + u16::from(next) + bias) >> 2) as u8;
        }
    }
}

vectorized! {
    /// The same, not yet divided.
    fn add_thrice(near: &[u8], next: &[u8], to: &mut [u16]) {
        for ((to, &near), &next) in to.iter_mut().zip(near).zip(next) {
            *to = 3 * u16::from(near) + u16::from(next);
        }
    }
}

vectorized! {
    fn widen(from: &[u8], to: &mut [u16]) {
        for (to, &value) in to.iter_mut().zip(from) {
            *to = value.into();
        }
    }
}

vectorized! {
    /// Two pixels of each sum but the first and the last: three parts of it, and one of the sum before or behind.
    fn double(sums: &[u16], shift: u32, bias: [u16; 2], to: &mut [[u8; 2]]) {
        let shift = shift & 7;
        let count = to.len();
        let (before, here, behind) = (&sums[..count], &sums[1..][..count], &sums[2..][..count]);
        for n in 0..count {
            let left = (3 * here[n] + before[n] + bias[0]) >> shift;
            let right = (3 * here[n] + behind[n] + bias[1]) >> shift;
            // Both fit a byte.
            to[n] = (left | right << 8).to_le_bytes();
        }
    }
}
