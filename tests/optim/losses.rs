//! Losses and their gradients.

use std::collections::HashMap;

use serde::Deserialize;
use tresnet::loss::{BinaryCrossEntropy, Criterion, Loss, Targets, mixed_targets};

use super::fixture;

#[derive(Deserialize)]
struct Fixture {
    classes: usize,
    logits: Vec<f32>,
    labels: Vec<usize>,
    losses: HashMap<String, Expected>,
    targets: HashMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct Expected {
    value: f64,
    gradient: Vec<f64>,
}

impl Fixture {
    fn read() -> Self {
        fixture("losses.json")
    }

    /// timm's soft targets, built by us.
    fn soft(&self, name: &str) -> Vec<f32> {
        let partners: Vec<usize> = self.labels.iter().rev().copied().collect();
        let (shares, smoothing) = match name {
            "mixup" => (vec![0.3; 6], 0.1),
            _ => ((0..6).map(|image| f64::from(image) / 5.0).collect(), 0.0),
        };
        mixed_targets(&self.labels, &partners, &shares, self.classes, smoothing).unwrap()
    }

    fn assert_loss(&self, name: &str, criterion: Criterion, targets: Targets) {
        let ours = criterion.loss(&self.logits, self.classes, targets).unwrap();
        let Expected { value, gradient } = &self.losses[name];
        // The targets of mixed images are f32.
        assert!((ours.value / value - 1.0).abs() < 1e-6, "{name}: {}, not {value}", ours.value);
        let largest = gradient.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        for (at, (ours, theirs)) in ours.gradient.iter().zip(gradient).enumerate() {
            let difference = (f64::from(*ours) - theirs).abs();
            assert!(difference <= 1e-6 * largest, "{name}: gradient {at} is {ours}, not {theirs}");
        }
    }

    fn assert_hard(&self, name: &str, criterion: Criterion) {
        self.assert_loss(name, criterion, Targets::Classes(&self.labels));
    }
}

const BINARY: BinaryCrossEntropy =
    BinaryCrossEntropy { smoothing: 0.1, threshold: None, sum: false, positive_weight: None };

#[test]
fn cross_entropy_is_pytorchs() {
    Fixture::read().assert_hard("cross-entropy", Criterion::CrossEntropy { smoothing: 0.0 });
}

#[test]
fn smoothed_cross_entropy_is_timms() {
    Fixture::read().assert_hard("smoothed", Criterion::CrossEntropy { smoothing: 0.1 });
}

#[test]
fn mixed_targets_are_timms() {
    let fixture = Fixture::read();
    for (name, theirs) in &fixture.targets {
        for (ours, theirs) in fixture.soft(name).iter().zip(theirs) {
            assert!((ours - theirs).abs() < 1e-7, "{name}: {ours}, not {theirs}");
        }
    }
}

#[test]
fn cross_entropy_of_mixed_targets_is_timms() {
    let fixture = Fixture::read();
    for name in ["mixup", "mixup per image"] {
        let soft = fixture.soft(name);
        fixture.assert_loss(name, Criterion::CrossEntropy { smoothing: 0.1 }, Targets::Soft(&soft));
    }
}

#[test]
fn binary_cross_entropy_is_timms() {
    let fixture = Fixture::read();
    fixture.assert_hard("binary", Criterion::Binary(BINARY));
    fixture.assert_hard("binary summed", Criterion::Binary(BinaryCrossEntropy { sum: true, ..BINARY }));
    let weighted = BinaryCrossEntropy { positive_weight: Some(3.0), ..BINARY };
    fixture.assert_hard("binary with positives of weight 3", Criterion::Binary(weighted));
}

#[test]
fn binary_cross_entropy_of_mixed_targets_is_timms() {
    let fixture = Fixture::read();
    let soft = fixture.soft("mixup");
    fixture.assert_loss("binary mixup", Criterion::Binary(BINARY), Targets::Soft(&soft));
    let above = BinaryCrossEntropy { threshold: Some(0.2), ..BINARY };
    fixture.assert_loss("binary mixup above 0.2", Criterion::Binary(above), Targets::Soft(&soft));
}

#[test]
fn the_jensen_shannon_loss_is_timms() {
    let fixture = Fixture::read();
    for (name, splits, smoothing) in [("jensen-shannon of 3", 3, 0.1), ("jensen-shannon of 2", 2, 0.0)] {
        let labels: Vec<usize> = (0..6).map(|image| fixture.labels[image % (6 / splits)]).collect();
        let criterion = Criterion::JensenShannon { splits, smoothing };
        fixture.assert_loss(name, criterion, Targets::Classes(&labels));
    }
}

fn every_criterion() -> [Criterion; 4] {
    [
        Criterion::CrossEntropy { smoothing: 0.0 },
        Criterion::CrossEntropy { smoothing: 0.1 },
        Criterion::Binary(BinaryCrossEntropy { positive_weight: Some(2.0), ..BINARY }),
        Criterion::JensenShannon { splits: 2, smoothing: 0.1 },
    ]
}

#[test]
fn gradients_are_what_finite_differences_say() {
    let logits = [0.5f32, -1.25, 2.0, 0.75, 0.0, -0.5, 1.5, -2.0, 0.25, 1.0, -0.75, 0.125];
    let labels = [2, 0, 2, 0];
    for criterion in every_criterion() {
        let loss = |logits: &[f32]| criterion.loss(logits, 3, Targets::Classes(&labels)).unwrap();
        let Loss { gradient, .. } = loss(&logits);
        for at in 0..logits.len() {
            let [above, below] = [1.0f32, -1.0].map(|sign| {
                let mut moved = logits;
                moved[at] += sign / 1024.0;
                loss(&moved).value
            });
            let slope = (above - below) * 512.0;
            assert!((slope - f64::from(gradient[at])).abs() < 1e-5, "{criterion:?} at {at}: {slope}, {gradient:?}");
        }
    }
}

#[test]
fn logits_of_any_size_give_finite_losses() {
    let logits = [3e38f32, -3e38, 0.0, -3e38, 3e38, 1.0, 0.0, 0.0, 0.0, 1e4, -1e4, 3e38];
    for criterion in every_criterion() {
        let loss = criterion.loss(&logits, 3, Targets::Classes(&[1, 1, 0, 2])).unwrap();
        assert!(loss.value.is_finite() && loss.gradient.iter().all(|g| g.is_finite()), "{criterion:?}: {loss:?}");
    }
}

#[test]
fn a_logit_that_is_not_finite_gives_a_loss_that_is_not() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for criterion in every_criterion() {
            let loss = criterion.loss(&[0.0, 1.0, bad, 0.5], 2, Targets::Classes(&[0, 0])).unwrap();
            assert!(!loss.value.is_finite(), "{criterion:?} of {bad}: {loss:?}");
        }
    }
}

#[test]
fn a_label_beyond_the_head_is_refused() {
    let criterion = Criterion::CrossEntropy { smoothing: 0.0 };
    let error = criterion.loss(&[0.0; 4], 2, Targets::Classes(&[0, 2])).unwrap_err().to_string();
    assert!(error.contains("class 2 is out of range"), "{error}");
}

#[test]
fn jensen_shannon_with_mixed_targets_is_refused() {
    let criterion = Criterion::JensenShannon { splits: 2, smoothing: 0.0 };
    let error = criterion.loss(&[0.0; 4], 2, Targets::Soft(&[0.5; 4])).unwrap_err().to_string();
    assert!(error.contains("mixup"), "{error}");
}
