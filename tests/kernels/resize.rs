//! Squares of pictures: the device's passes against the transform that the processor applies, which is Pillow's.

use tresnet::augment::Rgb;
use tresnet::augment::evaluation::Evaluation;
use tresnet::augment::resize::Resizer;
use tresnet::ops::cuda::resize::{Job, job_bytes, pass};
use tresnet::ops::squares::SquarePlan;
use tresnet::preprocessing::{Interpolation, Preprocessing, ResizeMode};

use crate::memory::{Memory, run};
use crate::random::{fnv1a64, splitmix64};

/// Reductions and enlargements of odd sizes, panoramas, towers that Pillow begins with the columns of, single pixels, and
/// a size that stays on one axis or both.
const SIZES: [(usize, usize); 12] = [
    (75, 50),
    (50, 75),
    (37, 31),
    (9, 7),
    (1, 1),
    (1, 40),
    (120, 1),
    (11, 190),
    (190, 11),
    (27, 27),
    (24, 61),
    (31, 24),
];

/// Noise in which extremes are frequent, so that the cubic filter overshoots.
fn picture(width: usize, height: usize) -> Rgb {
    let stream = fnv1a64(format!("{width}x{height}"));
    let byte = |at: u64| match splitmix64(stream.wrapping_add(at)) {
        word if word >> 61 == 0 => 0,
        word if word >> 61 == 1 => 255,
        word => (word >> 33) as u8,
    };
    Rgb { width, height, pixels: (0..(width * height * 3) as u64).map(byte).collect() }
}

/// Crops that are smaller than the resized picture, as large, and larger; and squashing.
fn transforms() -> Vec<Evaluation> {
    let shares =
        [(ResizeMode::Crop, 0.875), (ResizeMode::Crop, 1.0), (ResizeMode::Crop, 1.6), (ResizeMode::Squash, 1.0)];
    let filters = [Interpolation::Bilinear, Interpolation::Bicubic];
    let all = shares.into_iter().flat_map(|share| filters.map(|filter| (share, filter)));
    all.map(|((resize_mode, crop_pct), interpolation)| {
        let (mean, std) = ([0.0; 3], [1.0; 3]);
        let settings = Preprocessing { input_size: 24, crop_pct, resize_mode, interpolation, mean, std };
        Evaluation::new(&settings).unwrap()
    })
    .collect()
}

fn on_the_processor(transform: &Evaluation, picture: &Rgb) -> Vec<u8> {
    let mut square = vec![7; transform.side() * transform.side() * 3];
    transform.apply(picture, &mut Resizer::new(), &mut square);
    square
}

/// The squares of all pictures, by one launch a pass.
fn on_the_device(pictures: &[(&Rgb, SquarePlan)]) -> Vec<u8> {
    let (mut from, mut between, mut to) = (Vec::new(), 0, 0);
    let (mut jobs, mut taps) = ([Vec::new(), Vec::new()], Vec::new());
    for (picture, plan) in pictures {
        let [first, second] = plan.jobs([from.len(), between, to], &mut taps);
        jobs[0].push(first);
        jobs[1].push(second);
        from.extend_from_slice(&picture.pixels);
        between += plan.between_bytes();
        to += plan.square_bytes();
    }
    let (from, between, to) = (Memory::of_bytes(&from), Memory::fresh(between), Memory::fresh(to));
    let taps_at = Memory::ints(&taps);
    let [first, second] = jobs.each_ref().map(|jobs| Memory::of_bytes(&job_bytes(jobs)));
    run(pass(&jobs[0], &first, &taps, &taps_at, &from, &between));
    run(pass(&jobs[1], &second, &taps, &taps_at, &between, &to));
    // What lies between is written to its last byte, and nothing beside it.
    between.read_bytes();
    to.read_bytes()
}

pub fn a_planned_square_is_pillows_byte_for_byte() {
    for (width, height) in SIZES {
        let picture = picture(width, height);
        for transform in transforms() {
            let ours = on_the_device(&[(&picture, transform.plan(width, height))]);
            assert!(ours == on_the_processor(&transform, &picture), "{width} x {height} by {transform:?}");
        }
    }
}

pub fn pictures_of_all_sizes_go_through_one_launch() {
    let pictures = SIZES.map(|(width, height)| picture(width, height));
    for transform in transforms() {
        let planned: Vec<_> = pictures.iter().map(|own| (own, transform.plan(own.width, own.height))).collect();
        let expected: Vec<u8> = pictures.iter().flat_map(|picture| on_the_processor(&transform, picture)).collect();
        assert!(on_the_device(&planned) == expected, "{transform:?}");
    }
}

pub fn a_job_that_leaves_its_memory_is_refused() {
    let (from, to, taps) = (Memory::fresh(4 * 4 * 3), Memory::fresh(2 * 4 * 3), [1, 2, 5, 5, 0, 1, 9, 0]);
    let taps_at = Memory::ints(&taps);
    let sound = Job {
        from: 0,
        from_pitch: 12,
        to: 0,
        to_pitch: 6,
        is_down: false,
        taps: 0,
        tap_row: 4,
        left: 0,
        top: 0,
        columns: 2,
        lines: 4,
        wide: 2,
        high: 4,
    };
    let launch = |job: &Job, taps: &[i32]| {
        let jobs = Memory::of_bytes(&job_bytes(std::slice::from_ref(job)));
        pass(std::slice::from_ref(job), &jobs, taps, &taps_at, &from, &to).map(drop)
    };
    launch(&sound, &taps).unwrap();
    let wrong = [
        Job { from: 4, ..sound.clone() },
        Job { to: 1, ..sound.clone() },
        Job { lines: 5, ..sound.clone() },
        Job { high: 5, ..sound.clone() },
        Job { left: 1, ..sound.clone() },
        Job { taps: 1, ..sound.clone() },
        Job { columns: 3, wide: 3, ..sound.clone() },
        Job { from: 1 << 31, ..sound.clone() },
        Job { is_down: true, lines: 2, from: 40, ..sound.clone() },
    ];
    for job in wrong {
        assert!(launch(&job, &taps).is_err(), "{job:?}");
    }
    assert!(launch(&sound, &[1, 4, 5, 5, 0, 1, 9, 0]).is_err(), "more taps than weights");
    assert!(launch(&sound, &[-1, 2, 5, 5, 0, 1, 9, 0]).is_err(), "a tap before the line");
}
