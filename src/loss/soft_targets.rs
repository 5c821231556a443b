//! The targets of images that were mixed out of two.

use anyhow::{Result, ensure};

/// Soft targets `[batch, classes]` of images of which `shares[i]` is of class `labels[i]` and the rest of class
/// `partners[i]`. Each of the two is smoothed: `smoothing / classes` for every class, and `1 - smoothing` more for
/// its own (timm's `mixup_target`, whose partners are the batch's labels in reverse order).
///
/// # Errors
///
/// If the three slices differ in length or a class is out of range.
pub fn mixed_targets(
    labels: &[usize],
    partners: &[usize],
    shares: &[f64],
    classes: usize,
    smoothing: f64,
) -> Result<Vec<f32>> {
    ensure!(
        labels.len() == partners.len() && labels.len() == shares.len(),
        "{} labels, {} partners and {} shares are not one an image",
        labels.len(),
        partners.len(),
        shares.len()
    );
    let off = (smoothing / classes as f64) as f32;
    let on = (1.0 - smoothing + smoothing / classes as f64) as f32;
    let mut targets = Vec::with_capacity(labels.len() * classes);
    for ((&label, &partner), &share) in labels.iter().zip(partners).zip(shares) {
        ensure!(label < classes && partner < classes, "class {} is out of range", label.max(partner));
        let (share, rest) = (share as f32, (1.0 - share) as f32);
        let one_hot = |own: usize, class: usize| if class == own { on } else { off };
        targets.extend((0..classes).map(|class| one_hot(label, class) * share + one_hot(partner, class) * rest));
    }
    Ok(targets)
}
