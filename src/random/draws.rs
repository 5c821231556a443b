//! A sequence of draws: numbers, choices and variates.

use super::{GAMMA, fnv1a, gauss, mix, normal, unit};

/// A sequence of draws that belongs to one thing in one epoch.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The draws for `purpose` ("crop", "mixup", ...) of place `place` in epoch `epoch`. A place is a number that no
    /// other draw of the epoch and purpose has: a sample's place in the epoch's order where samples are repeated, so
    /// that each repetition has draws of its own.
    pub fn new(seed: u64, epoch: u64, place: u64, purpose: &str) -> Self {
        Self { state: [fnv1a(purpose), epoch, place].into_iter().fold(mix(seed), |state, part| mix(state ^ part)) }
    }

    /// 64 random bits: SplitMix64.
    pub fn bits(&mut self) -> u64 {
        let bits = mix(self.state);
        self.state = self.state.wrapping_add(GAMMA);
        bits
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform between `low` and `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with the given probability: never at 0, always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from 0 to `end - 1`, each as likely as any other; 0 where `end` is 0 (Lemire 2019).
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        // The products that would favour some numbers: 2^64 modulo `end` of them.
        let unfair = if end == 0 { 0 } else { end.wrapping_neg() % end };
        loop {
            let product = u128::from(self.bits()) * u128::from(end);
            if product as u64 >= unfair {
                return (product >> 64) as usize;
            }
        }
    }

    /// A normal variate.
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * normal(self.bits())
    }

    /// Fills `values` with standard normal variates.
    pub fn fill_normal(&mut self, values: &mut [f32]) {
        for values in values.chunks_mut(2 * gauss::PAIRS) {
            let mut bits = [0; gauss::PAIRS];
            // The same draws, however many values there are at once.
            bits[..values.len().div_ceil(2)].fill_with(|| self.bits());
            for (value, variate) in values.iter_mut().zip(gauss::pairs(&bits).as_flattened()) {
                *value = *variate;
            }
        }
    }

    /// The logarithm of a gamma variate of scale 1 and a `shape` above 0 (Marsaglia and Tsang 2000): small shapes
    /// give variates that only their logarithms can hold.
    pub fn log_gamma_variate(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.log_gamma_variate(shape + 1.0) + (1.0 - self.unit()).ln() / shape;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal(0.0, 1.0);
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln();
            }
        }
    }

    /// A beta variate, in [0, 1]; both shapes above 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.log_gamma_variate(a), self.log_gamma_variate(b));
        1.0 / (1.0 + (y - x).exp())
    }

    /// Shares of a whole, all of the Dirichlet concentration `shape`, above 0.
    pub fn shares(&mut self, count: usize, shape: f64) -> Vec<f64> {
        let logarithms: Vec<f64> = (0..count).map(|_| self.log_gamma_variate(shape)).collect();
        let most = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logarithms.iter().map(|l| (l - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).collect()
    }

    /// Puts `items` into an order that is as likely as any other (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100_000;

    fn draws() -> Draws {
        Draws::new(1, 2, 3, "test")
    }

    fn moments(mut one: impl FnMut() -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..MANY).map(|_| one()).collect();
        let mean = values.iter().sum::<f64>() / MANY as f64;
        (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / MANY as f64)
    }

    #[test]
    fn every_part_of_the_name_makes_other_draws() {
        let first = |seed, epoch, place, purpose| Draws::new(seed, epoch, place, purpose).bits();
        let all =
            [first(1, 2, 3, "a"), first(2, 2, 3, "a"), first(1, 3, 3, "a"), first(1, 2, 4, "a"), first(1, 2, 3, "b")];
        for (n, bits) in all.iter().enumerate() {
            assert!(!all[..n].contains(bits), "{all:?}");
        }
        assert_eq!(first(1, 2, 3, "a"), all[0]);
    }

    #[test]
    fn the_first_draws_of_neighbouring_places_are_independent() {
        let firsts: Vec<f64> = (0..MANY as u64).map(|place| Draws::new(0, 0, place, "crop").unit()).collect();
        let (mean, variance) = moments({
            let mut next = firsts.iter();
            move || *next.next().unwrap()
        });
        let covariance =
            firsts.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum::<f64>() / (MANY - 1) as f64;
        assert!((mean - 0.5).abs() < 0.004, "{mean}");
        assert!((variance * 12.0 - 1.0).abs() < 0.02, "{variance}");
        assert!((covariance * 12.0).abs() < 0.015, "{covariance}");
    }

    #[test]
    fn whole_numbers_are_equally_likely() {
        let mut draws = draws();
        let mut counts = [0; 15];
        (0..MANY).for_each(|_| counts[draws.below(15)] += 1);
        let expected = MANY as f64 / 15.0;
        // The 0.1 % point of chi-squared with 14 degrees of freedom is 36.1.
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi < 36.1, "{counts:?}");
        assert_eq!((draws.below(1), draws.below(0)), (0, 0));
    }

    #[test]
    fn a_normal_variate_has_its_mean_and_deviation() {
        let mut draws = draws();
        let (mean, variance) = moments(|| draws.normal(9.0, 0.5));
        assert!((mean - 9.0).abs() < 0.007, "{mean}");
        assert!((variance / 0.25 - 1.0).abs() < 0.02, "{variance}");
    }

    #[test]
    fn a_beta_variate_has_its_moments_for_small_and_large_shapes() {
        let mut draws = draws();
        for (a, b) in [(0.1, 0.1), (0.2, 0.2), (0.8, 0.8), (1.0, 1.0), (4.0, 4.0), (2.0, 5.0), (0.5, 3.0)] {
            let (mean, variance) = moments(|| draws.beta(a, b));
            let expected = a * b / ((a + b).powi(2) * (a + b + 1.0));
            assert!((mean - a / (a + b)).abs() < 4.0 * (expected / MANY as f64).sqrt(), "{a}, {b}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{a}, {b}: variance {variance}, not {expected}");
        }
    }

    #[test]
    fn a_tiny_shape_gives_one_end_or_the_other() {
        let mut draws = draws();
        let (mean, _) = moments(|| {
            let x = draws.beta(1e-4, 1e-4);
            assert!((0.0..=1.0).contains(&x));
            x
        });
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }

    #[test]
    fn shares_make_a_whole_and_vary_as_dirichlet_says() {
        let mut draws = draws();
        let (mean, variance) = moments(|| {
            let shares = draws.shares(3, 1.0);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            shares[1]
        });
        assert!((mean - 1.0 / 3.0).abs() < 0.003, "{mean}");
        assert!((variance * 18.0 - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_shuffle_gives_every_order() {
        let mut draws = draws();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            draws.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // Standard deviation 31.
        assert!(counts.values().all(|n: &i32| (n - 1000).abs() < 125), "{counts:?}");
    }
}
