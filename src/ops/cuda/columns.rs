//! How sums over pixels are split into blocks: the numbers of columns.cuh. A split depends on the shape alone, so that
//! every device adds in the same order.

use crate::ops::Shape;

/// Channels that a block takes.
pub const COLUMN_CHANNELS: usize = 64;
/// Pixels that a block takes at a time.
const ROWS: usize = 32;
/// Four blocks on each of the 132 multiprocessors of an H100 or H200: one round of kernels that have room for four there,
/// two of those that have room for two. More of them would only be more sums to join.
const BLOCKS: usize = 528;
/// Rounds below which another block costs more than it brings.
const LEAST_ROUNDS: usize = 4;

/// Blocks along the channels.
pub fn column_blocks(channels: usize) -> usize {
    channels.div_ceil(COLUMN_CHANNELS)
}

/// Pixels that a block sums up.
pub fn chunk_pixels(pixels: usize, channels: usize) -> usize {
    let wanted = (BLOCKS / column_blocks(channels)).max(1);
    pixels.div_ceil(wanted).next_multiple_of(ROWS).max(LEAST_ROUNDS * ROWS)
}

/// Chunks of a feature map.
pub fn chunks(shape: Shape) -> usize {
    shape.pixels().div_ceil(chunk_pixels(shape.pixels(), shape.channels))
}

/// Parts into which each image's sum is split.
pub fn image_splits(shape: Shape) -> usize {
    let wanted = BLOCKS.div_ceil(shape.batch.max(1) * column_blocks(shape.channels));
    wanted.min(shape.area().div_ceil(LEAST_ROUNDS * ROWS)).max(1)
}
