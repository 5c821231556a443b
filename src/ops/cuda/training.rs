//! Launches of training.cu, binary_cross_entropy.cu and jensen_shannon.cu: what surrounds a training step's passes, and
//! its other losses.

use anyhow::{Result, bail};

use super::element::Element;
use super::launch::{Builder, EIGHT, Launch, Region};
use super::optimizer::STATE;
use crate::ops::training::LossRule;

/// `MOST_SPLITS` of jensen_shannon.cu.
const MOST_SPLITS: usize = 16;
/// f32 of a batch's control.
const CONTROL: usize = 3;

/// Makes `count` f32 zeros, whole segments.
pub fn zero(count: usize, values: &Region) -> Result<Launch> {
    Builder::plain("zero", count)
        .words(values, count)
        .int(count)
        .require(count.is_multiple_of(EIGHT), || format!("{count} values are no multiple of {EIGHT}"))
        .threads(count / EIGHT)
}

/// Begins an update without a loss.
pub fn begin_update(state: &Region) -> Result<Launch> {
    Builder::plain("begin_update", "an update").words(state, STATE).float(0.0).grid([1, 1, 1])
}

/// Copies `count` f32 of running statistics; with `state`, where the update's gradients were not finite.
pub fn keep_running(count: usize, [from, to]: [&Region; 2], state: Option<&Region>) -> Result<Launch> {
    Builder::plain("keep_running", count)
        .words(from, count)
        .words(to, count)
        .optional_words(state, STATE)
        .int(count)
        .require(count.is_multiple_of(EIGHT), || format!("{count} values are no multiple of {EIGHT}"))
        .threads(count / EIGHT)
}

/// Takes a batch's learning rate and share over into the state.
pub fn begin_batch(control: &Region, state: &Region) -> Result<Launch> {
    Builder::plain("begin_batch", "a batch").words(control, CONTROL).words(state, STATE).grid([1, 1, 1])
}

/// Adds the mean of a batch's losses, times its share, to the state's loss.
pub fn end_batch(batch: usize, losses: &Region, control: &Region, state: &Region) -> Result<Launch> {
    Builder::plain("end_batch", format_args!("[{batch}]"))
        .words(losses, batch)
        .words(control, CONTROL)
        .words(state, STATE)
        .int(batch)
        .grid([1, 1, 1])
}

/// Adds `count` values of the element to sums in f32.
pub fn accumulate(element: Element, count: usize, values: &Region, sums: &Region) -> Result<Launch> {
    Builder::new("accumulate", element, count)
        .values(values, count)
        .words(sums, count)
        .int(count)
        .require(count.is_multiple_of(EIGHT), || format!("{count} values are no multiple of {EIGHT}"))
        .threads(count / EIGHT)
}

/// Binary cross-entropy of logits `[batch, classes]` against classes (i32, where the flag says so) or soft targets
/// (f32), and its gradient times `scale`. Results: each image's loss, whether its logits are finite, the gradient.
pub fn binary_cross_entropy(
    [batch, classes]: [usize; 2],
    logits: &Region,
    (targets, are_classes): (&Region, bool),
    rule: LossRule,
    scale: &Region,
    [losses, finite, gradient]: [&Region; 3],
) -> Result<Launch> {
    let LossRule::Binary { smoothing, threshold, sum, positive_weight } = rule else {
        bail!("{rule:?} is no binary loss")
    };
    Builder::plain("binary_cross_entropy", format_args!("[{batch}, {classes}]"))
        .words(logits, batch * classes)
        .optional_words(are_classes.then_some(targets), batch)
        .optional_words((!are_classes).then_some(targets), batch * classes)
        .float(smoothing)
        .float(threshold.unwrap_or(-1.0))
        .float(positive_weight)
        .float(if sum { 1.0 } else { classes as f32 })
        .words(scale, 1)
        .words(losses, batch)
        .words(finite, batch)
        .words(gradient, batch * classes)
        .ints([batch, classes])
        .require(classes > 0, || "no class".to_owned())
        .grid([batch, 1, 1])
}

/// Cross-entropy of the first split plus the Jensen-Shannon divergence of all, for logits `[batch, classes]`, split after
/// split, against a class an image (i32); the gradient times `scale`. Results: of each row its image's loss, whether the
/// image's logits are finite, and the gradient.
pub fn jensen_shannon(
    [batch, classes]: [usize; 2],
    logits: &Region,
    labels: &Region,
    rule: LossRule,
    scale: &Region,
    [losses, finite, gradient]: [&Region; 3],
) -> Result<Launch> {
    let LossRule::JensenShannon { splits, smoothing } = rule else { bail!("{rule:?} is no loss of splits") };
    let images = batch / splits.max(1);
    Builder::plain("jensen_shannon", format_args!("[{batch}, {classes}] in {splits} splits"))
        .require((2..=MOST_SPLITS).contains(&splits), || format!("splits are from 2 to {MOST_SPLITS}"))
        .require(images * splits == batch, || format!("a batch of {batch} images cannot be split in {splits}"))
        .words(logits, batch * classes)
        .words(labels, images)
        .float(smoothing)
        .words(scale, 1)
        .words(losses, batch)
        .words(finite, batch)
        .words(gradient, batch * classes)
        .ints([images, splits, classes])
        .require(classes > 0, || "no class".to_owned())
        .grid([images, 1, 1])
}
