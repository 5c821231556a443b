//! Every operation on every picture, byte for byte.

use serde_json::Value;
use tresnet::augment::{Motion, Rgb, Step, flip};
use tresnet::preprocessing::Interpolation;

use crate::{difference, json, numbers, picture};

/// Carries out what a fixture describes.
fn perform(case: &Value, image: &mut Rgb) {
    let arguments = numbers(&case["arguments"]);
    let value = arguments.first().copied().unwrap_or_default();
    let motion: fn(f64) -> Motion = match case["operation"].as_str().unwrap() {
        "HorizontalFlip" => return flip::horizontally(image),
        "VerticalFlip" => return flip::vertically(image),
        "Rotate" => Motion::Rotate,
        "ShearX" => Motion::ShearX,
        "ShearY" => Motion::ShearY,
        "TranslateX" => Motion::TranslateX,
        "TranslateY" => Motion::TranslateY,
        "TranslateXRel" => Motion::TranslateXRel,
        "TranslateYRel" => Motion::TranslateYRel,
        name => return step(name, value).apply(image, &mut Vec::new()),
    };
    let filter = match case["filter"].as_str().unwrap() {
        "bilinear" => Interpolation::Bilinear,
        _ => Interpolation::Bicubic,
    };
    Step::Move { motion: motion(value), filter, fill: [124, 116, 104] }.apply(image, &mut Vec::new());
}

pub fn step(name: &str, value: f64) -> Step {
    match name {
        "AutoContrast" => Step::AutoContrast,
        "Equalize" => Step::Equalize,
        "Invert" => Step::Invert,
        "Solarize" => Step::Solarize(value as u16),
        "SolarizeAdd" => Step::SolarizeAdd(value as u8),
        "Posterize" => Step::Posterize(value as i32),
        "Color" => Step::Color(value),
        "Contrast" => Step::Contrast(value),
        "Brightness" => Step::Brightness(value),
        "Sharpness" => Step::Sharpness(value),
        "Hue" => Step::Hue(value),
        "GaussianBlur" => Step::GaussianBlur(value),
        _ => panic!("the fixture names an operation that is not here: {name}"),
    }
}

/// Compares the operations that `chosen` picks.
fn compare(chosen: impl Fn(&str) -> bool) {
    let fixture = json("pixels.json");
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (name, cases) in fixture.as_object().unwrap() {
        let original = picture(name);
        for case in cases.as_array().unwrap().iter().filter(|case| chosen(case["operation"].as_str().unwrap())) {
            let mut image = original.clone();
            perform(case, &mut image);
            compared += 1;
            if let Some(difference) = difference(&image, case) {
                wrong.push(format!(
                    "{name}: {} {} {}: {difference}",
                    case["operation"], case["arguments"], case["filter"]
                ));
            }
        }
    }
    assert!(compared > 0);
    assert!(wrong.is_empty(), "{} of {compared} differ from Pillow:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn operations_by_table_are_pillows() {
    compare(|name| {
        ["AutoContrast", "Equalize", "Invert", "Solarize", "SolarizeAdd", "Posterize", "Contrast", "Brightness"]
            .contains(&name)
    });
}

#[test]
fn colour_and_sharpness_are_pillows() {
    compare(|name| ["Color", "Sharpness"].contains(&name));
}

#[test]
fn hue_is_torchvisions() {
    compare(|name| name == "Hue");
}

#[test]
fn blurring_is_pillows() {
    compare(|name| name == "GaussianBlur");
}

#[test]
fn rotation_is_pillows() {
    compare(|name| name == "Rotate");
}

#[test]
fn shears_and_shifts_are_pillows() {
    compare(|name| name.starts_with("Shear") || name.starts_with("Translate"));
}

#[test]
fn flips_are_pillows() {
    compare(|name| name.ends_with("Flip"));
}

#[test]
fn a_picture_of_nothing_stays_nothing() {
    let steps =
        [Step::AutoContrast, Step::Contrast(0.5), Step::Sharpness(0.1), Step::Hue(0.2), Step::GaussianBlur(2.0)];
    let turn = Step::Move { motion: Motion::Rotate(5.0), filter: Interpolation::Bicubic, fill: [0; 3] };
    for step in steps.iter().chain([&turn]) {
        let mut nothing = Rgb::default();
        step.apply(&mut nothing, &mut Vec::new());
        assert_eq!(nothing, Rgb::default());
    }
}
