//! How fast bytes come and go, after STREAM (McCalpin 1995): its copy and its triad, by the size of what is touched.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::ops::vectorized;

/// Bytes touched again and again: about what second-level caches, third-level caches and no caches hold.
const WORKING_SETS: [usize; 3] = [2 << 20, 16 << 20, 192 << 20];
/// Bytes that a try moves, at least: many times the smallest set, and yet less than the system lets a thread run at a time.
const MOVED: usize = 32 << 20;
/// The best of so many counts: neighbours on the machine only ever take away.
const TRIES: usize = 16;

/// What a working set of some size lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bandwidth {
    /// Of the working set.
    pub bytes: usize,
    /// Read and written a second by all cores together.
    pub bytes_per_second: f64,
}

/// The three arrays of a thread, as large as each other.
struct Arrays([Vec<f32>; 3]);

/// Measures each of the working sets, each thread in a part of its own.
pub fn measure() -> Vec<Bandwidth> {
    let threads = rayon::current_num_threads();
    let set = |bytes: usize| {
        let len = bytes / size_of::<f32>() / threads / 3;
        let mut parts: Vec<Arrays> =
            (0..threads).into_par_iter().map(|_| Arrays([0.5, 1.5, 2.5].map(|value| vec![value; len]))).collect();
        let repeats = MOVED.div_ceil(bytes);
        let mut best = 0.0_f64;
        for _ in 0..TRIES {
            best = best.max(rate(&mut parts, repeats, 2 * len, |Arrays([a, b, _])| a.copy_from_slice(b)));
            best = best.max(rate(&mut parts, repeats, 3 * len, |Arrays([a, b, c])| triad(a, b, c, black_box(0.5))));
        }
        Bandwidth { bytes, bytes_per_second: best }
    };
    WORKING_SETS.map(set).to_vec()
}

/// Bytes a second of `pass`, which moves `values` of each part.
fn rate(parts: &mut [Arrays], repeats: usize, values: usize, pass: impl Fn(&mut Arrays) + Sync) -> f64 {
    let bytes = parts.len() * repeats * values * size_of::<f32>();
    let started = Instant::now();
    parts.par_iter_mut().with_max_len(1).for_each(|arrays| {
        for _ in 0..repeats {
            pass(black_box(arrays));
        }
    });
    bytes as f64 / started.elapsed().as_secs_f64()
}

vectorized! {
    fn triad(a: &mut [f32], b: &[f32], c: &[f32], factor: f32) {
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = b + factor * c;
        }
    }
}
