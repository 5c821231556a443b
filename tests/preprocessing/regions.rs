//! Only a rectangle of a picture is decoded where a transform needs no more: nothing that comes out may change.

use std::fs;

use tresnet::augment::evaluation::Evaluation;
use tresnet::augment::training::{Training, TrainingSettings};
use tresnet::augment::{OfEpoch, Place, Rgb, Transform};
use tresnet::data::decode::{Decoder, decode};
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

use super::crops::fixtures;

/// Every committed picture that can be read, by name.
fn pictures() -> Vec<(String, Vec<u8>, Rgb)> {
    let mut paths: Vec<_> = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut pictures = Vec::new();
    for path in paths {
        let (bytes, mut image) = (fs::read(&path).unwrap(), Rgb::default());
        if decode(&bytes, &mut image).is_ok() {
            pictures.push((path.file_name().unwrap().to_str().unwrap().to_owned(), bytes, image));
        }
    }
    assert!(pictures.len() > 40);
    pictures
}

/// Transforms every picture whole and with its region alone; returns how often that was less than the picture.
fn compare(transform: &impl Transform, places: usize) -> usize {
    let bytes_out = transform.copies() * transform.side() * transform.side() * 3;
    let (mut decoder, mut parts) = (Decoder::default(), 0);
    for (name, bytes, whole) in pictures() {
        for position in 0..places {
            let place = Place { sample: 0, position };
            let region = transform.region(whole.width, whole.height, place);
            // Around the region there is what no picture has there.
            let mut part = Rgb { pixels: vec![0x5a; whole.pixels.len()], ..Rgb::default() };
            decoder.decode(&bytes, |width, height| transform.region(width, height, place), &mut part).unwrap();
            assert_eq!((part.width, part.height), (whole.width, whole.height), "{name}");
            parts += usize::from(part.pixels != whole.pixels);
            let [mut expected, mut found] = [vec![0; bytes_out], vec![0; bytes_out]];
            transform.apply(&whole, place, &mut Default::default(), &mut expected);
            transform.apply(&part, place, &mut Default::default(), &mut found);
            assert!(found == expected, "{name} at {position}, {region:?}");
        }
    }
    parts
}

fn evaluation(side: usize, crop_pct: f64, resize_mode: ResizeMode, interpolation: Interpolation) -> Evaluation {
    let (mean, std) = ([0.0; 3], [1.0; 3]);
    Evaluation::new(&Preprocessing { input_size: side, crop_pct, resize_mode, interpolation, mean, std }).unwrap()
}

#[test]
fn an_evaluation_sees_what_it_saw_of_the_whole_picture() {
    let mut parts = 0;
    for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
        // A reduction, an enlargement, a crop that is larger than the picture resized.
        for (side, crop_pct) in [(24, 0.875), (224, 0.6), (40, 1.5)] {
            parts += compare(&evaluation(side, crop_pct, ResizeMode::Crop, filter), 1);
        }
    }
    assert!(parts > 40, "{parts}: hardly anything was left out");
}

#[test]
fn training_sees_what_it_saw_of_the_whole_picture() {
    for (no_aug, copies) in [(false, 1), (true, 1), (false, 3)] {
        let policy = Some("rand-m9-mstd0.5-inc1".to_owned());
        let settings = TrainingSettings { auto_augment: policy, no_aug, ..TrainingSettings::default() };
        let transform = Training::new(&settings, 32, [0.5; 3]).unwrap();
        let parts = compare(&OfEpoch { transform, seed: 42, epoch: 3, copies }, 6);
        assert!(parts > 40, "{parts}: hardly anything was left out");
    }
}

#[test]
fn a_file_cut_off_below_the_region_is_refused_as_ever() {
    let transform = evaluation(16, 0.4, ResizeMode::Crop, Interpolation::Bilinear);
    let mut decoder = Decoder::default();
    for name in ["baseline-420.jpg", "restart-markers.jpg", "gray.jpg", "rgb-adobe.jpg", "trailing-garbage.jpg"] {
        let whole = fs::read(fixtures().join(name)).unwrap();
        for length in (0..whole.len()).step_by(53).chain(whole.len() - 60..whole.len()) {
            let mut image = Rgb::default();
            let expected = decode(&whole[..length], &mut image).map_err(|error| error.to_string());
            let found = decoder.decode(&whole[..length], |width, height| transform.region(width, height), &mut image);
            assert_eq!(found.map_err(|error| error.to_string()), expected, "{name} cut to {length}");
        }
    }
}
