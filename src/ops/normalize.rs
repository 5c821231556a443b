//! From bytes to the network's numbers, and from an image to the stem's cells.

use rayon::prelude::*;

use super::Shape;

/// `(byte / 255 - mean) / std` for each channel, looked up: the same f32 operations in the same order as
/// torchvision's `ToTensor` and `Normalize`.
pub struct Normalize {
    /// `[channels][256]`
    tables: Vec<[f32; 256]>,
}

impl Normalize {
    /// One mean and one standard deviation a channel.
    pub fn new(mean: &[f32], std: &[f32]) -> Self {
        let table = |(mean, std): (&f32, &f32)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        Self { tables: mean.iter().zip(std).map(table).collect() }
    }

    /// Bytes `[batch, height, width, channels]` to values, in cells of `cell` by `cell` pixels (see
    /// [`space_to_depth`]); a `cell` of 1 leaves the order as it is.
    pub fn forward(&self, pixels: &[u8], shape: Shape, cell: usize, out: &mut [f32]) {
        rearrange(pixels, shape, cell, out, |channel, byte| self.tables[channel][usize::from(byte)]);
    }
}

/// Cells of `cell` by `cell` pixels become pixels: channel `c` at row `i` and column `j` of its cell becomes channel
/// `(cell * i + j) * channels + c`. Height and width are multiples of `cell`.
pub fn space_to_depth(input: &[f32], shape: Shape, cell: usize, out: &mut [f32]) {
    rearrange(input, shape, cell, out, |_, value| value);
}

fn rearrange<T: Copy + Sync>(
    input: &[T],
    shape: Shape,
    cell: usize,
    out: &mut [f32],
    value: impl Fn(usize, T) -> f32 + Sync,
) {
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), shape.len());
    let run = cell * shape.channels;
    // A row of cells is `cell` rows of the image, in both layouts.
    let rows_len = cell * shape.width * shape.channels;
    out.par_chunks_exact_mut(rows_len).zip(input.par_chunks_exact(rows_len)).for_each(|(out, rows)| {
        for (i, row) in rows.chunks_exact(shape.width * shape.channels).enumerate() {
            for (pixels, out) in row.chunks_exact(run).zip(out.chunks_exact_mut(cell * run)) {
                let out = &mut out[i * run..][..run];
                for (pixel, out) in pixels.chunks_exact(shape.channels).zip(out.chunks_exact_mut(shape.channels)) {
                    for (channel, (&x, out)) in pixel.iter().zip(out).enumerate() {
                        *out = value(channel, x);
                    }
                }
            }
        }
    });
}
