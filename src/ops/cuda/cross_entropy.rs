//! Launches of cross_entropy.cu: the room `loss` for training, `metrics` for evaluation. Logits are f32,
//! `[batch, classes]`.

use anyhow::Result;

use super::launch::{Builder, Launch, Region};

/// What the images show.
#[derive(Clone, Copy)]
pub enum Targets<'a> {
    /// A class an image, i32; `smoothing` of each is spread over all classes.
    Classes { labels: &'a Region, smoothing: f32 },
    /// A weight for each class, f32, smoothed already; `labels`, where given, are ranked.
    Soft { weights: &'a Region, labels: Option<&'a Region> },
}

/// What is found out for each image, `[batch]` each.
pub struct Outcome {
    /// f32, in nats.
    pub losses: Region,
    /// i32: how many classes come before the label; -1 where no class is the label.
    pub ranks: Region,
    /// i32: 1 where all logits are finite.
    pub finite: Region,
}

/// Where the gradient goes.
#[derive(Clone, Copy)]
pub struct Gradient<'a> {
    /// `[batch, classes]` in f32: of the batch's mean loss times the loss scale.
    pub out: &'a Region,
    /// One f32 on the device; 1 where none.
    pub scale: Option<&'a Region>,
}

/// The loss of each image, and with `gradient` its derivative. In training, an image with a logit that is not finite
/// has a loss and a gradient that are NaN, so that the step finds out; other images are as they are.
pub fn cross_entropy(
    [batch, classes]: [usize; 2],
    logits: &Region,
    targets: Targets,
    gradient: Option<Gradient>,
    outcome: &Outcome,
) -> Result<Launch> {
    let (labels, weights, smoothing) = match targets {
        Targets::Classes { labels, smoothing } => (Some(labels), None, smoothing),
        Targets::Soft { weights, labels } => (labels, Some(weights), 0.0),
    };
    Builder::plain("cross_entropy", format_args!("[{batch}, {classes}]"))
        .words(logits, batch * classes)
        .optional_words(labels, batch)
        .optional_words(weights, batch * classes)
        .float(smoothing)
        .optional_words(gradient.and_then(|gradient| gradient.scale), 1)
        .optional_words(gradient.map(|gradient| gradient.out), batch * classes)
        .words(&outcome.losses, batch)
        .words(&outcome.ranks, batch)
        .words(&outcome.finite, batch)
        .ints([batch, classes])
        .require(classes > 0, || "no class".to_owned())
        .grid([batch, 1, 1])
}

/// Numbers that [`count_losses`] keeps.
pub const TOTALS: usize = 5;

/// Adds a batch to `totals`, five f64: images, right at first, right among five, images with logits that are not
/// finite, and the sum of the losses.
pub fn count_losses(batch: usize, outcome: &Outcome, totals: &Region) -> Result<Launch> {
    Builder::plain("count_losses", format_args!("[{batch}]"))
        .words(&outcome.losses, batch)
        .words(&outcome.ranks, batch)
        .words(&outcome.finite, batch)
        .bytes(totals, TOTALS * size_of::<f64>())
        .int(batch)
        .grid([1, 1, 1])
}

/// The `count` best classes of each image, i32, and their scores, f32: `[batch, count]` each, best first.
pub fn top_k(
    [batch, classes]: [usize; 2],
    count: usize,
    logits: &Region,
    [best, scores]: [&Region; 2],
) -> Result<Launch> {
    Builder::plain("top_k", format_args!("[{batch}, {classes}]"))
        .words(logits, batch * classes)
        .words(best, batch * count)
        .words(scores, batch * count)
        .ints([classes, count])
        .require((1..=classes).contains(&count), || format!("there are no {count} best of {classes} classes"))
        .grid([batch, 1, 1])
}
