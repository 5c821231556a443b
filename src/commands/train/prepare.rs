//! From a loaded batch to what the network is shown: mixed, normalised, partly erased, with its targets.

use anyhow::Result;

use crate::augment::erase::RandomErasing;
use crate::augment::mix_batch;
use crate::augment::mixing::Mixing;
use crate::data::loader::Batch;
use crate::loss::{Targets, mixed_targets};
use crate::nn::Images;
use crate::ops::{Normalize, Shape};
use crate::random::Draws;

/// How batches are prepared.
pub struct Preparation {
    pub seed: u64,
    pub side: usize,
    pub classes: usize,
    pub smoothing: f64,
    pub mixing: Option<Mixing>,
    pub erasing: Option<RandomErasing>,
    /// Squares of each image in a batch.
    pub copies: usize,
    /// Whether the first copies are never erased.
    pub spare_first: bool,
    pub normalize: Normalize,
}

/// A batch as the network is shown it.
pub struct Prepared<'a> {
    batch: &'a Batch,
    /// `[batch, side, side, 3]`, where something was erased from the normalised images.
    floats: Option<Vec<f32>>,
    /// `[batch, classes]`, where images were mixed.
    soft: Option<Vec<f32>>,
    pub shape: Shape,
}

impl Preparation {
    /// Prepares a batch. What is random follows from the seed, the epoch and the images' positions in its order.
    pub fn prepare<'a>(&self, batch: &'a mut Batch, epoch: u64) -> Result<Prepared<'a>> {
        let shape = Shape::new(batch.size * self.copies, self.side, self.side, CHANNELS);
        self.split(batch, shape);
        let soft = match &self.mixing {
            Some(mixing) => {
                let mut draws = Draws::new(self.seed, epoch, batch.covers.start as u64, "mixing");
                let mixes = mixing.draw(epoch, batch.size, self.side, self.side, &mut draws);
                mix_batch(&mut batch.pixels, &mixes, self.side, self.side);
                let partners: Vec<usize> = batch.labels.iter().rev().copied().collect();
                let shares: Vec<f64> = mixes.iter().map(|mix| f64::from(mix.share)).collect();
                Some(mixed_targets(&batch.labels, &partners, &shares, self.classes, self.smoothing)?)
            }
            None => None,
        };
        let floats = self.erasing.as_ref().map(|erasing| self.erase(erasing, batch, shape, epoch));
        Ok(Prepared { batch, floats, soft, shape })
    }

    /// Brings the copies of all images together: first everything's first, then everything's second, as timm does.
    fn split(&self, batch: &mut Batch, shape: Shape) {
        if self.copies == 1 {
            return;
        }
        let image = shape.image_len();
        let mut pixels = vec![0; batch.pixels.len()];
        for (at, square) in batch.pixels.chunks_exact(image).enumerate() {
            let place = at % self.copies * batch.size + at / self.copies;
            pixels[place * image..][..image].copy_from_slice(square);
        }
        batch.pixels = pixels;
        batch.labels = batch.labels.repeat(self.copies);
    }

    /// Normalises, then erases: timm's noise is of the normalised space.
    fn erase(&self, erasing: &RandomErasing, batch: &Batch, shape: Shape, epoch: u64) -> Vec<f32> {
        let mut floats = vec![0.0; shape.len()];
        self.normalize.forward(&batch.pixels, shape, 1, &mut floats);
        // timm spares the first half where there are no copies.
        let spared = if self.spare_first { shape.batch / self.copies.max(2) } else { 0 };
        for (at, image) in floats.chunks_exact_mut(shape.image_len()).enumerate().skip(spared) {
            let place = batch.positions[at % batch.size] * self.copies + at / batch.size;
            let mut draws = Draws::new(self.seed, epoch, place as u64, "erasing");
            for erase in erasing.draw(self.side, self.side, &mut draws) {
                erase.apply(image, self.side);
            }
        }
        floats
    }
}

/// Channels of a decoded image.
pub const CHANNELS: usize = 3;

impl Prepared<'_> {
    pub fn images(&self) -> Images<'_> {
        match &self.floats {
            Some(floats) => Images::Floats(floats),
            None => Images::Bytes(&self.batch.pixels),
        }
    }

    pub fn targets(&self) -> Targets<'_> {
        self.soft.as_deref().map_or(Targets::Classes(&self.batch.labels), Targets::Soft)
    }
}
