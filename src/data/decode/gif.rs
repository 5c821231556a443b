//! The first picture of a GIF, composed as Pillow composes it.

use anyhow::{Context, Result};
use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::{check_size, corrupt};
use crate::augment::Rgb;

/// Decodes the first frame into `image`.
///
/// # Errors
///
/// Corrupt or cut-off data, no frame at all, or too many pixels.
pub fn decode(bytes: &[u8], image: &mut Rgb) -> Result<()> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // Sizes are checked here, before the data is read.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(bytes).map_err(corrupt)?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    check_size(screen.0 as u64, screen.1 as u64)?;

    let frame = decoder.next_frame_info().map_err(corrupt)?.context("corrupt: a GIF without a picture")?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    // What the frame leaves free has its transparent colour if it has one, else the first.
    let around = frame.transparent.unwrap_or(0);
    // A frame beyond the screen enlarges it.
    (image.width, image.height) = (screen.0.max(left + width), screen.1.max(top + height));
    check_size(width as u64, height as u64)?;
    check_size(image.width as u64, image.height as u64)?;

    let mut numbers = vec![0; width * height];
    decoder.read_into_buffer(&mut numbers).map_err(corrupt)?;
    let palette = decoder.palette().unwrap_or_default();
    let colour = |number: u8| {
        let at = usize::from(number) * 3;
        match palette.get(at..at + 3) {
            Some(rgb) => [rgb[0], rgb[1], rgb[2]],
            // Without a palette numbers are grays; beyond the end of one they are black.
            None if palette.is_empty() => [number; 3],
            None => [0; 3],
        }
    };
    let colours: Vec<[u8; 3]> = (0..=255).map(colour).collect();
    image.pixels.clear();
    image.pixels.extend((0..image.width * image.height).flat_map(|_| colours[usize::from(around)]));
    for (y, row) in numbers.chunks_exact(width).enumerate() {
        let start = ((top + y) * image.width + left) * 3;
        for (to, &number) in image.pixels[start..].chunks_exact_mut(3).zip(row) {
            to.copy_from_slice(&colours[usize::from(number)]);
        }
    }
    Ok(())
}
