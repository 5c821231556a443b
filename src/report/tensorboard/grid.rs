//! A batch of images as one picture.

use std::io::Cursor;

use anyhow::{Result, ensure};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

const CHANNELS: usize = 3;

/// Pixels between two images.
const GAP: usize = 2;

/// What lies between the images and after the last one.
const BACKGROUND: u8 = 255;

/// A picture `[height, width, 3]` of RGB bytes.
pub struct Grid {
    pub height: usize,
    pub width: usize,
    pixels: Vec<u8>,
}

impl Grid {
    /// Sets `[batch, height, width, 3]` bytes side by side, in rows of nearly as many as there are rows.
    pub fn new(images: &[u8], [batch, height, width]: [usize; 3]) -> Result<Self> {
        let size = [batch, height, width, CHANNELS].into_iter().try_fold(1usize, usize::checked_mul);
        let given = images.len();
        ensure!(
            size == Some(given) && given > 0,
            "{given} bytes are no batch of {batch} images of {height} x {width} pixels"
        );
        let columns = (1..).find(|columns| columns * columns >= batch).unwrap_or(batch);
        let rows = batch.div_ceil(columns);
        let mut grid =
            Self { height: rows * (height + GAP) - GAP, width: columns * (width + GAP) - GAP, pixels: Vec::new() };
        grid.pixels.resize(grid.height * grid.width * CHANNELS, BACKGROUND);
        let (line, stride) = (width * CHANNELS, grid.width * CHANNELS);
        for (at, source) in images.chunks_exact(line).enumerate() {
            let (image, y) = (at / height, at % height);
            let (row, column) = (image / columns, image % columns);
            let start = (row * (height + GAP) + y) * stride + column * (width + GAP) * CHANNELS;
            // Inside: the last image's last line ends where the grid's last line does, or before.
            grid.pixels[start..start + line].copy_from_slice(source);
        }
        Ok(grid)
    }

    /// The picture as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut file = Cursor::new(Vec::new());
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        PngEncoder::new(&mut file).write_image(&self.pixels, width, height, ExtendedColorType::Rgb8)?;
        Ok(file.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_in_rows_with_a_gap_between() {
        let images: Vec<u8> = (0..3u8).flat_map(|image| [image; 2 * CHANNELS]).collect();
        let grid = Grid::new(&images, [3, 1, 2]).unwrap();
        assert_eq!((grid.height, grid.width), (2 + GAP, 4 + GAP));
        let rows: Vec<Vec<u8>> = grid
            .pixels
            .chunks(grid.width * CHANNELS)
            .map(|row| row.iter().step_by(CHANNELS).copied().collect())
            .collect();
        assert_eq!(rows[0], [0, 0, 255, 255, 1, 1]);
        assert_eq!(rows[1], [255; 6]);
        assert_eq!(rows[3], [2, 2, 255, 255, 255, 255]);
    }

    #[test]
    fn bytes_of_another_shape_are_refused() {
        assert!(Grid::new(&[0; 12], [1, 2, 3]).is_err());
        assert!(Grid::new(&[], [0, 2, 3]).is_err());
        assert!(Grid::new(&[0; 12], [usize::MAX, 2, 3]).is_err());
    }
}
