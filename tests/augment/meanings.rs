//! What strings, magnitudes and draws mean, against timm's own readings.

use serde_json::Value;
use tresnet::augment::augmix::{AugMix, Mixture, Room};
use tresnet::augment::auto_augment::AutoAugment;
use tresnet::augment::magnitude::{Spread, Trial};
use tresnet::augment::mixing::Mix;
use tresnet::augment::operation::{Hints, Operation};
use tresnet::augment::policy::Policy;
use tresnet::augment::rand_augment::RandAugment;
use tresnet::augment::{Motion, Region, Step, mix_batch};
use tresnet::random::Draws;

use crate::pixels::step;
use crate::{difference, json, numbers, picture};

/// A side of 224 makes 100 pixels of a full shift, which is what the fixture has.
fn hints() -> Hints {
    let hints = Hints::new(224, [0.485, 0.456, 0.406], None);
    assert_eq!((hints.shift, hints.fill), (100.0, [124, 116, 104]));
    hints
}

/// The operation that timm calls `name`.
fn operation(name: &str) -> Operation {
    use Operation::*;
    let all = [
        AutoContrast,
        Equalize,
        Invert,
        Rotate,
        Posterize,
        PosterizeIncreasing,
        PosterizeOriginal,
        Solarize,
        SolarizeIncreasing,
        SolarizeAdd,
        Color,
        ColorIncreasing,
        Contrast,
        ContrastIncreasing,
        Brightness,
        BrightnessIncreasing,
        Sharpness,
        SharpnessIncreasing,
        ShearX,
        ShearY,
        TranslateX,
        TranslateY,
        TranslateXRel,
        TranslateYRel,
        Desaturate,
        GaussianBlur,
        GaussianBlurRand,
    ];
    all.into_iter().find(|operation| format!("{operation:?}") == name).unwrap()
}

/// A step's number.
fn argument(step: Step) -> f64 {
    match step {
        Step::Solarize(value) => f64::from(value),
        Step::SolarizeAdd(value) => f64::from(value),
        Step::Posterize(value) => f64::from(value),
        Step::Color(value) | Step::Contrast(value) | Step::Brightness(value) | Step::Sharpness(value) => value,
        Step::GaussianBlur(value) => value,
        Step::Move { motion, .. } => match motion {
            Motion::Rotate(v) | Motion::ShearX(v) | Motion::ShearY(v) | Motion::TranslateX(v) => v,
            Motion::TranslateY(v) | Motion::TranslateXRel(v) | Motion::TranslateYRel(v) => v,
        },
        other => panic!("{other:?} has no number"),
    }
}

#[test]
fn a_magnitude_means_what_it_means_to_timm() {
    let mut draws = Draws::new(5, 0, 0, "levels");
    for (name, cases) in json("levels.json").as_object().unwrap() {
        for case in cases.as_array().unwrap() {
            let level = case["level"].as_f64().unwrap();
            let mut expected = numbers(&case["arguments"]);
            match name.as_str() {
                // timm's operation takes the difference from 1, within bounds.
                "Desaturate" => expected.iter_mut().for_each(|v| *v = (1.0 - *v).clamp(0.0, 1.0)),
                // Drawn: the statistics have it.
                "GaussianBlurRand" => continue,
                _ => {}
            }
            // Both signs come up in 64 draws; the fixture's reader is off by a last bit now and then.
            let near = |a: &mut f64, b: &mut f64| (*a - *b).abs() < 1e-12;
            let mut found: Vec<f64> =
                (0..64).map(|_| argument(operation(name).step(level, &hints(), &mut draws))).collect();
            found.sort_by(f64::total_cmp);
            found.dedup_by(near);
            expected.dedup_by(near);
            let same = found.len() == expected.len()
                && found.iter_mut().zip(&mut expected).all(|(found, expected)| near(found, expected));
            assert!(same, "{name} at {level}: {found:?}, not {expected:?}");
        }
    }
}

/// Panics unless the trials are those that timm reads.
fn compare_trials(text: &str, found: &[Trial], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{text}");
    for (found, expected) in found.iter().zip(expected) {
        let spread = match &expected["deviation"] {
            Value::String(_) => Spread::Uniform,
            deviation => Spread::normal(deviation.as_f64().unwrap()),
        };
        assert_eq!(found.operation, operation(expected["operation"].as_str().unwrap()), "{text}");
        assert_eq!(Some(found.probability), expected["probability"].as_f64(), "{text}: {:?}", found.operation);
        assert_eq!(Some(found.magnitude.value), expected["magnitude"].as_f64(), "{text}: {:?}", found.operation);
        assert_eq!(Some(found.magnitude.most), expected["most"].as_f64(), "{text}: {:?}", found.operation);
        assert_eq!(found.magnitude.spread, spread, "{text}: {:?}", found.operation);
    }
}

#[test]
fn randaugment_strings_mean_what_they_mean_to_timm() {
    for (text, expected) in json("policies.json")["rand"].as_object().unwrap() {
        let found = RandAugment::parse(text, hints()).unwrap();
        assert_eq!(Some(found.layers as u64), expected["layers"].as_u64(), "{text}");
        compare_trials(text, &found.trials, &expected["ops"]);
        let weights = (!expected["weights"].is_null()).then(|| numbers(&expected["weights"]));
        match (&found.weights, weights) {
            (None, None) => {}
            (Some(found), Some(expected)) => {
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-15), "{text}: {found:?}");
            }
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn autoaugment_policies_are_timms() {
    for (text, expected) in json("policies.json")["auto"].as_object().unwrap() {
        let found = AutoAugment::parse(text, hints()).unwrap();
        let expected = expected.as_array().unwrap();
        assert_eq!(found.subpolicies.len(), expected.len(), "{text}");
        for (found, expected) in found.subpolicies.iter().zip(expected) {
            compare_trials(text, found, expected);
        }
    }
}

#[test]
fn augmix_strings_mean_what_they_mean_to_timm() {
    for (text, expected) in json("policies.json")["augmix"].as_object().unwrap() {
        let found = AugMix::parse(text, hints()).unwrap();
        assert_eq!(Some(found.alpha), expected["alpha"].as_f64(), "{text}");
        assert_eq!(Some(found.width as u64), expected["width"].as_u64(), "{text}");
        assert_eq!(found.depth.map_or(0, |d| d as i64), expected["depth"].as_i64().unwrap().max(0), "{text}");
        assert_eq!(Some(found.blended), expected["blended"].as_bool(), "{text}");
        compare_trials(text, &found.trials, &expected["ops"]);
    }
    assert_eq!(AugMix::parse("augmix-m3-w3-d-1", hints()).unwrap(), AugMix::parse("augmix", hints()).unwrap());
}

#[test]
fn a_wrong_policy_string_names_what_is_wrong_with_it() {
    for (text, word) in [
        ("rand-m9-q3", "`q`"),
        ("rand-m", "`m` lacks"),
        ("rand-m9-inc", "`inc` lacks"),
        ("rand-m9.5", "`m9.5`"),
        ("rand-m-1", "`m-1`"),
        ("rand-t", "`t` lacks"),
        ("rand-tbest", "`best`"),
        ("rand-n16-tweights", "n16"),
        ("rand-n4-t3aw-n999", "n999"),
        ("rand-5", "``"),
        ("rand9", "`rand9`"),
        ("", "``"),
        ("v1", "v0r"),
        ("original-m9", "`m`"),
        ("v0-mstd0.5.1", "`mstd0.5.1`"),
        ("augmix-n2", "`n`"),
        ("augmix-a0", "`a`"),
        ("augmix-w0", "`w0`"),
        ("augmix-d-2", "`d-2`"),
        ("augmix-w5000", "100"),
    ] {
        let error = format!("{:#}", Policy::parse(text, hints()).unwrap_err());
        assert!(error.contains("--aa") && error.contains(word), "{text}: {error}");
    }
}

#[test]
fn augmix_mixes_chains_as_timm_does() {
    let fixture = json("augmix.json");
    let chains: Vec<Vec<Step>> = fixture["chains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chain| {
            chain
                .as_array()
                .unwrap()
                .iter()
                .map(|call| step(call[0].as_str().unwrap(), numbers(&call[1]).first().copied().unwrap_or_default()))
                .collect()
        })
        .collect();
    for case in fixture["results"].as_array().unwrap() {
        let mixture = Mixture {
            weights: numbers(&case["weights"]).into_iter().map(|w| w as f32).collect(),
            chains: chains.clone(),
            share: case["share"].as_f64().unwrap() as f32,
            blended: case["blended"].as_bool().unwrap(),
        };
        let mut image = picture("square");
        mixture.apply(&mut image, &mut Vec::new(), &mut Room::default());
        assert_eq!(difference(&image, case), None, "{case}");
    }
}

#[test]
fn mixed_batches_are_timms() {
    let batch = picture("batch");
    let (width, height, count) = (batch.width, 16, 6);
    for case in json("mixes.json").as_array().unwrap() {
        let mode = case["mode"].as_str().unwrap();
        // timm's draws, spread over the batch.
        let each = |key: &str| match (&case[key], mode) {
            (Value::Array(list), "pair") => list.iter().chain(list.iter().rev()).cloned().collect(),
            (Value::Array(list), _) => list.clone(),
            (one, _) => vec![one.clone(); count],
        };
        let mut boxes = case["boxes"].as_array().unwrap().iter().map(numbers);
        let mut drawn_boxes = vec![None; count];
        for (n, cut) in each("cut").iter().enumerate().take(if mode == "pair" { count / 2 } else { count }) {
            if !cut.as_bool().unwrap() {
                continue;
            }
            // The batch's one box is drawn once.
            let first = || drawn_boxes[0].filter(|_| mode == "batch" && n > 0);
            let found = first().or_else(|| {
                boxes.next().map(|list| {
                    let [left, top, width, height] = list[..] else { panic!("a box has four numbers") };
                    [left, top, width, height].map(|number| number as usize)
                })
            });
            drawn_boxes[n] = found;
            if mode == "pair" {
                drawn_boxes[count - 1 - n] = found;
            }
        }
        let mixes: Vec<Mix> = each("drawn")
            .iter()
            .zip(&drawn_boxes)
            .map(|(drawn, cut)| {
                let drawn = drawn.as_f64().unwrap();
                let region = cut.map(|[left, top, width, height]| Region { left, top, width, height });
                let share = region.map_or(drawn, |r| 1.0 - (r.width * r.height) as f64 / (width * height) as f64);
                let rest = if mode == "batch" { (1.0 - share) as f32 } else { 1.0 - share as f32 };
                Mix { share: share as f32, rest, region }
            })
            .collect();
        let mut image = batch.clone();
        mix_batch(&mut image.pixels, &mixes, width, height);
        assert_eq!(difference(&image, case), None, "{case}");
        for (n, (mix, target)) in mixes.iter().zip(case["target"].as_array().unwrap()).enumerate() {
            let target = numbers(target);
            assert_eq!((mix.share, mix.rest), (target[n] as f32, target[count - 1 - n] as f32), "{case}");
        }
    }
}

#[test]
fn nobody_is_mixed_with_what_a_mixture_left() {
    let half = Mix { share: 0.5, rest: 0.5, region: None };
    let mut batch = [[10; 3], [20; 3], [40; 3], [80; 3]].concat();
    mix_batch(&mut batch, &[half; 4], 1, 1);
    assert_eq!(batch, [[45; 3], [30; 3], [30; 3], [45; 3]].concat());
    let mut odd = [[10; 3], [20; 3], [41; 3]].concat();
    mix_batch(&mut odd, &[half, Mix::NONE, Mix::NONE], 1, 1);
    assert_eq!(odd, [[26; 3], [20; 3], [41; 3]].concat(), "25.5 rounds to the even 26");
}
