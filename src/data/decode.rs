//! From the bytes of a file to the RGB that `PIL.Image.open(file).convert("RGB")` gives.
//!
//! The kind is read from the bytes, since data sets hold PNG files named `.JPEG`. An EXIF orientation is ignored and
//! alpha is dropped, not blended, as PIL does both.

mod baseline;
mod gif;
mod jpeg;
mod jpeg_stream;
mod raster;

use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};

use anyhow::{Result, anyhow, bail, ensure};
use image::ImageFormat;

use self::baseline::Baseline;
use crate::augment::{Region, Rgb};

/// Beyond this many pixels Pillow takes a header for an attack: twice its `Image.MAX_IMAGE_PIXELS`.
pub const MOST_PIXELS: u64 = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// What the first bytes say that a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Jpeg,
    Gif,
    Other(ImageFormat),
    /// Known, and not read.
    Foreign(&'static str),
    Unknown,
}

/// First bytes of files, with what they tell.
const SIGNATURES: [(&[u8], Kind); 16] = [
    (b"\xff\xd8\xff", Kind::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Kind::Other(ImageFormat::Png)),
    (b"GIF87a", Kind::Gif),
    (b"GIF89a", Kind::Gif),
    (b"BM", Kind::Other(ImageFormat::Bmp)),
    (b"II*\0", Kind::Foreign("a TIFF image")),
    (b"MM\0*", Kind::Foreign("a TIFF image")),
    (b"P5", Kind::Foreign("a PGM image")),
    (b"P6", Kind::Foreign("a PPM image")),
    (b"\0\0\0\x0cjP  \r\n", Kind::Foreign("a JPEG 2000 image")),
    (b"8BPS", Kind::Foreign("a Photoshop image")),
    (b"\0\0\x01\0", Kind::Foreign("an icon")),
    (b"\x1f\x8b", Kind::Foreign("a gzip archive")),
    (b"PK\x03\x04", Kind::Foreign("a zip archive")),
    (b"<!DOCTYPE", Kind::Foreign("an HTML page")),
    (b"<html", Kind::Foreign("an HTML page")),
];

/// Decodes `bytes` into `image`, whose buffer is used again.
///
/// # Errors
///
/// Those of [`Decoder::decode`].
pub fn decode(bytes: &[u8], image: &mut Rgb) -> Result<()> {
    Decoder::default().decode(bytes, |width, height| Region { left: 0, top: 0, width, height }, image)
}

/// Decodes pictures one after another, in room that it keeps.
#[derive(Debug, Default)]
pub struct Decoder {
    baseline: Baseline,
}

impl Decoder {
    /// Width and height of a JPEG of the kind that data sets consist of, which [`Decoder::decode`] never refuses:
    /// sequential, one scan, gray or YCbCr, sound in structure and not cut off. Whatever else there is has none: what
    /// Pillow makes of it is for [`Decoder::decode`] to know.
    pub fn plain_jpeg(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        panic::catch_unwind(AssertUnwindSafe(|| self.baseline.plain(bytes))).ok()?
    }

    /// Decodes of `bytes` at least the rectangle that `wanted` names for a width and a height into its place in `image`,
    /// whose buffer is used again. What that holds around the rectangle has no meaning.
    ///
    /// # Errors
    ///
    /// A short reason, without the file's name: empty, not an image, cut off, corrupt, or too large to be honest. What
    /// `image` then holds is of no use. The rectangle changes nothing about it.
    pub fn decode(&mut self, bytes: &[u8], wanted: impl Fn(usize, usize) -> Region, image: &mut Rgb) -> Result<()> {
        // Decoders are written against hostile bytes, yet one that panics must cost one file, not the run.
        let decoded = panic::catch_unwind(AssertUnwindSafe(|| match Kind::of(bytes) {
            Kind::Jpeg => match self.baseline.decode(bytes, wanted, image) {
                Some(()) => Ok(()),
                None => jpeg::decode(bytes, image),
            },
            Kind::Gif => gif::decode(bytes, image),
            Kind::Other(format) => raster::decode(bytes, format, image),
            Kind::Foreign(name) => bail!("{name}; JPEG, PNG, BMP, GIF and WebP are read"),
            Kind::Unknown if bytes.is_empty() => bail!("the file is empty"),
            Kind::Unknown => bail!("not an image"),
        }));
        decoded.unwrap_or_else(|_| Err(anyhow!("corrupt: its decoder gave up")))
    }
}

impl Kind {
    fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Self::Other(ImageFormat::WebP);
        }
        match bytes.get(4..12) {
            Some(b"ftypavif" | b"ftypavis") => return Self::Foreign("an AVIF image"),
            Some(b"ftypheic" | b"ftypheix" | b"ftypmif1") => return Self::Foreign("a HEIF image"),
            _ => {}
        }
        SIGNATURES.iter().find(|(start, _)| bytes.starts_with(start)).map_or(Self::Unknown, |&(_, kind)| kind)
    }
}

/// Refuses what no honest picture claims, before anything is allocated for it.
fn check_size(width: u64, height: u64) -> Result<()> {
    ensure!(width > 0 && height > 0, "corrupt: the header says {width} x {height} pixels");
    ensure!(
        width.saturating_mul(height) <= MOST_PIXELS,
        "too large: the header says {width} x {height} pixels, the most is {MOST_PIXELS}"
    );
    Ok(())
}

/// A decoder's complaint as a reason. Its own words hold those of its cause, so the chain is not kept.
fn corrupt(error: impl Display) -> anyhow::Error {
    anyhow!("corrupt: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> String {
        decode(bytes, &mut Rgb::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_image_says_what_it_is() {
        assert_eq!(reason(b""), "the file is empty");
        assert_eq!(reason(b"once upon a time"), "not an image");
        assert_eq!(reason(b"\0\0\0 ftypavif\0\0\0\0"), "an AVIF image; JPEG, PNG, BMP, GIF and WebP are read");
        assert_eq!(reason(b"<!DOCTYPE html>"), "an HTML page; JPEG, PNG, BMP, GIF and WebP are read");
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_unread() {
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.extend(20_000u32.to_le_bytes());
        bmp.extend(20_000u32.to_le_bytes());
        bmp.extend(b"\x01\0\x18\0");
        bmp.extend([0; 24]);
        assert!(reason(&bmp).starts_with("too large: the header says 20000 x 20000 pixels"), "{}", reason(&bmp));
        let gif = b"GIF89a\xff\xff\xff\xff\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02";
        assert!(reason(gif).starts_with("too large"), "{}", reason(gif));
        // A JPEG whose frame header says 65500 x 65500, and nothing behind it.
        let jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0";
        assert!(reason(jpeg).starts_with("too large"), "{}", reason(jpeg));
    }

    #[test]
    fn any_beginning_of_any_kind_is_refused_calmly() {
        for (start, _) in SIGNATURES {
            for length in 0..64 {
                let mut bytes = start.to_vec();
                bytes.resize(start.len() + length, 0x5a);
                assert!(decode(&bytes, &mut Rgb::default()).is_err());
            }
        }
    }
}
