//! What cuDNN's plans are verified by: operands that are made up, and the search for deviations.

use tresnet::ops::Activation;
use tresnet::ops::cuda::verification::{Behind, Deviation, Expected, Tolerance, deviation, deviation_bytes, made_up};

use crate::compare::{ELEMENTS, round, values};
use crate::memory::{Memory, run};

/// Within a block, more than one, and more than the blocks of a launch take in one round.
const COUNTS: [usize; 4] = [8, 1000, 2056, 1_060_008];

/// The odd sixteenths of a seed, as the kernel's file says them.
fn sixteenths(seed: u32, count: usize) -> Vec<f32> {
    let hashed = |number: u32| {
        let mixed = number.wrapping_mul(0x9e37_79b9).wrapping_add(seed.wrapping_mul(0x85eb_ca6b));
        let mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x7feb_352d);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x846c_a68b);
        mixed ^ (mixed >> 16)
    };
    (0..count as u32).map(|number| (2.0 * (hashed(number) >> 28) as f32 - 15.0) / 16.0).collect()
}

pub fn values_are_made_up_alike_in_every_element() {
    for (seed, scale) in [(1, 1.0), (2, 1.0 / 64.0), (7, 1.0)] {
        for (element, count) in ELEMENTS.into_iter().flat_map(|element| COUNTS.map(|count| (element, count))) {
            let out = Memory::fresh(count * element.size());
            run(made_up(element, count, &out, seed, scale));
            let expected = sixteenths(seed as u32, count).into_iter().map(|value| scale * value);
            assert!(out.read_values(element).into_iter().eq(expected), "{count} of {} by {seed}", element.name());
        }
    }
    let many = sixteenths(1, 100_000);
    let mean = many.iter().sum::<f32>() / many.len() as f32;
    let of_each = many.iter().filter(|&&value| value == 15.0 / 16.0).count();
    assert!(mean.abs() < 0.01 && (5_500..7_000).contains(&of_each), "a mean of {mean}, {of_each} of a sixteenth");
    let same = many.iter().zip(sixteenths(2, 100_000)).filter(|(one, other)| **one == *other).count();
    assert!((5_500..7_000).contains(&same), "{same} of two seeds are the same");
    assert!(made_up(ELEMENTS[0], 12, &Memory::fresh(48), 1, 1.0).is_err(), "no whole eights");
}

/// As the kernel's file says it.
fn expected(
    [found, expected]: [&[f32]; 2],
    (through, slope): (Option<&[f32]>, f32),
    Tolerance { relative, absolute }: Tolerance,
) -> Deviation {
    let mut all = Deviation::default();
    for (at, (own, other)) in found.iter().zip(expected).enumerate() {
        if !own.is_finite() || !other.is_finite() {
            all.not_finite += 1;
            continue;
        }
        let positive = through.map_or(*own > 0.0 || *other > 0.0, |through| through[at] > 0.0);
        all.difference = all.difference.max((own - other).abs());
        all.magnitude = all.magnitude.max(other.abs());
        let granted = relative * other.abs() + absolute * if positive { 1.0 } else { slope };
        all.beyond += u64::from((own - other).abs() > granted);
    }
    all
}

pub fn deviations_are_counted_as_the_host_counts_them() {
    for (element, count) in ELEMENTS.into_iter().flat_map(|element| COUNTS.map(|count| (element, count))) {
        let right = values("right", count, element);
        let through = values("through", count, element);
        let tolerance = Tolerance { relative: 1.0 / 256.0, absolute: 1.0 / 64.0 };
        let mut found = right.clone();
        // Some are off by more than they may, some by less, and the last is no number.
        found.iter_mut().step_by(3).for_each(|value| *value = round(*value * 0.98 + 0.004, element));
        found[0] = round(found[0] + 0.5, element);
        let spoiled = [&found[..count - 1], &[f32::NAN]].concat();
        for (found, activation) in
            [(&right, Activation::Relu), (&found, Activation::Identity), (&spoiled, Activation::LeakyRelu(0.01))]
        {
            let slope = activation.slope();
            let [own, other, gave] = [found, &right, &through].map(|map| Memory::values(element, map));
            let sums = Memory::floats(&right);
            let behind = [Behind::Activation(activation), Behind::Gradient(&gave, activation)];
            for (behind, through) in behind.into_iter().zip([None, Some(&through[..])]) {
                for against in [Expected::Values(&other), Expected::Sums(&sums)] {
                    let out = Memory::fresh(deviation_bytes(count));
                    run(deviation(element, count, &own, against, behind, tolerance, &out));
                    let counted = Deviation::of(&out.read_bytes());
                    assert_eq!(
                        counted,
                        expected([found, &right], (through, slope), tolerance),
                        "{count}, {activation:?}"
                    );
                    assert_eq!(counted.is_within(), found == &right);
                }
            }
        }
    }
}
