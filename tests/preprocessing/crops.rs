//! Every fixture image in every view, as `scripts/fixtures/preprocessing.py` recorded them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tresnet::augment::Rgb;
use tresnet::augment::evaluation::Evaluation;
use tresnet::augment::resize::Resizer;
use tresnet::data::decode::decode;
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocessing")
}

/// The recorded images: name and what is expected of it.
fn expected() -> Vec<(String, Value)> {
    let text = fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    json["images"].as_object().unwrap().clone().into_iter().collect()
}

fn decoded(name: &str) -> Result<Rgb, String> {
    let mut image = Rgb::default();
    decode(&fs::read(fixtures().join(name)).unwrap(), &mut image).map_err(|error| format!("{error:#}"))?;
    Ok(image)
}

/// CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> =
        (0..256).map(|i| (0..8).fold(i, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })).collect();
    !bytes.iter().fold(!0, |crc, &byte| table[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
}

/// The pixels at 1/8, 3/8, 5/8 and 7/8 of the diagonal.
fn sample(pixels: &[u8], width: usize, height: usize) -> String {
    let pixel = |i: usize| &pixels[(height * i / 8 * width + width * i / 8) * 3..][..3];
    let hex = |i| pixel(i).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [1, 3, 5, 7].map(hex).join(" ")
}

/// What differs, or nothing.
fn difference(pixels: &[u8], width: usize, height: usize, expected: &Value) -> Option<String> {
    if u64::from(crc32(pixels)) == expected["crc32"].as_u64().unwrap() {
        return None;
    }
    let (ours, theirs) = (sample(pixels, width, height), expected["sample"].as_str().unwrap());
    Some(format!("the diagonal is {ours}, should be {theirs}"))
}

/// The transform that a view's name (preset-size-interpolation) stands for.
fn transform(view: &str) -> Evaluation {
    let [preset, size, interpolation] = view.split('-').collect::<Vec<_>>().try_into().unwrap();
    let squash = preset == "paper" && size == "448";
    Evaluation::new(&Preprocessing {
        input_size: size.parse().unwrap(),
        crop_pct: 0.875,
        resize_mode: if squash { ResizeMode::Squash } else { ResizeMode::Crop },
        interpolation: if interpolation == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear },
        mean: [0.0; 3],
        std: [1.0; 3],
    })
    .unwrap()
}

#[test]
fn decoded_pixels_equal_pillows() {
    let mut wrong = Vec::new();
    for (name, expected) in expected() {
        let expected = &expected["decoded"];
        let image = match decoded(&name) {
            Ok(image) => image,
            Err(reason) => {
                wrong.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let size = (expected["width"].as_u64().unwrap() as usize, expected["height"].as_u64().unwrap() as usize);
        if (image.width, image.height) != size {
            wrong.push(format!("{name}: {} x {}, should be {size:?}", image.width, image.height));
        } else if let Some(difference) = difference(&image.pixels, image.width, image.height, expected) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{} images differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn crops_equal_torchvisions_and_timms() {
    let mut resizer = Resizer::new();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (name, expected) in expected() {
        let image = decoded(&name).unwrap();
        for (view, expected) in expected["crops"].as_object().unwrap() {
            let transform = transform(view);
            let side = transform.side();
            let mut out = vec![0; side * side * 3];
            transform.apply(&image, &mut resizer, &mut out);
            compared += 1;
            if let Some(difference) = difference(&out, side, side, expected) {
                wrong.push(format!("{name}, {view}: {difference}"));
            }
        }
    }
    assert!(compared >= 20 * 8, "only {compared} crops were compared");
    assert!(wrong.is_empty(), "{} crops differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_jpeg_cut_anywhere_is_refused() {
    for name in ["baseline-420.jpg", "progressive.jpg", "restart-markers.jpg", "cmyk.jpg"] {
        let whole = fs::read(fixtures().join(name)).unwrap();
        for eighth in 1..8 {
            let error = decode(&whole[..whole.len() * eighth / 8], &mut Rgb::default());
            assert!(error.is_err(), "{name} cut to {eighth}/8 was decoded");
        }
        let reason = decode(&whole[..whole.len() - 40], &mut Rgb::default()).unwrap_err().to_string();
        assert_eq!(reason, "the file is cut off", "{name}");
    }
}

#[test]
fn other_kinds_cut_short_are_refused() {
    for name in ["rgba.png", "rgb-16.png", "rgb.bmp", "palette.gif", "lossy.webp", "lossless.webp"] {
        let whole = fs::read(fixtures().join(name)).unwrap();
        for length in [10, 40, whole.len() / 2, whole.len() * 9 / 10] {
            assert!(decode(&whole[..length], &mut Rgb::default()).is_err(), "{name} cut to {length} was decoded");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for name in
        ["baseline-420.jpg", "progressive.jpg", "ycck.jpg", "palette.png", "rgb.bmp", "palette.gif", "lossy.webp"]
    {
        let whole = fs::read(fixtures().join(name)).unwrap();
        let mut image = Rgb::default();
        for step in 0..200 {
            let mut bytes = whole.clone();
            // Headers are hit more often than data.
            let at = (step * step * step) % whole.len().min(if step % 2 == 0 { 700 } else { usize::MAX });
            bytes[at] ^= 1 << (step % 8);
            if decode(&bytes, &mut image).is_ok() {
                assert_eq!(image.pixels.len(), image.width * image.height * 3, "{name}, byte {at}");
            }
        }
    }
}
