//! The largest batch that fits into a limit, by bisection that guesses well.
//!
//! Memory grows with the batch along a straight line but for a few per cent, so the next batch to try is where the line
//! through those that fitted meets the limit. What fitted bounds the answer from below and what did not from
//! above, and each trial lies between: where there is no line yet in the middle, and where the line has failed below the
//! upper bound by steps that double. So the search ends, with a good line after one trial near the answer.

use anyhow::Result;

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It ran and took so many bytes at most.
    Took(u64),
    /// It was stopped at the limit.
    TooLarge,
}

/// The first batch that is tried. Smaller ones tell less: what a network takes for itself outweighs the images.
const FIRST: usize = 8;
/// The line is trusted as far as so many times the largest batch, where most of that one's memory was the images',
/// and not as far where it was the network's own: then the line may yet turn out to be steeper.
const REACH: usize = 32;
const NEAR: usize = 4;
/// A trial takes one part in so many less than the line gives: nearly as much, and it fits sooner.
const PARTS: usize = 100;
/// One part in so many more is not worth another trial.
const GAIN: usize = 50;

/// The largest batch, up to `most`, that `trial` finds to take at most `limit` bytes; at worst 1 in 50 below what the
/// line through the trials says. `None`: not even one image fits. Where the line says that `most` takes less than half
/// of the limit, `most` is the answer untried.
///
/// # Errors
/// Those of `trial`.
pub fn largest(limit: u64, most: usize, mut trial: impl FnMut(usize) -> Result<Trial>) -> Result<Option<usize>> {
    // Batches with their bytes, ascending.
    let mut fitted: Vec<(usize, u64)> = Vec::new();
    let mut too_large = most + 1;
    let mut back = 1;
    loop {
        let largest = fitted.last().map_or(0, |(batch, _)| *batch);
        let line = Line::through(&fitted);
        if line.is_some_and(|line| line.at(most) < limit as f64 / 2.0) && too_large > most {
            return Ok(Some(most));
        }
        let next = match line {
            None if fitted.is_empty() => FIRST,
            None => 2 * largest,
            Some(line) => {
                let reach = if line.is_of_images() { REACH } else { NEAR };
                let meets = line.meets(limit as f64).min((reach * largest) as f64) as usize;
                meets - meets / PARTS
            }
        };
        let next = if next < too_large {
            next
        } else if too_large > most {
            most
        } else if line.is_none() {
            (largest + too_large) / 2
        } else {
            back *= 2;
            too_large - (too_large / PARTS * back).clamp(1, (too_large - largest).div_ceil(2))
        };
        // Nothing is left between the bounds, or nothing that the line would give, or too little.
        if next <= largest || (next - largest) * GAIN <= largest {
            return Ok((largest > 0).then_some(largest));
        }
        match trial(next)? {
            Trial::Took(bytes) if bytes <= limit => fitted.push((next, bytes)),
            _ => too_large = next,
        }
    }
}

/// The largest batch up to `computed` that `runs`, by steps of 1 in 50 down. `None`: not even one image does.
///
/// # Errors
/// Those of `runs`.
pub fn largest_that_runs(computed: usize, mut runs: impl FnMut(usize) -> Result<bool>) -> Result<Option<usize>> {
    let mut batch = computed;
    while batch > 0 {
        if runs(batch)? {
            return Ok(Some(batch));
        }
        batch -= (batch / GAIN).max(1);
    }
    Ok(None)
}

/// Bytes over images.
#[derive(Clone, Copy)]
struct Line {
    batch: f64,
    bytes: f64,
    slope: f64,
}

impl Line {
    /// Through the last and the last before it of at most half its images, so that noise does not tilt the line; none
    /// where it does not rise.
    fn through(fitted: &[(usize, u64)]) -> Option<Self> {
        let (last, earlier) = fitted.split_last()?;
        let before = earlier.iter().rfind(|(batch, _)| 2 * batch <= last.0).or(earlier.last())?;
        let (batch, bytes) = (last.0 as f64, last.1 as f64);
        let slope = (bytes - before.1 as f64) / (batch - before.0 as f64);
        (slope > 0.0).then_some(Self { batch, bytes, slope })
    }

    /// Whether at least half of the memory grows with the batch.
    fn is_of_images(self) -> bool {
        self.slope * self.batch >= self.bytes / 2.0
    }

    fn at(self, batch: usize) -> f64 {
        self.bytes + self.slope * (batch as f64 - self.batch)
    }

    fn meets(self, bytes: f64) -> f64 {
        self.batch + (bytes - self.bytes) / self.slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer and the batches that were tried, for a machine that stops what takes more than `limit`.
    fn searched(limit: u64, most: usize, memory: impl Fn(usize) -> u64) -> (Option<usize>, Vec<usize>) {
        let mut tried = Vec::new();
        let found = largest(limit, most, |batch| {
            tried.push(batch);
            let bytes = memory(batch);
            Ok(if bytes <= limit { Trial::Took(bytes) } else { Trial::TooLarge })
        });
        (found.unwrap(), tried)
    }

    #[test]
    fn a_straight_line_takes_one_trial_near_the_answer() {
        // tresnet_m's, nearly: 298 images fit.
        let (found, tried) = searched(17_180, 65_536, |batch| 446 + 56 * batch as u64);
        assert_eq!(tried, [8, 16, 296]);
        assert_eq!(found, Some(296));
        let (found, _) = searched(1000, 65_536, |batch| 100 + 12 * batch as u64);
        assert_eq!(found, Some(75), "a small answer is exact");
        // Most of the memory is the network's own: the line is trusted step by step.
        let (found, tried) = searched(2000, 65_536, |batch| 190 + batch as u64);
        assert_eq!((found, tried), (Some(1792), vec![8, 16, 64, 254, 1792]));
    }

    #[test]
    fn noise_that_is_not_monotonic_neither_stops_nor_misleads_it() {
        for seed in 0..200_u64 {
            let noise = |batch: usize| (batch as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
            let memory = |batch: usize| 3_000 + 100 * batch as u64 + noise(batch) * (batch as u64 / 64 + 1) / 4;
            let (found, tried) = searched(100_000, 65_536, memory);
            let found = found.unwrap();
            assert!(memory(found) <= 100_000, "{seed}: {found} does not fit");
            assert!((900..=970).contains(&found), "{seed}: {found} after {tried:?}");
            assert!(tried.len() < 12, "{seed}: {tried:?}");
        }
    }

    #[test]
    fn memory_that_bends_upwards_is_followed() {
        let (found, tried) = searched(1_000_000, 65_536, |batch| (batch * batch) as u64);
        assert!((970..=1000).contains(&found.unwrap()), "{found:?} after {tried:?}");
        assert!(tried.len() < 12, "{tried:?}");
    }

    #[test]
    fn where_nothing_fits_there_is_no_answer() {
        assert_eq!(searched(50, 65_536, |batch| 100 + batch as u64), (None, vec![8, 4, 2, 1]));
    }

    #[test]
    fn few_images_are_found_one_by_one() {
        for answer in 1..40 {
            let (found, tried) = searched(answer, 65_536, |batch| batch as u64);
            assert_eq!(found, Some(answer as usize), "{tried:?}");
        }
    }

    #[test]
    fn where_everything_fits_the_most_is_the_answer() {
        assert_eq!(searched(1 << 40, 1024, |batch| 500 + batch as u64), (Some(1024), vec![8, 16]));
        let (found, tried) = searched(1 << 40, 1024, |_| 7);
        assert_eq!(found, Some(1024), "a level line: {tried:?}");
        assert_eq!(searched(1 << 40, 5, |_| 7).0, Some(5));
        // Within half of the limit it is tried.
        assert_eq!(searched(1500, 1024, |batch| batch as u64), (Some(1024), vec![8, 16, 507, 1024]));
    }

    #[test]
    fn what_was_computed_is_taken_back_until_it_runs() {
        let ran = |computed: usize, fits: usize| {
            let mut tried = Vec::new();
            let found = largest_that_runs(computed, |batch| {
                tried.push(batch);
                Ok(batch <= fits)
            });
            (found.unwrap(), tried)
        };
        assert_eq!(ran(1000, 1000), (Some(1000), vec![1000]));
        assert_eq!(ran(1000, 950), (Some(942), vec![1000, 980, 961, 942]));
        assert_eq!(ran(3, 1), (Some(1), vec![3, 2, 1]));
        assert_eq!((ran(2, 0), ran(0, 0)), ((None, vec![2, 1]), (None, vec![])));
        let error = largest_that_runs(9, |_| anyhow::bail!("broken")).unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }

    #[test]
    fn a_trial_that_fails_ends_the_search() {
        let error = largest(1, 1, |_| anyhow::bail!("broken")).unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}
