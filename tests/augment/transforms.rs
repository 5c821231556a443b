//! Whole transforms: against timm's where nothing is drawn, against themselves where much is.

use std::collections::HashSet;

use tresnet::augment::resize::{Resizer, Window};
use tresnet::augment::training::{Training, TrainingSettings, Workspace};
use tresnet::augment::{Cut, PaddedCrop, Region, Rgb};
use tresnet::preprocessing::Interpolation;
use tresnet::random::Draws;

use crate::{difference, json, numbers, picture};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];

fn draws(place: u64) -> Draws {
    Draws::new(42, 3, place, "image")
}

/// What the transform makes of `image` at `place` of epoch 3.
fn transformed(training: &Training, image: &Rgb, place: u64, workspace: &mut Workspace) -> Vec<u8> {
    let mut out = vec![0; training.side() * training.side() * 3];
    training.apply(image, &mut draws(place), workspace, &mut out);
    out
}

#[test]
fn a_resized_crop_is_torchvisions() {
    for case in json("transforms.json")["resized"].as_array().unwrap() {
        let [left, top, width, height] = numbers(&case["box"])[..] else { panic!("a box has four numbers") };
        let [left, top, width, height] = [left, top, width, height].map(|number| number as usize);
        let bilinear = case["filter"] == "bilinear";
        let filter = if bilinear { Interpolation::Bilinear } else { Interpolation::Bicubic };
        let image = picture(case["image"].as_str().unwrap());
        let mut out = Rgb { width: 32, height: 32, pixels: vec![0; 32 * 32 * 3] };
        let whole = Window { columns: 0..32, rows: 0..32 };
        let cut = image.cut(Region { left, top, width, height });
        Resizer::new().resize_window(cut, (32, 32), filter, &whole, &mut out.pixels, 32 * 3);
        assert_eq!(difference(&out, case), None, "{case}");
    }
}

#[test]
fn a_padded_crop_is_torchvisions() {
    for case in json("transforms.json")["padded"].as_array().unwrap() {
        let whole = |key: &str| case[key].as_u64().unwrap() as usize;
        let pair = |key: &str| match numbers(&case[key])[..] {
            [x, y] => (x as usize, y as usize),
            _ => panic!("{key} has two numbers"),
        };
        let image = picture(case["image"].as_str().unwrap());
        let (crop, side, size) = (PaddedCrop { padding: whole("padding") }, whole("side"), (image.width, image.height));
        let mut out = Rgb::default();
        crop.cut(size, side, pair("at")).apply(&image, side, &mut out);
        assert_eq!(difference(&out, case), None, "{case}");
        // Every place is drawn, and no other.
        let (right, down) = pair("places");
        let drawn: HashSet<Cut> = (0..20 * right * down).map(|n| crop.draw(size, side, &mut draws(n as u64))).collect();
        let all: HashSet<Cut> = (0..right * down).map(|n| crop.cut(size, side, (n % right, n / right))).collect();
        assert_eq!(drawn, all, "{case}");
    }
}

#[test]
fn without_augmentation_the_middle_is_timms() {
    let settings =
        TrainingSettings { no_aug: true, interpolation: Some(Interpolation::Bicubic), ..TrainingSettings::default() };
    for case in json("transforms.json")["plain"].as_array().unwrap() {
        let side = case["side"].as_u64().unwrap() as usize;
        let training = Training::new(&settings, side, MEAN).unwrap();
        let image = picture(case["image"].as_str().unwrap());
        let pixels = transformed(&training, &image, 0, &mut Workspace::default());
        assert_eq!(difference(&Rgb { width: side, height: side, pixels }, case), None, "{case}");
    }
}

/// Every kind of policy, with all that may be on beside it.
fn transforms() -> Vec<Training> {
    ["", "padded", "rand-m9-mstd0.5-inc1", "rand-n3-t3aw-p1", "v0", "3a", "augmix-m5", "augmix-b1"]
        .into_iter()
        .map(|policy| {
            let (policy, padding) = if policy == "padded" { ("", Some(4)) } else { (policy, None) };
            let settings = TrainingSettings {
                padding,
                vflip: 0.5,
                color_jitter: vec![0.4, 0.4, 0.4, 0.1],
                auto_augment: Some(policy.to_owned()),
                ..TrainingSettings::default()
            };
            Training::new(&settings, 40, MEAN).unwrap()
        })
        .collect()
}

#[test]
fn a_result_depends_on_its_draws_and_not_on_what_the_thread_did_before() {
    let (image, other) = (picture("wide"), picture("column"));
    for training in transforms() {
        let mut used = Workspace::default();
        for place in 0..20 {
            let expected = transformed(&training, &image, place, &mut Workspace::default());
            transformed(&training, &other, place + 7, &mut used);
            assert!(transformed(&training, &image, place, &mut used) == expected, "{training:?} at {place}");
        }
    }
}

#[test]
fn another_place_gives_another_picture() {
    let image = picture("wide");
    for training in transforms() {
        let all: Vec<_> = (0..20).map(|at| transformed(&training, &image, at, &mut Workspace::default())).collect();
        for (n, one) in all.iter().enumerate() {
            assert!(!all[..n].contains(one), "{training:?}: {n} again");
        }
    }
}

#[test]
fn a_picture_of_any_size_can_be_transformed() {
    for (width, height) in [(1, 1), (1, 300), (300, 1), (2, 3)] {
        let image = Rgb { width, height, pixels: vec![77; width * height * 3] };
        for training in transforms() {
            for place in 0..10 {
                transformed(&training, &image, place, &mut Workspace::default());
            }
        }
    }
}

#[test]
fn the_region_is_known_before_the_pixels_are() {
    let settings = TrainingSettings { hflip: 0.0, color_jitter: Vec::new(), ..TrainingSettings::default() };
    let padded = TrainingSettings { padding: Some(8), ..settings.clone() };
    let image = picture("wide");
    let trainings = [(settings, 24), (padded.clone(), 24), (padded, 80)];
    let trainings = trainings.map(|(settings, side)| Training::new(&settings, side, MEAN).unwrap());
    for (training, place) in trainings.iter().flat_map(|training| (0..20).map(move |place| (training, place))) {
        let region = training.region(image.width, image.height, &draws(place));
        // Everything around the region is forgotten.
        let mut only = Rgb { pixels: vec![0; image.pixels.len()], ..image.clone() };
        for row in region.top..region.top + region.height {
            let start = (row * image.width + region.left) * 3;
            only.pixels[start..][..region.width * 3].copy_from_slice(&image.pixels[start..][..region.width * 3]);
        }
        let mut workspace = Workspace::default();
        let (whole, part) =
            (transformed(training, &image, place, &mut workspace), transformed(training, &only, place, &mut workspace));
        assert!(whole == part, "{region:?}");
    }
}

#[test]
fn a_wrong_setting_names_its_flag() {
    let wrong = |change: fn(&mut TrainingSettings), flag: &str| {
        let mut settings = TrainingSettings::default();
        change(&mut settings);
        let error = Training::new(&settings, 32, MEAN).unwrap_err().to_string();
        assert!(error.contains(flag), "{error}");
    };
    wrong(|s| s.scale = (0.5, 0.1), "--scale");
    wrong(|s| s.scale = (0.0, 1.0), "--scale");
    wrong(|s| s.scale = (0.5, 1.5), "--scale");
    wrong(|s| s.ratio = (f64::NAN, 1.0), "--ratio");
    wrong(|s| s.padding = Some(32), "--train-crop-pad 32");
    wrong(|s| s.hflip = 1.1, "--hflip");
    wrong(|s| s.vflip = -0.1, "--vflip");
    wrong(|s| s.color_jitter = vec![0.4, 0.4], "--color-jitter");
    wrong(|s| s.color_jitter = vec![-0.4], "--color-jitter");
    wrong(|s| s.color_jitter = vec![0.4, 0.4, 0.4, 0.6], "--color-jitter");
    wrong(|s| s.auto_augment = Some("rond-m9".to_owned()), "--aa");
    assert!(Training::new(&TrainingSettings::default(), 0, MEAN).unwrap_err().to_string().contains("--input-size"));
}

#[test]
fn copies_share_crop_and_flip_and_differ_by_the_policy_which_the_first_goes_without() {
    let image = picture("wide");
    let transform = |policy: &str| {
        let auto_augment = Some(policy.to_owned());
        let settings = TrainingSettings { auto_augment, color_jitter: Vec::new(), ..TrainingSettings::default() };
        Training::new(&settings, 40, MEAN).unwrap()
    };
    let (plain, varied) = (transform(""), transform("rand-m9-n2-p1"));
    let len = 40 * 40 * 3;
    let mut differing = 0;
    for place in 0..20 {
        let mut copies = vec![0; 3 * len];
        varied.apply(&image, &mut draws(place), &mut Workspace::default(), &mut copies);
        let clean = transformed(&plain, &image, place, &mut Workspace::default());
        assert!(copies[..len] == clean, "the first copy at {place}");
        let second = transformed(&varied, &image, place, &mut Workspace::default());
        assert!(copies[len..2 * len] == second, "the second copy at {place} is what a single picture would be");
        differing += usize::from(copies[len..2 * len] != copies[2 * len..]);
    }
    assert!(differing > 15, "{differing} of 20 third copies differ from the second");
}
