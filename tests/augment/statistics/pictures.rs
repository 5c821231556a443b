//! Single pictures: crops, flips, jitter, erasing.

use tresnet::augment::erase::{EraseMode, RandomErasing};
use tresnet::augment::flip::Flips;
use tresnet::augment::jitter::ColorJitter;
use tresnet::augment::{RandomCrop, Region, Rgb, Step};
use tresnet::preprocessing::Interpolation;

use super::{MANY, check_mean, check_share, check_uniform, draws};

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
