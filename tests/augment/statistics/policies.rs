//! Policies: which operations, how many, how strong.

use tresnet::augment::augmix::AugMix;
use tresnet::augment::auto_augment::AutoAugment;
use tresnet::augment::rand_augment::RandAugment;
use tresnet::augment::{Motion, Step};
use tresnet::preprocessing::Interpolation;

use super::{MANY, check_mean, check_share, check_uniform, draws, hints};

/// Which of RandAugment's fifteen operations a step is.
fn kind(step: &Step) -> String {
    match step {
        Step::Move { motion, .. } => format!("{motion:?}"),
        step => format!("{step:?}"),
    }
    .split('(')
    .next()
    .unwrap_or_default()
    .to_owned()
}

#[test]
fn randaugment_tries_two_operations_of_fifteen_at_even_odds() {
    let policy = RandAugment::parse("rand-m9-mstd0.5-inc1", hints()).unwrap();
    let all: Vec<Vec<Step>> = (0..MANY).map(|place| policy.draw(&mut draws(place))).collect();
    for (count, share) in [(0, 0.25), (1, 0.5), (2, 0.25)] {
        check_share(&format!("pictures with {count} operations"), all.iter().map(|s| s.len() == count), share);
    }
    let kinds: Vec<String> = all.iter().flatten().map(kind).collect();
    let mut names: Vec<&String> = kinds.iter().collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 15, "{names:?}");
    for name in names {
        check_share(name, kinds.iter().map(|kind| kind == name), 1.0 / 15.0);
    }
}

#[test]
fn a_magnitude_is_normal_around_nine_and_clipped_at_ten() {
    let policy = RandAugment::parse("rand-m9-mstd0.5-inc1-p1", hints()).unwrap();
    let steps: Vec<Step> = (0..5 * MANY).flat_map(|place| policy.draw(&mut draws(place))).collect();
    let degrees: Vec<f64> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Move { motion: Motion::Rotate(degrees), .. } => Some(*degrees),
            _ => None,
        })
        .collect();
    let magnitudes: Vec<f64> = degrees.iter().map(|degrees| degrees.abs() / 3.0).collect();
    // Two deviations above: 2.275 % are clipped, by 0.0849 deviations on average of all: 0.0042.
    assert!(magnitudes.iter().all(|magnitude| *magnitude < 10.0 + 1e-9));
    check_mean("magnitudes", &magnitudes, 9.0 - 0.0042, 0.5);
    check_share("clipped magnitudes", magnitudes.iter().map(|m| *m > 10.0 - 1e-9), 0.02275);
    check_share("magnitudes below 8.5", magnitudes.iter().map(|m| *m < 8.5), 0.15866);
    check_share("turns to the left", degrees.iter().map(|d| *d > 0.0), 0.5);
    let filters = steps.iter().filter_map(|step| match step {
        Step::Move { filter, .. } => Some(*filter == Interpolation::Bicubic),
        _ => None,
    });
    check_share("bicubic movements", filters, 0.5);
}

#[test]
fn a_deviation_above_a_hundred_is_uniform() {
    let policy = RandAugment::parse("rand-m8-mstd101-p1-n4", hints()).unwrap();
    let shears: Vec<f64> = (0..MANY)
        .flat_map(|place| policy.draw(&mut draws(place)))
        .filter_map(|step| match step {
            Step::Move { motion: Motion::ShearX(factor), .. } => Some(factor.abs()),
            _ => None,
        })
        .collect();
    check_uniform("shears", &shears, (0.0, 0.24));
}

#[test]
fn a_weighted_set_is_chosen_from_by_weight_and_each_operation_once() {
    let policy = RandAugment::parse("rand-n1-t3aw-p1", hints()).unwrap();
    let first: Vec<Step> = (0..MANY).map(|place| policy.draw(&mut draws(place))[0]).collect();
    check_share("blurs", first.iter().map(|s| matches!(s, Step::GaussianBlur(_))), 6.0 / 33.0);
    check_share("turns", first.iter().map(|s| kind(s) == "Rotate"), 3.0 / 33.0);
    check_share("inversions", first.iter().map(|s| *s == Step::Invert), 1.0 / 33.0);
    let all = RandAugment::parse("rand-n14-t3aw-p1", hints()).unwrap();
    for place in 0..100 {
        let steps = all.draw(&mut draws(place));
        assert_eq!(steps.len(), 14);
        assert_eq!(steps.iter().filter(|s| matches!(s, Step::GaussianBlur(_))).count(), 1);
    }
    // The second is drawn from what the first has left: blur first, or another (weight w) and then blur out of 33 - w.
    let two = RandAugment::parse("rand-n2-t3aw-p1", hints()).unwrap();
    let blurred =
        (0..MANY).map(|place| two.draw(&mut draws(place)).iter().any(|step| matches!(step, Step::GaussianBlur(_))));
    let others = [6.0, 6.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let then: f64 = others.iter().map(|weight| weight / 33.0 * 6.0 / (33.0 - weight)).sum();
    check_share("pictures with a blur", blurred, 6.0 / 33.0 + then);
}

#[test]
fn an_autoaugment_picture_has_one_of_the_subpolicies_by_its_probabilities() {
    let policy = AutoAugment::parse("original", hints()).unwrap();
    let steps: Vec<Vec<Step>> = (0..MANY).map(|place| policy.draw(&mut draws(place))).collect();
    // `original` has an Invert of 0.6 in two of 25 and at 0.6 behind a Sharpness of 0.4 in one.
    check_share("inversions", steps.iter().map(|s| s.contains(&Step::Invert)), 3.0 * 0.6 / 25.0);
    let sharpened = steps.iter().map(|s| s.iter().any(|step| matches!(step, Step::Sharpness(_))));
    check_share("sharpened pictures", sharpened, 0.4 / 25.0);
    let both = steps.iter().map(|s| s.len() == 2 && matches!(s[0], Step::Sharpness(_)) && s[1] == Step::Invert);
    check_share("sharpened and inverted pictures", both, 0.24 / 25.0);
}

#[test]
fn augmix_draws_depths_weights_and_shares() {
    let policy = AugMix::parse("augmix", hints()).unwrap();
    let all: Vec<_> = (0..MANY).map(|place| policy.draw(&mut draws(place))).collect();
    for depth in 1..=3 {
        let chains = all.iter().flat_map(|mixture| mixture.chains.iter().map(|chain| chain.len() == depth));
        check_share(&format!("chains of {depth}"), chains, 1.0 / 3.0);
    }
    let shares: Vec<f64> = all.iter().map(|mixture| f64::from(mixture.share)).collect();
    check_uniform("shares", &shares, (0.0, 1.0));
    let weights: Vec<f64> = all.iter().map(|mixture| f64::from(mixture.weights[0])).collect();
    check_mean("weights", &weights, 1.0 / 3.0, (1.0f64 / 18.0).sqrt());
}
