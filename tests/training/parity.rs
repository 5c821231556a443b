//! Losses, parameters and running statistics after some steps, against the fixtures.

use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use tresnet::loss::{BinaryCrossEntropy, Criterion};
use tresnet::optim::Clip;

use super::run::{Mix, Run};

static FIXTURES: LazyLock<std::collections::HashMap<String, Tensor>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/parity.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
});

/// How far a value may be from PyTorch's, relative to the root mean square of its tensor.
const TOLERANCE: f64 = 1e-3;
/// How far a value's change since the start may be, relative to the changes' root mean square: PyTorch in f32 is up to
/// 2.5e-2 from itself in f64, and as much as 6e-2 for tresnet_m with weights that differ by 1e-7.
const CHANGE_TOLERANCE: f64 = 0.1;

/// What rounding alone may put between two changes, relative to the values: some last bits.
const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;

/// Holds a run against the fixture of this name: the loss of each step; of each tensor the norm and the first values;
/// and of its change the same.
fn assert_follows(name: &str, run: &Run) {
    let outcome = run.train();
    let losses: Vec<f32> = FIXTURES[&format!("{name}.losses")].to_vec1().unwrap();
    assert_eq!(losses.len(), outcome.losses.len(), "steps of {name}");
    for (step, (ours, theirs)) in outcome.losses.iter().zip(&losses).enumerate() {
        let difference = (ours / f64::from(*theirs) - 1.0).abs();
        assert!(difference <= TOLERANCE, "{name}: the loss of step {step} is {ours}, not {theirs}");
    }
    let rows: Vec<Vec<f32>> = FIXTURES[&format!("{name}.digests")].to_vec2().unwrap();
    let mut order: Vec<usize> = (0..outcome.parameters.len()).collect();
    order.sort_by_key(|&at| &outcome.parameters[at].name);
    assert_eq!(rows.len(), order.len(), "tensors of {name}");
    for (at, row) in order.into_iter().zip(rows) {
        let tensor = &outcome.parameters[at].name;
        let end: Vec<f64> = outcome.end[at].iter().map(|&x| x.into()).collect();
        let change: Vec<f64> = outcome.start[at].iter().zip(&end).map(|(&start, end)| end - f64::from(start)).collect();
        let rounding = ROUNDING * f64::from(row[8]);
        assert_digest(&format!("{name}: {tensor}"), &end, &row[..9], TOLERANCE, 0.0);
        assert_digest(&format!("{name}: the change of {tensor}"), &change, &row[9..], CHANGE_TOLERANCE, rounding);
    }
}

/// Holds the norm and the first values against nine numbers of a digest. Norms may differ by `tolerance`, relatively,
/// and `rounding`, absolutely; values by their share of both.
fn assert_digest(what: &str, values: &[f64], expected: &[f32], tolerance: f64, rounding: f64) {
    let (first, size) = (&expected[..8], f64::from(expected[8]));
    let allowed = tolerance * size + rounding;
    let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((norm - size).abs() <= allowed, "{what} has the norm {norm}, not {size}");
    let share = allowed / (values.len() as f64).sqrt();
    for (place, (ours, theirs)) in values.iter().zip(first).enumerate() {
        let difference = (ours - f64::from(*theirs)).abs();
        assert!(difference <= share, "{what} is {ours} at {place}, not {theirs}");
    }
}

#[test]
fn tresnet_m_follows_timm_for_20_steps() {
    assert_follows("tresnet_m", &Run { steps: 20, lr: 1e-5, ..Run::new("tresnet_m") });
}

#[test]
fn resnet20_follows_pytorch_for_20_steps() {
    assert_follows("resnet20", &Run { steps: 20, lr: 2e-3, ..Run::new("resnet20") });
}

#[test]
fn a_tresnet_with_every_kind_of_layer_follows_timm_for_10_steps() {
    assert_follows("tresnet_tiny", &Run { steps: 10, lr: 5e-4, ..Run::new("tresnet_tiny") });
}

#[test]
fn momentum_without_nesterov_follows_timm() {
    assert_follows("momentum", &Run { opt: "momentum", weight_decay: 0.1, ..Run::new("resnet20") });
}

#[test]
fn adam_follows_pytorch() {
    let run = Run { opt: "adam", lr: 2e-4, weight_decay: 0.1, ..Run::new("tresnet_tiny") };
    assert_follows("adam", &run);
}

#[test]
fn adamw_follows_pytorch() {
    let run = Run { opt: "adamw", lr: 2e-4, weight_decay: 1.0, ..Run::new("tresnet_tiny") };
    assert_follows("adamw", &run);
}

#[test]
fn lamb_follows_timm() {
    let run = Run { opt: "lamb", lr: 5e-3, weight_decay: 0.5, ..Run::new("tresnet_tiny") };
    assert_follows("lamb", &run);
}

#[test]
fn lion_follows_timm() {
    let run = Run { opt: "lion", lr: 1e-4, weight_decay: 2.0, ..Run::new("tresnet_tiny") };
    assert_follows("lion", &run);
}

#[test]
fn layers_that_learn_at_their_own_rates_follow_timm() {
    assert_follows("layer decay", &Run { layer_decay: Some(0.7), ..Run::new("tresnet_tiny") });
}

#[test]
fn the_moving_average_of_weights_and_statistics_follows_timm() {
    assert_follows("ema", &Run { ema: Some((0.8, false)), ..Run::new("resnet20") });
    assert_follows("ema with warm-up", &Run { ema: Some((0.6, true)), ..Run::new("resnet20") });
}

#[test]
fn label_smoothing_follows_timm() {
    let criterion = Criterion::CrossEntropy { smoothing: 0.1 };
    assert_follows("smoothing", &Run { criterion, ..Run::new("resnet20") });
}

#[test]
fn mixup_of_a_given_share_follows_timm() {
    assert_follows("mixup", &Run { mix: Some(Mix::Mixup(0.3)), ..Run::new("resnet20") });
}

#[test]
fn cutmix_of_a_given_box_follows_timm() {
    assert_follows("cutmix", &Run { mix: Some(Mix::Cutmix([5, 21, 10, 32])), ..Run::new("resnet20") });
}

#[test]
fn binary_cross_entropy_follows_timm() {
    let criterion = Criterion::Binary(BinaryCrossEntropy { smoothing: 0.1, ..BinaryCrossEntropy::default() });
    assert_follows("binary", &Run { criterion, lr: 0.1, ..Run::new("resnet20") });
}

#[test]
fn clipped_gradients_follow_timm() {
    for (name, clip) in
        [("clip by norm", Clip::Norm(1.0)), ("clip by value", Clip::Value(0.02)), ("clip by agc", Clip::Adaptive(0.01))]
    {
        assert_follows(name, &Run { clip: Some(clip), ..Run::new("resnet20") });
    }
}

#[test]
fn accumulated_gradients_follow_pytorch() {
    assert_follows("accumulation", &Run { accumulate: 4, ..Run::new("resnet20") });
}
