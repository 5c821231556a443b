//! Binary cross-entropy: every class a question of its own.

use super::{Loss, Targets};

/// `BinaryCrossEntropy` of timm (Wightman et al., "ResNet strikes back", arXiv 2110.00476).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BinaryCrossEntropy {
    /// Spread over all classes where the target is one class; soft targets are smoothed already.
    pub smoothing: f64,
    /// Targets above it become 1 and the others 0.
    pub threshold: Option<f64>,
    /// Sum over the classes instead of their mean.
    pub sum: bool,
    /// What a positive counts more than a negative.
    pub positive_weight: Option<f64>,
}

impl BinaryCrossEntropy {
    pub(super) fn loss(&self, logits: &[f32], classes: usize, targets: Targets) -> Loss {
        let off = self.smoothing / classes as f64;
        let target = |at: usize| -> f64 {
            let target = match targets {
                Targets::Soft(targets) => f64::from(targets[at]),
                Targets::Classes(labels) if labels[at / classes] == at % classes => 1.0 - self.smoothing + off,
                Targets::Classes(_) => off,
            };
            match self.threshold {
                // In f32, as the targets are: a threshold equal to a target does not exceed it.
                Some(threshold) => f64::from(u8::from(target as f32 > threshold as f32)),
                None => target,
            }
        };
        let terms = if self.sum { logits.len() / classes } else { logits.len() };
        let share = 1.0 / terms as f64;
        let mut loss = Loss { value: 0.0, gradient: Vec::with_capacity(logits.len()) };
        for (at, &logit) in logits.iter().enumerate() {
            let (x, target) = (f64::from(logit), target(at));
            let weight = 1.0 + (self.positive_weight.unwrap_or(1.0) - 1.0) * target;
            // -log sigmoid(x), and sigmoid(x) - 1, without overflow on either side
            let decay = (-x.abs()).exp();
            let minus_log = decay.ln_1p() + (-x).max(0.0);
            let minus_other = if x > 0.0 { -decay / (1.0 + decay) } else { -1.0 / (1.0 + decay) };
            loss.value += share * ((1.0 - target) * x + weight * minus_log);
            loss.gradient.push((share * (1.0 - target + weight * minus_other)) as f32);
        }
        loss
    }
}
