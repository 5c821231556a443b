//! Pillow's antialiased resize, byte for byte, of only the part that a crop keeps.
//!
//! Two passes, rows first and columns second, with u8 between them and weights of 22 fractional bits (Pillow's
//! `src/libImaging/Resample.c`). Every output pixel depends on its own taps alone, so computing a window gives what
//! cutting that window out of the full result would give.

mod scalar;
mod taps;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use self::taps::Taps;
use super::Rgb;
use crate::preprocessing::Interpolation;

/// Bytes a pixel.
const CHANNELS: usize = 3;

/// A rectangle of the resized picture, in its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
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
    /// What the first pass leaves to the second: `[rows needed, window width, 3]`.
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

    /// Resizes `image` to `width` x `height` and writes the `window` of that into `out`, whose rows lie `pitch` bytes
    /// apart and which starts at the window's first pixel.
    ///
    /// # Panics
    ///
    /// When the picture is empty, the window leaves the resized picture, or `out` is too short: the caller's mistakes.
    pub fn resize_window(
        &mut self,
        image: &Rgb,
        (width, height): (usize, usize),
        filter: Interpolation,
        window: &Window,
        out: &mut [u8],
        pitch: usize,
    ) {
        assert!(image.width > 0 && image.height > 0, "an empty picture");
        assert!(image.pixels.len() >= image.height * image.width * CHANNELS, "a picture shorter than it says");
        assert!(window.columns.end <= width && window.rows.end <= height, "a window beyond the resized picture");
        let row_bytes = window.columns.len() * CHANNELS;
        if row_bytes == 0 || window.rows.is_empty() {
            return;
        }
        let pitch_down = image.width * CHANNELS;

        // Pillow skips a pass that would keep the size.
        let source_rows = if height == image.height {
            window.rows.clone()
        } else {
            self.down.prepare(image.height, height, window.rows.clone(), filter);
            self.down.span()
        };
        let rows = &image.pixels[source_rows.start * pitch_down..source_rows.end * pitch_down];
        let (columns, columns_pitch) = if width == image.width {
            (&rows[window.columns.start * CHANNELS..], pitch_down)
        } else {
            self.across.prepare(image.width, width, window.columns.clone(), filter);
            self.between.resize(source_rows.len() * row_bytes, 0);
            self.instructions.across(rows, pitch_down, &self.across, &mut self.between);
            (self.between.as_slice(), row_bytes)
        };

        if height == image.height {
            for (from, to) in columns.chunks(columns_pitch).zip(out.chunks_mut(pitch)) {
                to[..row_bytes].copy_from_slice(&from[..row_bytes]);
            }
        } else {
            for ((first, weights), to) in self.down.each(source_rows.start).zip(out.chunks_mut(pitch)) {
                let taken = &columns[first * columns_pitch..];
                self.instructions.down(taken, columns_pitch, weights, &mut to[..row_bytes]);
            }
        }
    }
}

impl Instructions {
    /// First pass: every row of `from` (`pitch` bytes each) becomes one of `to`, as wide as the taps are many.
    fn across(self, from: &[u8], pitch: usize, taps: &Taps, to: &mut [u8]) {
        match self {
            Self::Scalar => scalar::across(from, pitch, taps, to),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this variant is made only where AVX2 was detected.
            Self::Avx2 => unsafe { x86::across(from, pitch, taps, to) },
        }
    }

    /// Second pass: one output row from as many rows (`pitch` bytes apart) as there are weights.
    fn down(self, from: &[u8], pitch: usize, weights: taps::Weights, to: &mut [u8]) {
        match self {
            Self::Scalar => scalar::down(from, pitch, weights, to, 0),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this variant is made only where AVX2 was detected.
            Self::Avx2 => unsafe { x86::down(from, pitch, weights, to) },
        }
    }
}

#[cfg(test)]
mod tests;
