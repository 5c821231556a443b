//! Counts of right answers and the loss, from logits.
//!
//! Order among scores is total, so that the same logits always give the same counts: a greater score first, of equal
//! scores the lower class first, and NaN before every number. `torch.topk` orders NaN and unequal scores the same way;
//! among equal scores it takes the lower class for k = 1 on the CPU, and promises nothing beyond.

use std::cmp::Ordering;

/// Running counts of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Images counted; unreadable ones are not.
    pub images: usize,
    /// Images whose best class is the label.
    pub correct1: usize,
    /// Images whose label is among the best five classes.
    pub correct5: usize,
    /// Images with a logit that is NaN or infinite.
    pub non_finite: usize,
    loss_sum: f64,
}

impl Counts {
    /// Counts one image. `logits` holds one number a class; a label beyond them is never right.
    pub fn add(&mut self, logits: &[f32], label: usize) {
        self.images += 1;
        self.non_finite += usize::from(logits.iter().any(|logit| !logit.is_finite()));
        if let Some(rank) = rank(logits, label) {
            self.correct1 += usize::from(rank < 1);
            self.correct5 += usize::from(rank < 5);
        }
        self.loss_sum += cross_entropy(logits, label);
    }

    /// Per cent; NaN before the first image.
    pub fn top1(&self) -> f64 {
        100.0 * self.correct1 as f64 / self.images as f64
    }

    /// Per cent; NaN before the first image.
    pub fn top5(&self) -> f64 {
        100.0 * self.correct5 as f64 / self.images as f64
    }

    /// Mean cross-entropy in nats; NaN before the first image.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }
}

/// The classes of the `k` best scores, best first; all classes where there are fewer.
fn top_k(scores: &[f32], k: usize) -> Vec<usize> {
    let k = k.min(scores.len());
    let mut classes: Vec<usize> = (0..scores.len()).collect();
    let by_rank = |&a: &usize, &b: &usize| better(scores[a], scores[b]).then(a.cmp(&b));
    if k > 0 && k < classes.len() {
        classes.select_nth_unstable_by(k - 1, by_rank);
    }
    classes.truncate(k);
    classes.sort_unstable_by(by_rank);
    classes
}

/// Softmax in f64, shifted by the maximum so that nothing overflows.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = maximum(logits);
    let powers: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// What a prediction's scores say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Softmax over all classes.
    Probability,
    /// The network's outputs as they are.
    Logit,
}

/// The best `k` classes of one image with their scores, best first.
pub fn predict(logits: &[f32], k: usize, kind: ScoreKind) -> (Vec<usize>, Vec<f32>) {
    let classes = top_k(logits, k);
    let scores = match kind {
        ScoreKind::Logit => classes.iter().map(|&class| logits[class]).collect(),
        ScoreKind::Probability => {
            let probabilities = softmax(logits);
            classes.iter().map(|&class| probabilities[class] as f32).collect()
        }
    };
    (classes, scores)
}

/// How many classes come before `label`; `None` where the network has no such class.
fn rank(scores: &[f32], label: usize) -> Option<usize> {
    let own = *scores.get(label)?;
    let before = |&(class, &score): &(usize, &f32)| match better(score, own) {
        Ordering::Less => true,
        Ordering::Equal => class < label,
        Ordering::Greater => false,
    };
    Some(scores.iter().enumerate().filter(before).count())
}

/// `Less` where `a` comes before `b`: NaN first, then by falling score.
fn better(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// -log softmax(logits)[label] in f64; infinite where the network has no such class.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let Some(&own) = logits.get(label) else {
        return f64::INFINITY;
    };
    let max = maximum(logits);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
    max + sum.ln() - f64::from(own)
}

fn maximum(logits: &[f32]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, |max, logit| max.max(f64::from(logit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_classes_come_first_and_of_equals_the_lower_class() {
        assert_eq!(top_k(&[0.1, 0.7, 0.2, 0.7, -1.0], 3), [1, 3, 2]);
        assert_eq!(top_k(&[1.0; 6], 4), [0, 1, 2, 3]);
        assert_eq!(top_k(&[f32::NEG_INFINITY, f32::NAN, 3.0], 2), [1, 2]);
        assert_eq!(top_k(&[0.5, 0.6], 5), [1, 0]);
        assert!(top_k(&[], 5).is_empty() && top_k(&[1.0], 0).is_empty());
    }

    #[test]
    fn the_rank_is_the_place_in_the_sorted_classes() {
        let scores = [0.5, f32::NAN, 0.5, -0.0, 0.0, f32::INFINITY, f32::NAN, -3.0];
        let sorted = top_k(&scores, scores.len());
        for (place, &class) in sorted.iter().enumerate() {
            assert_eq!(rank(&scores, class), Some(place), "class {class}");
        }
        assert_eq!(rank(&scores, 8), None);
    }

    #[test]
    fn counts_follow_ranks_and_the_loss_is_the_mean() {
        let mut counts = Counts::default();
        let logits = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        for label in [0, 1, 4, 5] {
            counts.add(&logits, label);
        }
        assert_eq!((counts.images, counts.correct1, counts.correct5), (4, 1, 3));
        assert_eq!((counts.top1(), counts.top5()), (25.0, 75.0));
        // The mean of log(sum exp) - logit[label]; those logits are 6, 5, 2 and 1.
        let log_sum = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
        assert!((counts.loss() - (log_sum - 3.5)).abs() < 1e-12, "{}", counts.loss());
    }

    #[test]
    fn huge_logits_neither_overflow_nor_vanish() {
        let mut counts = Counts::default();
        counts.add(&[1e30, 0.0], 0);
        assert_eq!(counts.loss(), 0.0);
        assert_eq!(softmax(&[1e30, 0.0]), [1.0, 0.0]);
        assert_eq!(counts.non_finite, 0);
    }

    #[test]
    fn a_label_beyond_the_classes_is_never_right() {
        let mut counts = Counts::default();
        counts.add(&[1.0, 2.0], 2);
        assert_eq!((counts.images, counts.correct5, counts.loss()), (1, 0, f64::INFINITY));
    }

    #[test]
    fn logits_that_are_no_numbers_are_counted() {
        let mut counts = Counts::default();
        counts.add(&[f32::NAN, 2.0], 1);
        counts.add(&[f32::INFINITY, 2.0], 1);
        assert_eq!(counts.non_finite, 2);
    }
}
