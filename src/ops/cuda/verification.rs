//! Launches of verification.cu, and what they find.

use std::fmt;

use anyhow::Result;

use super::element::Element;
use super::launch::{BLOCK, Builder, EIGHT, Launch, Region};
use crate::ops::Activation;

/// Blocks that look for deviations: enough to read at a GPU's full speed.
const BLOCKS: usize = 512;
/// f32 that each of them writes.
const FOUND: usize = 4;

/// How far from what is expected a value may be: by `relative` times what is expected, and by `absolute`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub relative: f32,
    pub absolute: f32,
}

/// What a result is held against.
#[derive(Clone, Copy)]
pub enum Expected<'a> {
    /// Values of the same element.
    Values(&'a Region),
    /// Sums in f32.
    Sums(&'a Region),
}

/// How a slope took the difference between two results down with it.
#[derive(Clone, Copy)]
pub enum Behind<'a> {
    /// The activation was the last that was computed; its slope shows in the results' signs.
    Activation(Activation),
    /// The results went back through an activation that gave this.
    Gradient(&'a Region, Activation),
}

/// How far apart results are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// The largest difference, and the largest that was expected.
    pub difference: f32,
    pub magnitude: f32,
    /// Values that are further away than they may be, and those where either is not finite.
    pub beyond: u64,
    pub not_finite: u64,
}

/// Makes up `count` values: odd sixteenths from -15/16 to 15/16, hashed from their numbers and `seed`, times `scale`.
/// With a power of two for a scale every element holds them exactly, and their sums of products are
/// exact in f32 in whichever order they are added.
pub fn made_up(element: Element, count: usize, out: &Region, seed: usize, scale: f32) -> Result<Launch> {
    Builder::new("made_up", element, count)
        .values(out, count)
        .int(seed)
        .float(scale)
        .int(count / EIGHT)
        .require(count.is_multiple_of(EIGHT), || format!("{count} values are no multiple of {EIGHT}"))
        .threads(count / EIGHT)
}

/// Bytes that [`deviation`] writes.
pub fn deviation_bytes(count: usize) -> usize {
    blocks(count) * FOUND * size_of::<f32>()
}

/// Holds `count` values against those that are expected; [`Deviation::of`] reads what was found.
pub fn deviation(
    element: Element,
    count: usize,
    found: &Region,
    expected: Expected,
    behind: Behind,
    tolerance: Tolerance,
    out: &Region,
) -> Result<Launch> {
    let (values, sums) = match expected {
        Expected::Values(values) => (Some(values), None),
        Expected::Sums(sums) => (None, Some(sums)),
    };
    let (through, activation) = match behind {
        Behind::Activation(activation) => (None, activation),
        Behind::Gradient(through, activation) => (Some(through), activation),
    };
    Builder::new("deviation", element, count)
        .values(found, count)
        .optional_values(values, count)
        .optional_words(sums, count)
        .optional_values(through, count)
        .float(activation.slope())
        .float(tolerance.relative)
        .float(tolerance.absolute)
        .bytes(out, deviation_bytes(count))
        .int(count / EIGHT)
        .require(count.is_multiple_of(EIGHT), || format!("{count} values are no multiple of {EIGHT}"))
        .grid([blocks(count), 1, 1])
}

fn blocks(count: usize) -> usize {
    (count / EIGHT).div_ceil(BLOCK).clamp(1, BLOCKS)
}

impl Deviation {
    /// Out of what any number of launches wrote.
    pub fn of(bytes: &[u8]) -> Self {
        let mut all = Self::default();
        for block in bytes.chunks_exact(FOUND * size_of::<f32>()) {
            let number = |at: usize| block[at * 4..].first_chunk().map_or(f32::NAN, |&word| f32::from_le_bytes(word));
            all.difference = all.difference.max(number(0));
            all.magnitude = all.magnitude.max(number(1));
            all.beyond += number(2) as u64;
            all.not_finite += number(3) as u64;
        }
        all
    }

    /// Whether every value is as near as it may be.
    pub fn is_within(&self) -> bool {
        self.beyond == 0 && self.not_finite == 0
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { difference, magnitude, beyond, not_finite } = self;
        write!(f, "{beyond} values are wrong, by up to {difference:.3e} where the largest is {magnitude:.3e}")?;
        if *not_finite > 0 { write!(f, ", and {not_finite} are not finite") } else { Ok(()) }
    }
}
