//! What is drawn is distributed as timm's draws are: fixed seeds, and bounds that chance alone would break less than
//! once in a thousand seeds.

use tresnet::augment::augmix::AugMix;
use tresnet::augment::auto_augment::AutoAugment;
use tresnet::augment::erase::{EraseMode, RandomErasing};
use tresnet::augment::flip::Flips;
use tresnet::augment::jitter::ColorJitter;
use tresnet::augment::mixing::{Mix, Mixing, MixingMode, MixingSettings};
use tresnet::augment::operation::Hints;
use tresnet::augment::rand_augment::RandAugment;
use tresnet::augment::{Motion, RandomCrop, Region, Rgb, Step};
use tresnet::preprocessing::Interpolation;
use tresnet::random::Draws;

const MANY: usize = 20_000;

fn draws(place: usize) -> Draws {
    Draws::new(7, 1, place as u64, "statistics")
}

fn hints() -> Hints {
    Hints::new(224, [0.0; 3], None)
}

/// Panics unless the values' mean is `mean`, give or take what chance permits values of this `deviation`.
fn check_mean(what: &str, values: &[f64], mean: f64, deviation: f64) {
    let found = values.iter().sum::<f64>() / values.len() as f64;
    let bound = 3.5 * deviation / (values.len() as f64).sqrt();
    assert!((found - mean).abs() < bound, "{what}: mean {found}, not {mean} within {bound}");
}

/// Panics unless a share `expected` of the answers is yes.
fn check_share(what: &str, answers: impl IntoIterator<Item = bool>, expected: f64) {
    let values: Vec<f64> = answers.into_iter().map(|yes| f64::from(u8::from(yes))).collect();
    check_mean(what, &values, expected, (expected * (1.0 - expected)).sqrt());
}

/// Panics unless the values are uniform between two bounds: their mean, their variance, their extremes.
fn check_uniform(what: &str, values: &[f64], (low, high): (f64, f64)) {
    let range = high - low;
    assert!(values.iter().all(|value| (low - 1e-9..=high + 1e-9).contains(value)), "{what} leaves {low} to {high}");
    check_mean(what, values, (low + high) / 2.0, range / 12f64.sqrt());
    let squares: Vec<f64> = values.iter().map(|value| ((value - low) / range - 0.5).powi(2)).collect();
    // The fourth moment of a uniform variate is 1/80.
    check_mean(&format!("the spread of {what}"), &squares, 1.0 / 12.0, (1.0f64 / 80.0 - 1.0 / 144.0).sqrt());
}

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

#[test]
fn a_crop_has_a_uniform_area_and_a_uniform_logarithm_of_its_ratio() {
    // Small enough to fit at the first try.
    let crop = RandomCrop::new((0.08, 0.5), (3.0 / 4.0, 4.0 / 3.0), None).unwrap();
    let side = 10_000;
    let regions: Vec<Region> = (0..MANY).map(|place| crop.region(side, side, &mut draws(place))).collect();
    let each = |of: fn(&Region) -> f64| regions.iter().map(of).collect::<Vec<f64>>();
    let whole = (side * side) as f64;
    let areas: Vec<f64> = each(|r| (r.width * r.height) as f64).into_iter().map(|area| area / whole).collect();
    // Rounding to whole pixels moves an area by a ten-thousandth.
    check_uniform("areas", &areas.iter().map(|a| a.clamp(0.08, 0.5)).collect::<Vec<_>>(), (0.08, 0.5));
    assert!(areas.iter().all(|area| (0.0799..0.5001).contains(area)));
    let bound = (4.0f64 / 3.0).ln();
    let ratios = each(|r| (r.width as f64 / r.height as f64).ln());
    check_uniform("ratios", &ratios.iter().map(|r| r.clamp(-bound, bound)).collect::<Vec<_>>(), (-bound, bound));
    check_uniform("lefts", &each(|r| r.left as f64 / (10_000 - r.width) as f64), (0.0, 1.0));
    check_uniform("tops", &each(|r| r.top as f64 / (10_000 - r.height) as f64), (0.0, 1.0));
    check_share("bicubic crops", (0..MANY).map(|n| crop.filter(&mut draws(n)) == Interpolation::Bicubic), 0.5);
}

#[test]
fn flips_come_at_their_rates() {
    let flips = Flips::new(0.5, 0.2).unwrap();
    let (mut across, mut over) = (Vec::new(), Vec::new());
    for place in 0..MANY {
        let mut image = Rgb { width: 2, height: 2, pixels: (0..12).collect() };
        flips.apply(&mut image, &mut draws(place));
        across.push(image.pixels[0] % 6 == 3);
        over.push(image.pixels[0] >= 6);
    }
    check_share("mirrored pictures", across.iter().copied(), 0.5);
    check_share("pictures upside down", over.iter().copied(), 0.2);
    check_share("both", across.iter().zip(&over).map(|(a, b)| *a && *b), 0.1);
}

#[test]
fn jitter_factors_are_uniform_and_their_order_random() {
    let jitter = ColorJitter::new(&[0.4, 0.3, 1.5, 0.1]).unwrap();
    let all: Vec<Vec<Step>> = (0..MANY).map(|place| jitter.draw(&mut draws(place))).collect();
    let of = |pick: fn(&Step) -> Option<f64>| all.iter().flatten().filter_map(pick).collect::<Vec<f64>>();
    check_uniform("brightness", &of(|s| if let Step::Brightness(f) = s { Some(*f) } else { None }), (0.6, 1.4));
    check_uniform("contrast", &of(|s| if let Step::Contrast(f) = s { Some(*f) } else { None }), (0.7, 1.3));
    check_uniform("saturation", &of(|s| if let Step::Color(f) = s { Some(*f) } else { None }), (0.0, 2.5));
    check_uniform("hue", &of(|s| if let Step::Hue(f) = s { Some(*f) } else { None }), (-0.1, 0.1));
    for place in 0..4 {
        let brightened = all.iter().map(|steps| matches!(steps[place], Step::Brightness(_)));
        check_share(&format!("brightness in place {place}"), brightened, 0.25);
    }
    assert_eq!(ColorJitter::new(&[0.0]).unwrap().draw(&mut draws(0)), []);
}

#[test]
fn erased_rectangles_come_at_their_rate_with_uniform_areas() {
    let erasing = RandomErasing::new(0.3, EraseMode::Const, 1).unwrap();
    let side = 10_000;
    let all: Vec<_> = (0..4 * MANY).map(|place| erasing.draw(side, side, &mut draws(place))).collect();
    check_share("pictures with a hole", all.iter().map(|erased| !erased.is_empty()), 0.3);
    let regions: Vec<Region> = all.iter().flatten().map(|erase| erase.region).collect();
    let whole = (side * side) as f64;
    // The most oblong of the largest do not fit, so areas are taken where all shapes do: below 0.3.
    let areas: Vec<f64> = regions.iter().map(|r| (r.width * r.height) as f64 / whole).collect();
    let small: Vec<f64> = areas.iter().map(|area| area.max(0.02)).filter(|area| *area < 0.3).collect();
    check_uniform("areas", &small, (0.02, 0.3));
    let bound = (1.0f64 / 0.3).ln();
    let oblong = regions.iter().zip(&areas).filter(|(_, area)| **area < 0.3);
    let ratios: Vec<f64> = oblong.map(|(r, _)| (r.height as f64 / r.width as f64).ln().clamp(-bound, bound)).collect();
    check_uniform("ratios", &ratios, (-bound, bound));
    check_uniform(
        "lefts",
        &regions.iter().map(|r| r.left as f64 / (side - r.width) as f64).collect::<Vec<_>>(),
        (0.0, 1.0),
    );
}

#[test]
fn several_rectangles_share_the_area() {
    let erasing = RandomErasing::new(1.0, EraseMode::Const, 3).unwrap();
    let all: Vec<_> = (0..MANY).map(|place| erasing.draw(1000, 1000, &mut draws(place))).collect();
    for count in 1..=3 {
        check_share(&format!("pictures with {count}"), all.iter().map(|erased| erased.len() == count), 1.0 / 3.0);
    }
    let thirds = all.iter().filter(|erased| erased.len() == 3).flatten();
    let most = thirds.map(|erase| erase.region.width * erase.region.height).max().unwrap();
    assert!((105_000..112_000).contains(&most), "{most} of a million in one of three");
}

#[test]
fn noise_is_standard_normal_within_the_rectangle_and_nothing_changes_outside() {
    for (mode, distinct) in [(EraseMode::Const, 1), (EraseMode::Rand, 3), (EraseMode::Pixel, usize::MAX)] {
        let erasing = RandomErasing::new(1.0, mode, 1).unwrap();
        let erase = &erasing.draw(300, 200, &mut draws(4))[0];
        let mut image = vec![9.0; 300 * 200 * 3];
        erase.apply(&mut image, 300);
        let inside: Vec<f32> = image.iter().copied().filter(|value| *value != 9.0).collect();
        let Region { left, top, width, height } = erase.region;
        assert_eq!(inside.len(), width * height * 3);
        assert_ne!(image[(top * 300 + left) * 3], 9.0);
        assert_ne!(image[((top + height - 1) * 300 + left + width) * 3 - 1], 9.0);
        let mut bits: Vec<u32> = inside.iter().map(|value| value.to_bits()).collect();
        bits.sort_unstable();
        bits.dedup();
        // Of thousands of f32 variates some coincide.
        assert!(bits.len() == distinct || distinct == usize::MAX && bits.len() > inside.len() * 99 / 100, "{mode}");
        if mode == EraseMode::Pixel {
            let values: Vec<f64> = inside.iter().map(|&value| f64::from(value)).collect();
            check_mean("noise", &values, 0.0, 1.0);
            let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
            check_mean("the variance of noise", &squares, 1.0, 2f64.sqrt());
        }
    }
}

fn settings() -> MixingSettings {
    MixingSettings {
        mixup: 0.2,
        cutmix: 0.0,
        cutmix_minmax: None,
        probability: 1.0,
        switch_probability: 0.5,
        mode: MixingMode::Elem,
        off_epoch: 0,
    }
}

fn mixes(settings: MixingSettings) -> Vec<Mix> {
    Mixing::new(settings).unwrap().unwrap().draw(0, MANY, 100, 80, &mut draws(0))
}

#[test]
fn mixup_shares_are_beta_variates() {
    let shares: Vec<f64> = mixes(settings()).iter().map(|mix| f64::from(mix.share)).collect();
    // The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    check_mean("shares", &shares, 0.5, (1.0f64 / 5.6).sqrt());
    let squares: Vec<f64> = shares.iter().map(|share| (share - 0.5).powi(2)).collect();
    check_mean("the variance of shares", &squares, 1.0 / 5.6, 0.09);
    // The distribution function of Beta(0.2, 0.2) at 0.01 is 0.2087.
    check_share("nearly unmixed pictures", shares.iter().map(|share| share.max(1.0 - share) > 0.99), 0.4174);
    assert!(mixes(settings()).iter().all(|mix| mix.region.is_none() && (mix.share + mix.rest - 1.0).abs() < 1e-6));
}

#[test]
fn cutmix_shares_are_those_of_the_pixels() {
    let all = mixes(MixingSettings { mixup: 0.0, cutmix: 1.0, ..settings() });
    for mix in &all {
        let region = mix.region.unwrap();
        assert!(region.left + region.width <= 100 && region.top + region.height <= 80, "{region:?}");
        let share = 1.0 - (region.width * region.height) as f64 / 8000.0;
        assert!((f64::from(mix.share) - share).abs() < 1e-6, "{mix:?}");
    }
    // A side s = sqrt(1 - lambda) around a uniform centre keeps s - s^2/4 of it, so the mean area is that of
    // (s - s^2/4)^2 with lambda uniform: 1/2 - 1/5 + 1/48. Whole pixels make that a little less.
    let areas: Vec<f64> = all.iter().map(|mix| f64::from(mix.rest)).collect();
    let mean = areas.iter().sum::<f64>() / MANY as f64;
    assert!((mean - (1.0 / 2.0 - 1.0 / 5.0 + 1.0 / 48.0)).abs() < 0.008, "{mean}");
}

#[test]
fn cutmix_between_bounds_stays_between_them() {
    let all = mixes(MixingSettings { mixup: 0.0, cutmix_minmax: Some((0.2, 0.8)), ..settings() });
    let regions: Vec<Region> = all.iter().filter_map(|mix| mix.region).collect();
    assert_eq!(regions.len(), MANY);
    let widths: Vec<f64> = regions.iter().map(|r| r.width as f64).collect();
    let heights: Vec<f64> = regions.iter().map(|r| r.height as f64).collect();
    assert!(widths.iter().all(|w| (20.0..80.0).contains(w)) && heights.iter().all(|h| (16.0..64.0).contains(h)));
    check_mean("widths", &widths, 49.5, 60.0 / 12f64.sqrt());
    check_mean("heights", &heights, 39.5, 48.0 / 12f64.sqrt());
    let lefts: Vec<f64> = regions.iter().map(|r| r.left as f64 / (100 - r.width) as f64).collect();
    check_mean("lefts", &lefts, 0.5, 0.3);
}

#[test]
fn mixup_and_cutmix_take_turns_by_their_probabilities() {
    let all =
        mixes(MixingSettings { mixup: 0.8, cutmix: 1.0, probability: 0.8, switch_probability: 0.3, ..settings() });
    check_share("cut pictures", all.iter().map(|mix| mix.region.is_some()), 0.24);
    check_share("pictures left alone", all.iter().map(|mix| *mix == Mix::NONE), 0.2);
}

#[test]
fn a_mode_says_who_shares_a_draw() {
    let of = |mode, count| {
        let mixing = Mixing::new(MixingSettings { mode, ..settings() }).unwrap().unwrap();
        mixing.draw(0, count, 32, 32, &mut draws(9))
    };
    let batch = of(MixingMode::Batch, 6);
    assert!(batch.iter().all(|mix| *mix == batch[0] && mix.rest > 0.0));
    let pair = of(MixingMode::Pair, 6);
    assert!((0..3).all(|n| pair[n] == pair[5 - n] && pair[n] != pair[(n + 1) % 3]));
    let elem = of(MixingMode::Elem, 6);
    assert!((0..6).all(|n| (0..n).all(|other| elem[n] != elem[other])));
    for mode in [MixingMode::Batch, MixingMode::Pair, MixingMode::Elem] {
        assert_eq!(of(mode, 5)[2], Mix::NONE, "the odd one has no partner");
    }
}

#[test]
fn mixing_ends_at_its_epoch_and_never_begins_without_shapes() {
    let mixing = Mixing::new(MixingSettings { off_epoch: 5, ..settings() }).unwrap().unwrap();
    let mixed = |epoch| mixing.draw(epoch, 4, 8, 8, &mut draws(0)) != [Mix::NONE; 4];
    assert!(mixed(4) && !mixed(5) && !mixed(6));
    assert_eq!(Mixing::new(MixingSettings { mixup: 0.0, ..settings() }).unwrap(), None);
}

#[test]
fn a_wrong_mixing_setting_names_its_flag() {
    for (wrong, flag) in [
        (MixingSettings { mixup: -0.1, ..settings() }, "--mixup "),
        (MixingSettings { cutmix: f64::NAN, ..settings() }, "--cutmix "),
        (MixingSettings { probability: 2.0, ..settings() }, "--mixup-prob"),
        (MixingSettings { switch_probability: -1.0, ..settings() }, "--mixup-switch-prob"),
        (MixingSettings { cutmix_minmax: Some((0.8, 0.2)), ..settings() }, "--cutmix-minmax"),
    ] {
        let error = Mixing::new(wrong).unwrap_err().to_string();
        assert!(error.contains(flag), "{error}");
    }
    assert!("pairs".parse::<MixingMode>().unwrap_err().to_string().contains("--mixup-mode"));
    assert!("noise".parse::<EraseMode>().unwrap_err().to_string().contains("--remode"));
    assert!(RandomErasing::new(1.5, EraseMode::Rand, 1).unwrap_err().to_string().contains("--reprob"));
    assert!(RandomErasing::new(0.5, EraseMode::Rand, 0).unwrap_err().to_string().contains("--recount"));
}
