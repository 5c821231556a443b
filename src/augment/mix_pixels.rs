//! Carrying out mixup and CutMix on a batch of bytes.

use rayon::prelude::*;

use super::mixing::Mix;
use crate::ops::vectorized;

/// Mixes `batch`, pictures of `height` rows of `width` pixels one after another, a [`Mix`] for each: picture `i` with
/// what picture `n - 1 - i` was before.
///
/// # Panics
///
/// When the batch is not as long as that, or a region leaves the picture: the caller's mistakes.
pub fn mix_batch(batch: &mut [u8], mixes: &[Mix], width: usize, height: usize) {
    let bytes = width * height * 3;
    assert_eq!(batch.len(), mixes.len() * bytes, "the batch's length");
    let half = mixes.len() / 2;
    if half == 0 || bytes == 0 {
        return;
    }
    let (first, second) = batch.split_at_mut(half * bytes);
    let partners = second.par_chunks_exact_mut(bytes).rev();
    let pairs = first.par_chunks_exact_mut(bytes).zip(partners).enumerate();
    pairs.for_each_init(Vec::new, |before: &mut Vec<u8>, (index, (one, other))| {
        let (mix, partners) = (&mixes[index], &mixes[mixes.len() - 1 - index]);
        if mix.rest == 0.0 && partners.rest == 0.0 {
            return;
        }
        before.clear();
        before.extend_from_slice(one);
        mix.apply(one, other, width);
        partners.apply(other, before, width);
    });
}

impl Mix {
    fn apply(&self, picture: &mut [u8], partner: &[u8], width: usize) {
        match self.region {
            None if self.rest == 0.0 => {}
            None => blend(picture, partner, self.share, self.rest),
            Some(region) => {
                let pitch = width * 3;
                for row in region.top..region.top + region.height {
                    let start = row * pitch + region.left * 3;
                    let cut = start..start + region.width * 3;
                    picture[cut.clone()].copy_from_slice(&partner[cut]);
                }
            }
        }
    }
}

vectorized! {
    /// `share * picture + rest * partner` in f32, halves to even.
    fn blend(picture: &mut [u8], partner: &[u8], share: f32, rest: f32) {
        // Added to a number, it leaves the number rounded in the lower bits: 1.5 * 2^23.
        const ROUND: f32 = 12_582_912.0;
        for (value, &other) in picture.iter_mut().zip(partner) {
            let mixed = f32::from(*value) * share + f32::from(other) * rest;
            *value = (mixed + ROUND).to_bits() as u8;
        }
    }
}
