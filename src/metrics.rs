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
    /// Counts one image.
    pub fn add(&mut self, verdict: &Verdict) {
        self.images += 1;
        self.non_finite += usize::from(!verdict.finite);
        if let Some(rank) = verdict.rank {
            self.correct1 += usize::from(rank < 1);
            self.correct5 += usize::from(rank < 5);
        }
        self.loss_sum += verdict.loss;
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
    if k == 0 {
        return Vec::new();
    }
    let mut classes: Vec<usize> = (0..scores.len()).collect();
    let by_rank = |&a: &usize, &b: &usize| better(scores[a], scores[b]).then(a.cmp(&b));
    if k < classes.len() {
        classes.select_nth_unstable_by(k - 1, by_rank);
    }
    classes.truncate(k);
    classes.sort_unstable_by(by_rank);
    classes
}

/// What a prediction's scores say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Softmax over all classes.
    Probability,
    /// The network's outputs as they are.
    Logit,
}

/// What there is to know of a network's answer for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How many classes come before the label; `None` where the network has no such class, which is never right.
    pub rank: Option<usize>,
    /// -log softmax(logits)[label] in nats; infinite where the network has no such class.
    pub loss: f64,
    /// Whether every logit is a finite number.
    pub finite: bool,
    /// The best classes, best first.
    pub classes: Vec<usize>,
    /// Their logits.
    pub logits: Vec<f32>,
    /// The largest logit, and the sum of `exp(logit - largest)` over all classes.
    pub largest: f64,
    pub sum: f64,
}

impl Verdict {
    /// Of one image's logits, one a class, with the `kept` best classes; all where there are fewer. In f64, shifted by the
    /// largest so that nothing overflows.
    pub fn of(logits: &[f32], label: usize, kept: usize) -> Self {
        let largest = maximum(logits);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        let classes = top_k(logits, kept);
        Self {
            rank: rank(logits, label),
            loss: logits.get(label).map_or(f64::INFINITY, |&own| largest + sum.ln() - f64::from(own)),
            finite: logits.iter().all(|logit| logit.is_finite()),
            logits: classes.iter().map(|&class| logits[class]).collect(),
            classes,
            largest,
            sum,
        }
    }

    /// The best classes' scores, best first.
    pub fn scores(&self, kind: ScoreKind) -> Vec<f32> {
        let probability = |&logit: &f32| ((f64::from(logit) - self.largest).exp() / self.sum) as f32;
        match kind {
            ScoreKind::Logit => self.logits.clone(),
            ScoreKind::Probability => self.logits.iter().map(probability).collect(),
        }
    }
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
            counts.add(&Verdict::of(&logits, label, 0));
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
        counts.add(&Verdict::of(&[1e30, 0.0], 0, 0));
        assert_eq!(counts.loss(), 0.0);
        assert_eq!(Verdict::of(&[1e30, 0.0], 0, 2).scores(ScoreKind::Probability), [1.0, 0.0]);
        assert_eq!(counts.non_finite, 0);
    }

    #[test]
    fn a_label_beyond_the_classes_is_never_right() {
        let mut counts = Counts::default();
        counts.add(&Verdict::of(&[1.0, 2.0], 2, 0));
        assert_eq!((counts.images, counts.correct5, counts.loss()), (1, 0, f64::INFINITY));
    }

    #[test]
    fn logits_that_are_no_numbers_are_counted() {
        let mut counts = Counts::default();
        counts.add(&Verdict::of(&[f32::NAN, 2.0], 1, 0));
        counts.add(&Verdict::of(&[f32::INFINITY, 2.0], 1, 0));
        assert_eq!(counts.non_finite, 2);
    }
}
