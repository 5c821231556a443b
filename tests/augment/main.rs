//! The training augmentations: pixels against Pillow's, meanings against timm's, chance against its distributions.
//! What to expect has been written by `scripts/fixtures/augment.py`.

mod meanings;
mod pixels;
mod statistics;
mod transforms;

use std::path::Path;

use serde_json::Value;
use tresnet::augment::Rgb;

const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/augment");

fn json(name: &str) -> Value {
    let text = std::fs::read(Path::new(HOME).join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn picture(name: &str) -> Rgb {
    let bytes = std::fs::read(Path::new(HOME).join(format!("{name}.png"))).unwrap();
    let mut image = Rgb::default();
    tresnet::data::decode::decode(&bytes, &mut image).unwrap();
    image
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

/// What is wrong with `image`, which should be as `expected` records it; nothing if nothing is.
fn difference(image: &Rgb, expected: &Value) -> Option<String> {
    if u64::from(crc32(&image.pixels)) == expected["crc"].as_u64().unwrap() {
        return None;
    }
    let found: Vec<String> = [1, 3, 5, 7]
        .iter()
        .map(|k| {
            let at = (image.height * k / 8 * image.width + image.width * k / 8) * 3;
            image.pixels[at..at + 3].iter().map(|byte| format!("{byte:02x}")).collect()
        })
        .collect();
    Some(format!("pixels of the diagonal {found:?}, expected {}", expected["sample"]))
}

/// zlib's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}
