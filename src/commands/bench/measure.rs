//! Warm up until it is stable, then measure.

use std::fmt;
use std::time::Instant;

use anyhow::Result;

/// A median with its spread, in images per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Measurements.
    pub n: usize,
}

/// Two batches in a row are alike where the slower takes at most so much longer.
const ALIKE: f64 = 1.1;
/// The warm-up ends after so many times its least length, alike or not.
const PATIENCE: usize = 5;

impl Figure {
    /// Of at least one speed.
    pub fn of(speeds: &[f64]) -> Self {
        let mut speeds = speeds.to_vec();
        speeds.sort_by(f64::total_cmp);
        let n = speeds.len();
        let at = |place: usize| speeds.get(place).copied().unwrap_or(f64::NAN);
        // Of an even number, the mean of the middle two.
        let median = 0.5 * (at((n.max(1) - 1) / 2) + at(n / 2));
        Self { median, min: at(0), max: at(n.max(1) - 1), n }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max, n } = self;
        f.pad(&format!("{median:.1} ({min:.1} to {max:.1}, n={n})"))
    }
}

/// Runs `batch`, which returns how many images it was: at least `warmup` times unmeasured, until two in a row take
/// times within 10 %, then `iters` times measured. Returns the images per second of each measurement. An interruption
/// ends it after the next one.
pub fn time(
    warmup: usize,
    iters: usize,
    interrupted: impl Fn() -> bool,
    mut batch: impl FnMut() -> Result<usize>,
) -> Result<Vec<f64>> {
    let mut speed = || -> Result<f64> {
        let started = Instant::now();
        let images = batch()?;
        Ok(images as f64 / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE))
    };
    warm_up(warmup, &interrupted, &mut speed)?;
    let mut speeds = Vec::with_capacity(iters);
    while speeds.len() < iters {
        speeds.push(speed()?);
        if interrupted() {
            break;
        }
    }
    Ok(speeds)
}

/// Runs `speed` at least `least` times, until it gives two alike in a row.
fn warm_up(least: usize, interrupted: &impl Fn() -> bool, speed: &mut impl FnMut() -> Result<f64>) -> Result<()> {
    let mut last = f64::INFINITY;
    for done in 1..=least * PATIENCE {
        let now = speed()?;
        let alike = now.max(last) <= ALIKE * now.min(last);
        if interrupted() || (done >= least && alike) {
            break;
        }
        last = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::Context;

    use super::*;

    #[test]
    fn the_median_stands_between_the_extremes() {
        assert_eq!(Figure::of(&[3.0, 1.0, 2.0]), Figure { median: 2.0, min: 1.0, max: 3.0, n: 3 });
        assert_eq!(Figure::of(&[4.0, 1.0, 2.0, 3.0]), Figure { median: 2.5, min: 1.0, max: 4.0, n: 4 });
        assert_eq!(Figure::of(&[7.0]).to_string(), "7.0 (7.0 to 7.0, n=1)");
    }

    #[test]
    fn warming_up_goes_on_until_two_batches_are_alike() {
        let runs = |least, speeds: &[f64]| {
            let mut left = speeds.iter();
            warm_up(least, &|| false, &mut || left.next().copied().context("asked for more")).unwrap();
            speeds.len() - left.len()
        };
        assert_eq!(runs(2, &[25.0, 100.0, 25.0, 100.0, 50.0, 52.0, 52.0]), 6);
        assert_eq!(runs(3, &[50.0, 50.0, 50.0, 50.0]), 3, "no fewer than asked for");
        assert_eq!(runs(1, &[10.0, 20.0, 10.0, 20.0, 10.0, 20.0]), 5, "not for ever");
        assert_eq!(runs(0, &[10.0]), 0);
    }

    #[test]
    fn an_interruption_ends_the_measurements_after_one() {
        let runs = Cell::new(0);
        let batch = || {
            runs.set(runs.get() + 1);
            Ok(4)
        };
        let speeds = time(3, 100, || true, batch).unwrap();
        assert_eq!((speeds.len(), runs.get()), (1, 2));
    }
}
