//! The order of an epoch, as a function of the seed and the epoch's number.

use anyhow::{Result, bail, ensure};

use super::loader::Order;
use crate::random::Draws;

/// With repeats, an epoch is a multiple of so many images (`selected_round` of timm's `RepeatAugSampler`).
const ROUND: usize = 256;

/// Shuffles a data set anew for each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    images: u32,
    seed: u64,
    repeats: usize,
}

impl Sampler {
    /// A sampler of `images` images, each of which comes `repeats` times in a row.
    ///
    /// With one repeat, an epoch is every image once. With more it is repeated augmentation (Hoffer et al., arXiv
    /// 1901.09335) as timm's `RepeatAugSampler` does it in a single process: as long as before, but cut to a multiple
    /// of 256 images where there are as many, so that it comes to only a part of the images.
    ///
    /// # Errors
    ///
    /// No repeats, or more images than an order can number.
    pub fn new(images: usize, seed: u64, repeats: usize) -> Result<Self> {
        ensure!(repeats > 0, "--aug-repeats: each image comes at least once");
        let Ok(images) = u32::try_from(images) else {
            bail!("a data set of {images} images: at most {} can be shuffled", u32::MAX);
        };
        Ok(Self { images, seed, repeats })
    }

    /// Pictures in an epoch.
    pub fn len(&self) -> usize {
        let images = self.images as usize;
        if self.repeats > 1 && images >= ROUND { images / ROUND * ROUND } else { images }
    }

    /// Whether there is nothing to sample.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// The order of epoch number `epoch`.
    pub fn order(&self, epoch: u64) -> Order {
        let mut samples: Vec<u32> = (0..self.images).collect();
        Draws::new(self.seed, epoch, 0, "order").shuffle(&mut samples);
        let repeated = samples.into_iter().flat_map(|sample| std::iter::repeat_n(sample, self.repeats));
        Order::Given(repeated.take(self.len()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(images: usize, seed: u64, repeats: usize, epoch: u64) -> Vec<u32> {
        let sampler = Sampler::new(images, seed, repeats).unwrap();
        let Order::Given(samples) = sampler.order(epoch) else { panic!("a sampler gives an order of its own") };
        assert_eq!(samples.len(), sampler.len());
        samples.to_vec()
    }

    #[test]
    fn an_epoch_is_every_image_once() {
        for images in [0, 1, 2, 3, 255, 1000] {
            let mut all = samples(images, 42, 1, 3);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..images as u32), "{images} images");
        }
    }

    #[test]
    fn an_order_follows_from_seed_and_epoch() {
        let order = samples(100, 42, 1, 0);
        assert_eq!(order, samples(100, 42, 1, 0));
        assert_ne!(order, samples(100, 42, 1, 1));
        assert_ne!(order, samples(100, 43, 1, 0));
    }

    #[test]
    fn over_the_epochs_every_image_stands_in_every_place_equally_often() {
        const IMAGES: usize = 8;
        const EPOCHS: u64 = 8000;
        let mut counts = [[0u32; IMAGES]; IMAGES];
        for epoch in 0..EPOCHS {
            for (place, sample) in samples(IMAGES, 1, 1, epoch).into_iter().enumerate() {
                counts[place][sample as usize] += 1;
            }
        }
        let expected = EPOCHS as f64 / IMAGES as f64;
        // Rows and columns are fixed: 49 degrees of freedom times 8/7; the 0.1 % point of chi-squared is 85.4.
        let chi: f64 = counts.iter().flatten().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi * 7.0 / 8.0 < 85.4, "{chi}: {counts:?}");
    }

    #[test]
    fn neighbours_in_an_order_are_unrelated() {
        const IMAGES: usize = 50_000;
        let order = samples(IMAGES, 7, 1, 0);
        let middle = (IMAGES - 1) as f64 / 2.0;
        let product = |two: &[u32]| (f64::from(two[0]) - middle) * (f64::from(two[1]) - middle);
        let variance = (IMAGES as f64).powi(2) / 12.0;
        let correlation = order.windows(2).map(product).sum::<f64>() / (IMAGES as f64 * variance);
        // Its standard deviation is 1 / sqrt(50,000) = 0.0045.
        assert!(correlation.abs() < 0.018, "{correlation}");
        // A random order leaves one image at its own number, on average.
        let unmoved = order.iter().enumerate().filter(|&(place, &sample)| place == sample as usize).count();
        assert!(unmoved < 7, "{unmoved}");
    }

    #[test]
    fn repeats_stand_in_a_row_and_the_epoch_keeps_its_length() {
        let order = samples(1000, 42, 3, 5);
        assert_eq!(order.len(), 768, "three rounds of 256");
        let once: Vec<u32> = order.chunks(3).map(|three| three[0]).collect();
        assert!(order.chunks(3).all(|three| three.iter().all(|sample| sample == &three[0])));
        assert_eq!(once, samples(1000, 42, 1, 5)[..256]);
        // A small data set is not cut; the last image may come less often.
        let few = samples(10, 42, 3, 0);
        assert_eq!((few.len(), &few[9..]), (10, &samples(10, 42, 1, 0)[3..4]));
    }

    #[test]
    fn no_repeats_at_all_are_refused() {
        assert!(Sampler::new(10, 0, 0).unwrap_err().to_string().contains("--aug-repeats"));
    }
}
