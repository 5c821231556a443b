//! Any bytes as a JPEG, of which any rectangle is decoded: nothing may panic, and where libjpeg-turbo has no complaint
//! the pixels are its own. `scripts/fuzz.sh` says how it is run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tresnet::augment::{Region, Rgb};
use tresnet::data::decode::Decoder;
use turbojpeg::{Decompressor, PixelFormat};

/// Larger pictures only take longer.
const MOST_PIXELS: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    // What stands last decides on the rectangle: behind the end of a picture it changes nothing else.
    let choice = bytes.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
    let pick = |shift: u32, end: usize| (choice >> shift) as usize % 256 % end;
    let region = |width: usize, height: usize| {
        let (left, top) = (pick(0, width), pick(8, height));
        Region { left, top, width: 1 + pick(16, width - left), height: 1 + pick(24, height - top) }
    };
    let header = Decompressor::new().and_then(|mut decompressor| decompressor.read_header(bytes));
    if header.as_ref().is_ok_and(|header| header.width.saturating_mul(header.height) > MOST_PIXELS) {
        return;
    }
    let mut image = Rgb::default();
    let decoded = Decoder::default().decode(bytes, region, &mut image);
    // The safe layer takes every warning for a failure, and CMYK is converted as Pillow does it.
    let Ok(header) = header else { return };
    if matches!(header.colorspace, turbojpeg::Colorspace::CMYK | turbojpeg::Colorspace::YCCK) {
        return;
    }
    let Ok(expected) = turbojpeg::decompress(bytes, PixelFormat::RGB) else { return };
    assert!(decoded.is_ok(), "{decoded:?}");
    assert_eq!((image.width, image.height), (expected.width, expected.height));
    let Region { left, top, width, height } = region(image.width, image.height);
    for y in top..top + height {
        let ours = &image.pixels[(y * image.width + left) * 3..][..width * 3];
        let theirs = &expected.pixels[y * expected.pitch + left * 3..][..width * 3];
        assert!(ours == theirs, "row {y} of {region:?}", region = (left, top, width, height));
    }
});
