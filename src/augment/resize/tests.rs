use super::*;
use crate::augment::{Region, Rgb};

/// A picture of noise; the generator is an LCG (Knuth's MMIX constants).
fn noise(width: usize, height: usize, seed: u64) -> Rgb {
    let mut state = seed;
    let pixels = (0..width * height * CHANNELS)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Extremes are frequent, so that the cubic filter overshoots.
            match state >> 61 {
                0 => 0,
                1 => 255,
                _ => (state >> 33) as u8,
            }
        })
        .collect();
    Rgb { width, height, pixels }
}

fn resized(resizer: &mut Resizer, image: &Rgb, to: (usize, usize), filter: Interpolation, window: Window) -> Vec<u8> {
    let pitch = window.columns.len() * CHANNELS;
    let mut out = vec![0; window.rows.len() * pitch];
    resizer.resize_window(image, to, filter, &window, &mut out, pitch);
    out
}

fn whole((width, height): (usize, usize)) -> Window {
    Window { columns: 0..width, rows: 0..height }
}

const FILTERS: [Interpolation; 2] = [Interpolation::Bilinear, Interpolation::Bicubic];

/// Sizes before and after: columns first, reductions, enlargements, single pixels, an axis that stays.
const SIZES: [((usize, usize), (usize, usize)); 14] = [
    ((19, 180), (60, 40)),
    ((90, 220), (80, 33)),
    ((50, 37), (34, 25)),
    ((37, 50), (25, 34)),
    ((1, 1), (9, 5)),
    ((1, 40), (8, 320)),
    ((300, 1), (64, 3)),
    ((5, 3), (64, 48)),
    ((64, 64), (64, 31)),
    ((64, 64), (31, 64)),
    ((40, 30), (40, 30)),
    ((501, 7), (33, 32)),
    ((13, 200), (32, 11)),
    ((2, 2), (1, 1)),
];

#[test]
fn a_window_equals_the_same_part_of_the_whole() {
    let mut resizer = Resizer::new();
    for (seed, (from, to)) in SIZES.into_iter().enumerate() {
        let image = noise(from.0, from.1, seed as u64);
        for filter in FILTERS {
            let full = resized(&mut resizer, &image, to, filter, whole(to));
            let window = Window { columns: to.0 / 3..to.0 - to.0 / 4, rows: to.1 / 4..to.1 - to.1 / 3 };
            let expected: Vec<u8> = window
                .rows
                .clone()
                .flat_map(|y| {
                    full[(y * to.0 + window.columns.start) * CHANNELS..][..window.columns.len() * CHANNELS].to_vec()
                })
                .collect();
            assert_eq!(resized(&mut resizer, &image, to, filter, window), expected, "{from:?} to {to:?}, {filter}");
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn avx2_equals_scalar() {
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    let (mut plain, mut fast) = (Resizer::with(Instructions::Scalar), Resizer::with(Instructions::Avx2));
    for (seed, (from, to)) in SIZES.into_iter().enumerate() {
        let image = noise(from.0, from.1, seed as u64);
        for filter in FILTERS {
            let expected = resized(&mut plain, &image, to, filter, whole(to));
            assert_eq!(resized(&mut fast, &image, to, filter, whole(to)), expected, "{from:?} to {to:?}, {filter}");
        }
    }
}

#[test]
fn a_size_that_stays_is_a_copy() {
    let image = noise(20, 10, 7);
    let size = (20, 10);
    assert_eq!(resized(&mut Resizer::new(), &image, size, Interpolation::Bicubic, whole(size)), image.pixels);
}

#[test]
fn one_colour_stays_one_colour() {
    for filter in FILTERS {
        let image = Rgb { width: 31, height: 17, pixels: [200, 3, 255].repeat(31 * 17) };
        let out = resized(&mut Resizer::new(), &image, (77, 5), filter, whole((77, 5)));
        assert_eq!(out, [200, 3, 255].repeat(77 * 5), "{filter}");
    }
}

#[test]
fn a_rectangle_is_resized_as_if_it_were_all_there_is() {
    let image = noise(61, 47, 3);
    let regions = [(0, 0, 61, 47), (7, 5, 31, 29), (30, 18, 31, 29), (60, 46, 1, 1), (0, 40, 61, 7), (52, 0, 9, 47)];
    for mut resizer in [Resizer::with(Instructions::Scalar), Resizer::new()] {
        for (left, top, width, height) in regions {
            let region = Region { left, top, width, height };
            let rows = image.pixels.chunks(61 * CHANNELS).skip(top).take(height);
            let pixels = rows.flat_map(|row| row[left * CHANNELS..][..width * CHANNELS].to_vec()).collect();
            let alone = Rgb { width, height, pixels };
            for (filter, to) in FILTERS.into_iter().flat_map(|f| [(f, (24, 24)), (f, (width, 50)), (f, (50, height))]) {
                let expected = resized(&mut resizer, &alone, to, filter, whole(to));
                let mut out = vec![0; to.0 * to.1 * CHANNELS];
                resizer.resize_window(image.cut(region), to, filter, &whole(to), &mut out, to.0 * CHANNELS);
                assert_eq!(out, expected, "{region:?} to {to:?}, {filter}");
            }
        }
    }
}
