//! Pillow's antialiased resize, byte for byte, of only the part that a crop keeps.
//!
//! Two passes, along the rows and down the columns, with u8 between them and weights of 22 fractional bits (Pillow's
//! `src/libImaging/Resample.c`). Every output pixel depends on its own taps alone, so computing a window gives what
//! cutting that window out of the full result would give.
//!
//! The rows come first, as in every Pillow, except where the height shrinks by more than twice what the width does:
//! there Pillow 13.0 and later begin with the columns (python-pillow/Pillow#9549), and some bytes differ by one.

mod plan;
mod scalar;
mod taps;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

pub(super) use self::plan::plan;
use self::taps::Taps;
use super::{Region, View};
use crate::preprocessing::Interpolation;

/// Bytes a pixel.
const CHANNELS: usize = 3;

/// A rectangle of the resized picture, in its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
}

impl Window {
    /// The rectangle that this window of a picture resized from `from` to `to` (widths and heights) is made of: what
    /// lies around it plays no part.
    pub fn sources(&self, from: (usize, usize), to: (usize, usize), filter: Interpolation) -> Region {
        let columns = taps::needed(from.0, to.0, &self.columns, filter);
        let rows = taps::needed(from.1, to.1, &self.rows, filter);
        Region { left: columns.start, top: rows.start, width: columns.len(), height: rows.len() }
    }
}

/// Lines of pixels, `pitch` bytes from one to the next.
#[derive(Clone, Copy)]
struct Lines<'a> {
    bytes: &'a [u8],
    pitch: usize,
}

/// `count` lines of pixels to be written.
struct LinesMut<'a> {
    bytes: &'a mut [u8],
    pitch: usize,
    count: usize,
}

/// Which instructions carry the two passes out. The bytes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// Resizes pictures, one after another, in buffers that it keeps.
#[derive(Debug)]
pub struct Resizer {
    instructions: Instructions,
    across: Taps,
    down: Taps,
    /// What the first pass leaves to the second.
    between: Vec<u8>,
}

impl Default for Resizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Resizer {
    /// A resizer that uses the best instructions this machine has.
    pub fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::with(Instructions::Avx2);
        }
        Self::with(Instructions::Scalar)
    }

    fn with(instructions: Instructions) -> Self {
        Self { instructions, across: Taps::default(), down: Taps::default(), between: Vec::new() }
    }

    /// Resizes `image`, a picture or a rectangle of one, to `width` x `height` and writes the `window` of that into
    /// `out`, whose rows lie `pitch` bytes apart and which starts at the window's first pixel. What lies around the
    /// rectangle plays no part: it is cut out first, then resized.
    ///
    /// # Panics
    ///
    /// When the picture is empty, the window leaves the resized picture, or `out` is too short: the caller's mistakes.
    pub fn resize_window<'a>(
        &mut self,
        image: impl Into<View<'a>>,
        (width, height): (usize, usize),
        filter: Interpolation,
        window: &Window,
        out: &mut [u8],
        pitch: usize,
    ) {
        let image = image.into();
        assert!(image.width > 0 && image.height > 0, "an empty picture");
        assert!(window.columns.end <= width && window.rows.end <= height, "a window beyond the resized picture");
        let (columns, rows) = (window.columns.clone(), window.rows.clone());
        if columns.is_empty() || rows.is_empty() {
            return;
        }
        // Pillow skips a pass that would keep the size.
        let (wider, taller) = (width != image.width, height != image.height);
        let columns = if wider { self.across.prepare(image.width, width, columns, filter) } else { columns };
        let rows = if taller { self.down.prepare(image.height, height, rows, filter) } else { rows };

        let source_pitch = image.pitch;
        let start = rows.start * source_pitch + columns.start * CHANNELS;
        let source = Lines { bytes: &image.pixels[start..], pitch: source_pitch };
        let to = LinesMut { bytes: out, pitch, count: window.rows.len() };
        let bytes = window.columns.len() * CHANNELS;
        let columns_first = columns_first((image.width, image.height), (width, height));
        match (wider, taller) {
            (false, false) => copy(source, to, bytes),
            (true, false) => self.instructions.across(source, &self.across, to),
            (false, true) => self.instructions.down(source, &self.down, to, bytes),
            (true, true) if columns_first => {
                let pitch = columns.len() * CHANNELS;
                self.between.resize(window.rows.len() * pitch, 0);
                let between = LinesMut { bytes: &mut self.between, pitch, count: window.rows.len() };
                self.instructions.down(source, &self.down, between, pitch);
                self.instructions.across(Lines { bytes: &self.between, pitch }, &self.across, to);
            }
            (true, true) => {
                self.between.resize(rows.len() * bytes, 0);
                let between = LinesMut { bytes: &mut self.between, pitch: bytes, count: rows.len() };
                self.instructions.across(source, &self.across, between);
                self.instructions.down(Lines { bytes: &self.between, pitch: bytes }, &self.down, to, bytes);
            }
        }
    }
}

/// Whether the columns are resized before the rows, where both are.
fn columns_first(from: (usize, usize), to: (usize, usize)) -> bool {
    from.1.saturating_sub(to.1) > 2 * from.0.saturating_sub(to.0)
}

/// Copies the first `bytes` of every line.
fn copy(from: Lines, to: LinesMut, bytes: usize) {
    for (from, to) in from.bytes.chunks(from.pitch).zip(to.bytes.chunks_mut(to.pitch)).take(to.count) {
        to[..bytes].copy_from_slice(&from[..bytes]);
    }
}

impl Instructions {
    /// Along the rows: every line becomes one as wide as the taps are many.
    fn across(self, from: Lines, taps: &Taps, to: LinesMut) {
        match self {
            Self::Scalar => scalar::across(from, taps, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this variant is made only where AVX2 was detected.
            Self::Avx2 => unsafe { x86::across(from, taps, to) },
        }
    }

    /// Down the columns: as many lines as there are taps, of `bytes` each.
    fn down(self, from: Lines, taps: &Taps, to: LinesMut, bytes: usize) {
        for ((first, weights), to) in taps.each().zip(to.bytes.chunks_mut(to.pitch)) {
            let from = Lines { bytes: &from.bytes[first * from.pitch..], ..from };
            match self {
                Self::Scalar => scalar::down(from, weights, &mut to[..bytes], 0),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: this variant is made only where AVX2 was detected.
                Self::Avx2 => unsafe { x86::down(from, weights, &mut to[..bytes]) },
            }
        }
    }
}

#[cfg(test)]
mod tests;
