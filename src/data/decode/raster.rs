//! PNG, BMP and WebP: decoded by `image`, turned into RGB as Pillow turns them.

use std::io::Cursor;

use anyhow::{Result, bail};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{MOST_PIXELS, check_size, corrupt};
use crate::augment::Rgb;

/// Decodes bytes of the kind `format` into `image`.
///
/// # Errors
///
/// Corrupt or cut-off data, too many pixels, or a variant that is not read.
pub fn decode(bytes: &[u8], format: ImageFormat, image: &mut Rgb) -> Result<()> {
    let ended = (format == ImageFormat::Png).then(|| with_end(bytes)).flatten();
    let bytes = ended.as_deref().unwrap_or(bytes);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // The largest honest picture, with four channels of 16 bits.
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;

    let picture = DynamicImage::from_decoder(decoder).map_err(corrupt)?;
    (image.width, image.height) = (width as usize, height as usize);
    image.pixels.clear();
    let pixels = &mut image.pixels;
    match picture {
        DynamicImage::ImageRgb8(rgb) => {
            *pixels = rgb.into_raw();
            if let Some(steps) = few_bits(bytes, format) {
                pixels.chunks_exact_mut(3).for_each(|pixel| truncate(pixel, steps));
            }
        }
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

/// A PNG that lacks its end, with it: Pillow asks for no more than the pixels. None where nothing lacks.
fn with_end(bytes: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    // Up to where the end is a whole length and type, of which nothing else consists.
    const KNOWN: usize = 8;
    if bytes.ends_with(END) {
        return None;
    }
    let part = (KNOWN..END.len()).find(|&part| bytes.ends_with(&END[..part])).unwrap_or(0);
    Some([&bytes[..bytes.len() - part], END].concat())
}

fn upper(value: u16) -> u8 {
    (value >> 8) as u8
}

/// The largest red, green and blue of a BMP of 16 bits a pixel.
fn few_bits(bytes: &[u8], format: ImageFormat) -> Option<[u32; 3]> {
    const MASKS: u32 = 3;
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let info = u32_at(14)?;
    // Bits a pixel and the kind of compression stand at the same place in every header but the oldest.
    let (bits, compression) = (u32_at(26)? >> 16, u32_at(30)?);
    if format != ImageFormat::Bmp || info < 40 || bits != 16 {
        return None;
    }
    let green = if compression == MASKS && u32_at(58)? == 0x7e0 { 63 } else { 31 };
    Some([31, green, 31])
}

/// Stretches few bits to eight as Pillow does, rounding down, where `image` has rounded to the nearest.
fn truncate(pixel: &mut [u8], steps: [u32; 3]) {
    for (value, steps) in pixel.iter_mut().zip(steps) {
        let few = (u32::from(*value) * steps + 127) / 255;
        *value = (few * 255 / steps) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_may_lack_its_end_and_nothing_else() {
        let mut whole = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 200]));
        picture.write_to(&mut whole, ImageFormat::Png).unwrap();
        let whole = whole.into_inner();
        for cut in [0, 1, 4, 12] {
            let mut image = Rgb::default();
            decode(&whole[..whole.len() - cut], ImageFormat::Png, &mut image).unwrap();
            assert_eq!(image.pixels, *picture.as_raw(), "{cut} bytes less");
        }
        let shorter = &whole[..whole.len() - 17];
        assert!(decode(shorter, ImageFormat::Png, &mut Rgb::default()).is_err());
        let longer = [&whole[..], b"abc"].concat();
        decode(&longer, ImageFormat::Png, &mut Rgb::default()).unwrap();
    }

    #[test]
    fn rounding_to_the_nearest_is_undone_for_every_value() {
        for steps in [31, 63] {
            for few in 0..=steps {
                let nearest = ((few * 255 * 2 + steps) / (steps * 2)) as u8;
                let mut pixel = [nearest; 3];
                truncate(&mut pixel, [steps; 3]);
                assert_eq!(pixel, [(few * 255 / steps) as u8; 3], "{few} of {steps}");
            }
        }
    }
}
