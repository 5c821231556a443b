//! Jensen-Shannon divergence of an image's predictions under several augmentations, beside cross-entropy.

use anyhow::{Result, ensure};

use super::{Loss, cross_entropy};

/// The divergence's weight: AugMix's and timm's.
const ALPHA: f64 = 12.0;
/// The mixture is kept above it, so that no divergence explodes.
const SMALLEST_MIXTURE: f64 = 1e-7;

/// `cross-entropy(first split) + 12 * mean over splits of KL(split || mixture of the splits)`.
pub(super) fn loss(logits: &[f32], classes: usize, labels: &[usize], splits: usize, smoothing: f64) -> Result<Loss> {
    ensure!(splits > 1, "the Jensen-Shannon loss needs at least two splits, not {splits}: set --aug-splits 3");
    let batch = logits.len() / classes;
    ensure!(batch.is_multiple_of(splits), "a batch of {batch} images cannot be split in {splits}");
    let images = batch / splits;
    let split_len = images * classes;
    let mut loss = cross_entropy::hard(&logits[..split_len], classes, &labels[..images], smoothing);
    loss.gradient.resize(logits.len(), 0.0);
    let share = ALPHA / (splits * images) as f64;
    for image in 0..images {
        let starts = (0..splits).map(|split| split * split_len + image * classes);
        let log_p: Vec<Vec<f64>> =
            starts.clone().map(|start| cross_entropy::log_softmax(&logits[start..start + classes])).collect();
        let mixture: Vec<f64> = (0..classes)
            .map(|class| log_p.iter().map(|log_p| log_p[class].exp()).sum::<f64>() / splits as f64)
            .collect();
        for (start, log_p) in starts.zip(&log_p) {
            // The derivative at the probabilities; through the mixture it is -1 where that is not held.
            let at_p: Vec<f64> = log_p
                .iter()
                .zip(&mixture)
                .map(|(log_p, &mixture)| {
                    let held = if mixture < SMALLEST_MIXTURE { 1.0 } else { 0.0 };
                    log_p - mixture.max(SMALLEST_MIXTURE).ln() + held
                })
                .collect();
            let mean: f64 = log_p.iter().zip(&at_p).map(|(log_p, at_p)| log_p.exp() * at_p).sum();
            for (class, (log_p, at_p)) in log_p.iter().zip(&at_p).enumerate() {
                let p = log_p.exp();
                loss.value += share * p * (log_p - mixture[class].max(SMALLEST_MIXTURE).ln());
                loss.gradient[start + class] += (share * p * (at_p - mean)) as f32;
            }
        }
    }
    Ok(loss)
}
