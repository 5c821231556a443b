//! Training losses, as timm defines them: the mean over a batch and its gradient at the logits.
//!
//! All sums run in f64 over one image after the other, so that no result depends on the number of threads, and logits
//! of any size neither overflow nor cancel. Logits that are not finite give a loss that is not finite: the caller
//! decides what a bad step means.

mod binary;
mod cross_entropy;
mod jsd;
mod soft_targets;

use anyhow::{Result, bail, ensure};

pub use binary::BinaryCrossEntropy;
pub use soft_targets::mixed_targets;

/// A batch's loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The mean over the batch.
    pub value: f64,
    /// Its derivative at each logit, `[batch, classes]`.
    pub gradient: Vec<f32>,
}

/// What the images of a batch show.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// One class an image.
    Classes(&'a [usize]),
    /// A weight for each class, `[batch, classes]`: see [`mixed_targets`].
    Soft(&'a [f32]),
}

/// Which loss a run minimises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    /// Softmax cross-entropy. `smoothing` of each target is spread evenly over all classes; soft targets are smoothed
    /// already (timm's `LabelSmoothingCrossEntropy` and `SoftTargetCrossEntropy`).
    CrossEntropy { smoothing: f64 },
    /// Each class on its own, by its logistic (timm's `BinaryCrossEntropy`).
    Binary(BinaryCrossEntropy),
    /// Cross-entropy of the batch's first split plus the Jensen-Shannon divergence of all `splits`, which are the same
    /// images, augmented differently (AugMix, Hendrycks et al., arXiv 1912.02781).
    JensenShannon { splits: usize, smoothing: f64 },
}

impl Criterion {
    /// The loss of `logits` `[batch, classes]`.
    ///
    /// # Errors
    ///
    /// If the shapes do not fit each other, a class is out of range, or the Jensen-Shannon loss is given soft targets.
    pub fn loss(&self, logits: &[f32], classes: usize, targets: Targets) -> Result<Loss> {
        ensure!(classes > 0 && !logits.is_empty(), "a loss needs at least one image and one class");
        ensure!(
            logits.len().is_multiple_of(classes),
            "{} logits are no whole number of images of {classes} classes",
            logits.len()
        );
        let batch = logits.len() / classes;
        match targets {
            Targets::Classes(labels) => {
                ensure!(labels.len() == batch, "{} labels were given for {batch} images", labels.len());
                if let Some(label) = labels.iter().find(|&&label| label >= classes) {
                    bail!("class {label} is out of range: the network tells {classes} classes apart, from 0");
                }
            }
            Targets::Soft(weights) => {
                ensure!(weights.len() == logits.len(), "the soft targets have not the logits' shape");
            }
        }
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Ok(Loss { value: f64::NAN, gradient: vec![f32::NAN; logits.len()] });
        }
        match (self, targets) {
            (Self::CrossEntropy { smoothing }, Targets::Classes(labels)) => {
                Ok(cross_entropy::hard(logits, classes, labels, *smoothing))
            }
            (Self::CrossEntropy { .. }, Targets::Soft(weights)) => Ok(cross_entropy::soft(logits, classes, weights)),
            (Self::Binary(binary), targets) => Ok(binary.loss(logits, classes, targets)),
            (Self::JensenShannon { splits, smoothing }, Targets::Classes(labels)) => {
                jsd::loss(logits, classes, labels, *splits, *smoothing)
            }
            (Self::JensenShannon { .. }, Targets::Soft(_)) => {
                bail!("the Jensen-Shannon loss needs one class an image: it does not go with mixup or cutmix")
            }
        }
    }
}
