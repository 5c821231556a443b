//! Which files a device is given.

use std::fs;

use tresnet::data::decode::Decoder;

use crate::fixtures;

/// Of the fixtures, the JPEGs of the kind that data sets consist of.
pub const PLAIN: [&str; 20] = [
    "baseline-420.jpg",
    "baseline-422.jpg",
    "baseline-440.jpg",
    "baseline-444.jpg",
    "baseline-large.jpg",
    "colour-profile.jpg",
    "exif-rotated.jpg",
    "gray.jpg",
    "no-resize-224.jpg",
    "no-resize-448.jpg",
    "one-high.jpg",
    "one-pixel.jpg",
    "one-wide.jpg",
    "optimized-coarse.jpg",
    "panorama.jpg",
    "portrait.jpg",
    "restart-markers.jpg",
    "tiny.jpg",
    "tower.jpg",
    "trailing-garbage.jpg",
];

#[test]
fn a_device_is_given_sequential_jpegs_in_gray_or_ycbcr_and_nothing_else() {
    let mut plain = Vec::new();
    let mut decoder = Decoder::default();
    for entry in fixtures().read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && decoder.plain_jpeg(&fs::read(&path).unwrap()).is_some() {
            plain.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    plain.sort();
    assert_eq!(plain, PLAIN);
}

#[test]
fn a_file_that_is_cut_off_is_not_for_a_device() {
    let whole = fs::read(fixtures().join("baseline-420.jpg")).unwrap();
    let mut decoder = Decoder::default();
    assert_eq!(decoder.plain_jpeg(&whole).map(|(width, _)| width > 0), Some(true));
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        assert_eq!(decoder.plain_jpeg(&whole[..length]), None, "the first {length} bytes");
    }
}
