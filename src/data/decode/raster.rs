//! PNG, BMP and WebP: decoded by `image`, turned into RGB as Pillow turns them.

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{MOST_PIXELS, check_size};
use crate::augment::Rgb;

/// Decodes bytes of the kind `format` into `image`.
///
/// # Errors
///
/// Corrupt or cut-off data, too many pixels, or a variant that is not read.
pub fn decode(bytes: &[u8], format: ImageFormat, image: &mut Rgb) -> Result<()> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // The largest honest picture, with four channels of 16 bits.
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let decoder = reader.into_decoder().context("corrupt")?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;

    let picture = DynamicImage::from_decoder(decoder).context("corrupt")?;
    (image.width, image.height) = (width as usize, height as usize);
    image.pixels.clear();
    let pixels = &mut image.pixels;
    match picture {
        DynamicImage::ImageRgb8(rgb) => *pixels = rgb.into_raw(),
        // Alpha is dropped: what lies beneath shows.
        DynamicImage::ImageRgba8(rgba) => pixels.extend(rgba.pixels().flat_map(|p| [p[0], p[1], p[2]])),
        DynamicImage::ImageLuma8(gray) => pixels.extend(gray.pixels().flat_map(|p| [p[0]; 3])),
        DynamicImage::ImageLumaA8(gray) => pixels.extend(gray.pixels().flat_map(|p| [p[0]; 3])),
        // Pillow's `I;16` is cut off at 255, where its other kinds of 16 bits keep the upper byte.
        DynamicImage::ImageLuma16(gray) => pixels.extend(gray.pixels().flat_map(|p| [p[0].min(255) as u8; 3])),
        DynamicImage::ImageLumaA16(gray) => pixels.extend(gray.pixels().flat_map(|p| [upper(p[0]); 3])),
        DynamicImage::ImageRgb16(rgb) => pixels.extend(rgb.pixels().flat_map(|p| p.0.map(upper))),
        DynamicImage::ImageRgba16(rgba) => {
            pixels.extend(rgba.pixels().flat_map(|p| [upper(p[0]), upper(p[1]), upper(p[2])]));
        }
        other => bail!("its pixels are {:?}, which are not read", other.color()),
    }
    Ok(())
}

fn upper(value: u16) -> u8 {
    (value >> 8) as u8
}
