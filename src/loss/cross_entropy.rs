//! Softmax cross-entropy against one class, smoothed or not, or against soft targets.

use super::Loss;

/// Logarithms of an image's class probabilities.
pub(super) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    // What is subtracted cancels: the largest keeps every exponential at most 1.
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = logits.iter().map(|&logit| f64::from(logit) - f64::from(largest));
    let log_sum = shifted.clone().map(f64::exp).sum::<f64>().ln();
    shifted.map(|shifted| shifted - log_sum).collect()
}

/// `(1 - smoothing) * -log p(label) + smoothing * mean(-log p)`, the mean over the batch.
pub(super) fn hard(logits: &[f32], classes: usize, labels: &[usize], smoothing: f64) -> Loss {
    let spread = smoothing / classes as f64;
    weighted(logits, classes, |image, class| {
        let own = if labels[image] == class { 1.0 - smoothing } else { 0.0 };
        own + spread
    })
}

/// `-sum(target * log p)`, the mean over the batch.
pub(super) fn soft(logits: &[f32], classes: usize, targets: &[f32]) -> Loss {
    weighted(logits, classes, |image, class| f64::from(targets[image * classes + class]))
}

fn weighted(logits: &[f32], classes: usize, target: impl Fn(usize, usize) -> f64) -> Loss {
    let share = classes as f64 / logits.len() as f64;
    let mut loss = Loss { value: 0.0, gradient: Vec::with_capacity(logits.len()) };
    for (image, logits) in logits.chunks_exact(classes).enumerate() {
        let log_p = log_softmax(logits);
        let total: f64 = (0..classes).map(|class| target(image, class)).sum();
        for (class, &log_p) in log_p.iter().enumerate() {
            let target = target(image, class);
            if target != 0.0 {
                loss.value -= share * target * log_p;
            }
            loss.gradient.push((share * (total * log_p.exp() - target)) as f32);
        }
    }
    loss
}
