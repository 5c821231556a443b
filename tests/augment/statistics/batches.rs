//! Batches: mixup and CutMix.

use tresnet::augment::Region;
use tresnet::augment::erase::{EraseMode, RandomErasing};
use tresnet::augment::mixing::{Mix, Mixing, MixingMode, MixingSettings};

use super::{MANY, check_mean, check_share, draws};

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
