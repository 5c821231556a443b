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
        match &self.tables[..] {
            // The colours of nearly every network: known to be three, they cost a third.
            [red, green, blue] => rearrange(pixels, shape, cell, out, |pixels, out| {
                for (pixel, out) in pixels.as_chunks::<3>().0.iter().zip(out.as_chunks_mut().0) {
                    *out = [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]];
                }
            }),
            tables => rearrange(pixels, shape, cell, out, |pixels, out| {
                for ((byte, out), table) in pixels.iter().zip(out).zip(tables.iter().cycle()) {
                    *out = table[usize::from(*byte)];
                }
            }),
        }
    }
}

/// Cells of `cell` by `cell` pixels become pixels: channel `c` at row `i` and column `j` of its cell becomes channel
/// `(cell * i + j) * channels + c`. Height and width are multiples of `cell`.
pub fn space_to_depth(input: &[f32], shape: Shape, cell: usize, out: &mut [f32]) {
    rearrange(input, shape, cell, out, |values, out| out.copy_from_slice(values));
}

/// Moves pixels that lie together in both orders to their place in `out`, through `convert`.
fn rearrange<T: Copy + Sync>(
    input: &[T],
    shape: Shape,
    cell: usize,
    out: &mut [f32],
    convert: impl Fn(&[T], &mut [f32]) + Sync,
) {
    assert_eq!(input.len(), shape.len());
    assert_eq!(out.len(), shape.len());
    // Pixels that are alone in their cell lie together to the end of the row.
    let run = if cell == 1 { shape.width } else { cell } * shape.channels;
    // A row of cells is `cell` rows of the image, in both layouts.
    let rows_len = cell * shape.width * shape.channels;
    out.par_chunks_exact_mut(rows_len).zip(input.par_chunks_exact(rows_len)).for_each(|(out, rows)| {
        for (i, row) in rows.chunks_exact(shape.width * shape.channels).enumerate() {
            for (pixels, out) in row.chunks_exact(run).zip(out.chunks_exact_mut(cell * run)) {
                let out = &mut out[i * run..][..run];
                convert(pixels, out);
            }
        }
    });
}
