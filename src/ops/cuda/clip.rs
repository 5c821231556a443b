//! Launches of clip.cu: gradients of all parameters, which lie flat one after another, clipped while they are scaled.

use anyhow::Result;

use super::launch::{Builder, EIGHT, Launch, Region};
use super::optimizer::STATE;

/// Each of `count` values to at most `most` in magnitude.
pub fn clip_values(count: usize, gradients: &Region, state: &Region, most: f32) -> Result<Launch> {
    Builder::plain("clip_values", count)
        .require(count.is_multiple_of(EIGHT), || format!("{count} gradients are no multiple of {EIGHT}"))
        .words(gradients, count)
        .words(state, STATE)
        .float(most)
        .int(count)
        .threads(count / EIGHT)
}

/// Each unit's gradient to at most `factor` of its values' norm. `units` holds two i32 a unit, its first element and
/// how many it has, all of them within `count`.
pub fn clip_units(
    count: usize,
    [values, gradients]: [&Region; 2],
    state: &Region,
    (units, blocks): (&Region, usize),
    factor: f32,
) -> Result<Launch> {
    Builder::plain("clip_units", format!("{blocks} units of {count}"))
        .words(values, count)
        .words(gradients, count)
        .words(state, STATE)
        .words(units, 2 * blocks)
        .float(factor)
        .grid([blocks, 1, 1])
}
