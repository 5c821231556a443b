//! A batch's logits reduced where they are: ranks, losses and the best classes, so that a few numbers an image leave the
//! device.

use anyhow::{Result, ensure};

use crate::metrics::Verdict;
use crate::ops::cuda::cross_entropy::{Outcome, Targets, cross_entropy, top_k};
use crate::ops::cuda::softmax_terms::softmax_terms;
use crate::ops::cuda::{Launch, Region};

/// Where the numbers of a batch stand in one region, each array from a multiple of 16 bytes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdicts {
    pub batch: usize,
    pub classes: usize,
    /// Best classes that are kept of each image, at most `classes`; any number works, each costs a pass over the logits.
    pub kept: usize,
}

/// An array of 4-byte numbers in the region.
#[derive(Clone, Copy)]
struct Array {
    offset: usize,
    len: usize,
}

impl Verdicts {
    /// Losses, ranks, whether finite, softmax terms, best classes, their logits.
    fn arrays(&self) -> [Array; 6] {
        let Self { batch, kept, .. } = *self;
        let mut offset = 0;
        [batch, batch, batch, 2 * batch, kept * batch, kept * batch].map(|len| {
            let array = Array { offset, len };
            offset += (len * 4).next_multiple_of(16);
            array
        })
    }

    /// Bytes of the region.
    pub fn bytes(&self) -> usize {
        self.arrays().iter().map(|array| (array.len * 4).next_multiple_of(16)).sum()
    }

    /// What writes the region `out`, from logits `[batch, classes]` in f32 and labels `[batch]` in i32.
    ///
    /// # Errors
    /// If the memory is not what that needs.
    pub fn launches(&self, logits: &Region, labels: &Region, out: &Region) -> Result<Vec<Launch>> {
        let dims = [self.batch, self.classes];
        let part = |array: Array| out.part(array.offset, array.len * 4);
        let [losses, ranks, finite, terms, best, scores] = self.arrays();
        let outcome = Outcome { losses: part(losses)?, ranks: part(ranks)?, finite: part(finite)? };
        let targets = Targets::Classes { labels, smoothing: 0.0 };
        let mut launches =
            vec![cross_entropy(dims, logits, targets, None, &outcome)?, softmax_terms(dims, logits, &part(terms)?)?];
        if self.kept > 0 {
            launches.push(top_k(dims, self.kept, logits, [&part(best)?, &part(scores)?])?);
        }
        Ok(launches)
    }

    /// The first `images` of a region's verdicts.
    ///
    /// # Errors
    /// If the bytes are not a region's.
    pub fn parse(&self, bytes: &[u8], images: usize) -> Result<Vec<Verdict>> {
        ensure!(bytes.len() == self.bytes() && images <= self.batch, "{} bytes are no verdicts", bytes.len());
        let words = |array: Array| bytes[array.offset..][..array.len * 4].as_chunks::<4>().0;
        let [losses, ranks, finite, terms, best, scores] = self.arrays().map(words);
        let kept = |image: usize| image * self.kept..(image + 1) * self.kept;
        let verdict = |image: usize| Verdict {
            rank: usize::try_from(i32::from_le_bytes(ranks[image])).ok(),
            loss: f64::from(f32::from_le_bytes(losses[image])),
            finite: i32::from_le_bytes(finite[image]) != 0,
            // A class is never negative.
            classes: best[kept(image)].iter().map(|&class| u32::from_le_bytes(class) as usize).collect(),
            logits: scores[kept(image)].iter().map(|&score| f32::from_le_bytes(score)).collect(),
            largest: f64::from(f32::from_le_bytes(terms[2 * image])),
            sum: f64::from(f32::from_le_bytes(terms[2 * image + 1])),
        };
        Ok((0..images).map(verdict).collect())
    }
}
