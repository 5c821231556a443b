//! Cross-entropy against the room `loss` in training and `metrics` in evaluation; ranks and the best classes.

use tresnet::loss::{BinaryCrossEntropy, Criterion, Targets as CpuTargets, mixed_targets};
use tresnet::metrics::{Counts, ScoreKind, Verdict};
use tresnet::ops::Verdicts;
use tresnet::ops::cuda::Element;
use tresnet::ops::cuda::cross_entropy::{Gradient, Outcome, TOTALS, Targets, count_losses, cross_entropy, top_k};
use tresnet::ops::cuda::training::{binary_cross_entropy, jensen_shannon};
use tresnet::ops::training::LossRule;

use crate::compare::{assert_within, values};
use crate::memory::{Memory, run};

/// Batches by classes: one class, fewer and more than a block's threads, and more images than that.
const SIZES: [[usize; 2]; 5] = [[3, 1], [2, 10], [5, 100], [2, 1000], [300, 7]];

/// Memory of an outcome, readable.
struct Found {
    outcome: Outcome,
    losses: Memory,
    ranks: Memory,
}

fn found(batch: usize) -> Found {
    let [losses, ranks, finite] = [0; 3].map(|_| Memory::fresh(batch * 4));
    let outcome = Outcome { losses: losses.clone(), ranks: ranks.clone(), finite: finite.clone() };
    Found { outcome, losses, ranks }
}

fn logits(batch: usize, classes: usize) -> Vec<f32> {
    values("logits", batch * classes, Element::F32).iter().map(|x| 8.0 * x).collect()
}

fn labels(batch: usize, classes: usize) -> Vec<usize> {
    (0..batch).map(|image| (image * 7 + 3) % classes).collect()
}

fn as_ints(labels: &[usize]) -> Memory {
    Memory::ints(&labels.iter().map(|&label| label as i32).collect::<Vec<_>>())
}

pub fn losses_and_gradients_are_those_of_training() {
    for [batch, classes] in SIZES {
        let (logits, labels) = (logits(batch, classes), labels(batch, classes));
        let (device, device_labels) = (Memory::floats(&logits), as_ints(&labels));
        let partners: Vec<usize> = labels.iter().rev().copied().collect();
        let mut soft = mixed_targets(&labels, &partners, &vec![0.3; batch], classes, 0.1).unwrap();
        // Weights need not add up to 1.
        soft[0] += 0.7;
        let weights = Memory::floats(&soft);
        for (smoothing, scale) in [(0.0f64, None), (0.1, Some(1024.0f32)), (-1.0, Some(4.0))] {
            // The last case is that of soft targets.
            let is_soft = smoothing < 0.0;
            let (on_cpu, targets) = match is_soft {
                true => (CpuTargets::Soft(&soft), Targets::Soft { weights: &weights, labels: None }),
                false => (
                    CpuTargets::Classes(&labels),
                    Targets::Classes { labels: &device_labels, smoothing: smoothing as f32 },
                ),
            };
            let criterion = Criterion::CrossEntropy { smoothing: smoothing.max(0.0) };
            let expected = criterion.loss(&logits, classes, on_cpu).unwrap();
            let (found, out) = (found(batch), Memory::fresh(batch * classes * 4));
            let device_scale = scale.map(|scale| Memory::floats(&[scale]));
            let gradient = Gradient { out: &out, scale: device_scale.as_deref() };
            run(cross_entropy([batch, classes], &device, targets, Some(gradient), &found.outcome));
            let what = format!("[{batch}, {classes}] with {smoothing}");
            let mean = found.losses.read_floats().iter().sum::<f32>() / batch as f32;
            assert_within(&what, &[mean], &[expected.value as f32], 1e-5);
            let scaled: Vec<f32> = expected.gradient.iter().map(|g| g * scale.unwrap_or(1.0)).collect();
            assert_within(&what, &out.read_floats(), &scaled, 1e-5);
        }
    }
}

pub fn binary_losses_and_gradients_are_those_of_training() {
    let plain = BinaryCrossEntropy { smoothing: 0.1, ..BinaryCrossEntropy::default() };
    let strict = BinaryCrossEntropy { threshold: Some(0.2), sum: true, positive_weight: Some(3.0), ..plain };
    for ([batch, classes], scale) in SIZES.into_iter().zip([1.0f32, 1024.0, 4.0, 0.5, 1.0]) {
        let labels = labels(batch, classes);
        let partners: Vec<usize> = labels.iter().rev().copied().collect();
        let soft = mixed_targets(&labels, &partners, &vec![0.3; batch], classes, 0.1).unwrap();
        let (classes_there, soft_there) = (as_ints(&labels), Memory::floats(&soft));
        for own in [plain, strict] {
            let rule = LossRule::Binary {
                smoothing: own.smoothing as f32,
                threshold: own.threshold.map(|threshold| threshold as f32),
                sum: own.sum,
                positive_weight: own.positive_weight.unwrap_or(1.0) as f32,
            };
            for (on_cpu, targets) in [
                (CpuTargets::Classes(&labels), (&*classes_there, true)),
                (CpuTargets::Soft(&soft), (&*soft_there, false)),
            ] {
                let mut logits = logits(batch, classes);
                let expected = Criterion::Binary(own).loss(&logits, classes, on_cpu).unwrap();
                let run_on = |logits: &[f32]| {
                    let [losses, finite] = [0; 2].map(|_| Memory::fresh(batch * 4));
                    let (gradient, scale) = (Memory::fresh(batch * classes * 4), Memory::floats(&[scale]));
                    let results = [&*losses, &*finite, &*gradient];
                    let logits = Memory::floats(logits);
                    run(binary_cross_entropy([batch, classes], &logits, targets, rule, &scale, results));
                    (losses.read_floats(), finite.read_ints(), gradient.read_floats())
                };
                let what = format!("[{batch}, {classes}] with {own:?}");
                let (losses, finite, gradient) = run_on(&logits);
                let mean = losses.iter().sum::<f32>() / batch as f32;
                assert_within(&what, &[mean], &[expected.value as f32], 1e-5);
                let scaled: Vec<f32> = expected.gradient.iter().map(|g| g * scale).collect();
                assert_within(&what, &gradient, &scaled, 1e-5);
                assert!(finite.iter().all(|&finite| finite == 1), "{what}");
                logits[classes] = f32::NAN;
                let (losses, finite, gradient) = run_on(&logits);
                let spoilt = |image: usize| gradient[image * classes..][..classes].iter().all(|g| g.is_nan());
                assert!(losses[1].is_nan() && finite[1] == 0 && spoilt(1), "{what}");
                assert!(losses[0].is_finite() && finite[0] == 1 && !spoilt(0), "{what}");
            }
        }
    }
}

pub fn losses_of_splits_and_gradients_are_those_of_training() {
    for ([images, classes], splits) in SIZES.into_iter().zip([2, 3, 5, 3, 2]) {
        let batch = images * splits;
        let (mut logits, labels) = (logits(batch, classes), labels(batch, classes));
        // A class that no split believes in: its mixture is held.
        (0..splits).for_each(|split| logits[split * images * classes] -= 40.0);
        let rule = LossRule::JensenShannon { splits, smoothing: 0.1 };
        let expected = Criterion::JensenShannon { splits, smoothing: 0.1 };
        let expected = expected.loss(&logits, classes, CpuTargets::Classes(&labels)).unwrap();
        let (device_labels, scale) = (as_ints(&labels), Memory::floats(&[64.0]));
        let run_on = |logits: &[f32]| {
            let [losses, finite] = [0; 2].map(|_| Memory::fresh(batch * 4));
            let gradient = Memory::fresh(batch * classes * 4);
            let results = [&*losses, &*finite, &*gradient];
            run(jensen_shannon([batch, classes], &Memory::floats(logits), &device_labels, rule, &scale, results));
            (losses.read_floats(), finite.read_ints(), gradient.read_floats())
        };
        let what = format!("[{images}, {classes}] in {splits} splits");
        let (losses, finite, gradient) = run_on(&logits);
        let mean = losses.iter().sum::<f32>() / batch as f32;
        assert_within(&what, &[mean], &[expected.value as f32], 1e-5);
        let scaled: Vec<f32> = expected.gradient.iter().map(|g| g * 64.0).collect();
        assert_within(&what, &gradient, &scaled, 1e-4);
        assert!(finite.iter().all(|&finite| finite == 1), "{what}");
        // The second image of the last split: what it spoils is that image in every split.
        logits[(batch - images + 1) * classes] = f32::INFINITY;
        let (losses, finite, gradient) = run_on(&logits);
        for row in 0..batch {
            let spoilt = row % images == 1;
            assert!(losses[row].is_nan() == spoilt && (finite[row] == 0) == spoilt, "{what}: {row}");
            assert!(gradient[row * classes..][..classes].iter().all(|g| g.is_nan() == spoilt), "{what}: {row}");
        }
    }
    let memory = Memory::fresh(1 << 10);
    let rule = LossRule::JensenShannon { splits: 3, smoothing: 0.0 };
    let refused = jensen_shannon([4, 2], &memory, &memory, rule, &memory, [&memory; 3]).err().unwrap();
    assert!(format!("{refused:#}").contains("a batch of 4 images cannot be split in 3"), "{refused:#}");
}

pub fn an_image_that_is_not_finite_spoils_its_own_loss_and_gradient() {
    let (batch, classes) = (3, 10);
    let mut logits = logits(batch, classes);
    logits[classes + 4] = f32::NEG_INFINITY;
    let (found, out) = (found(batch), Memory::fresh(batch * classes * 4));
    let targets = Targets::Classes { labels: &as_ints(&[0; 3]), smoothing: 0.0 };
    let gradient = Gradient { out: &out, scale: None };
    run(cross_entropy([batch, classes], &Memory::floats(&logits), targets, Some(gradient), &found.outcome));
    let spoilt: Vec<bool> = found.losses.read_floats().iter().map(|loss| loss.is_nan()).collect();
    assert_eq!(spoilt, [false, true, false]);
    let rows: Vec<bool> = out.read_floats().chunks(classes).map(|row| row.iter().all(|g| g.is_nan())).collect();
    assert_eq!(rows, [false, true, false]);
}

pub fn counts_are_those_of_an_evaluation() {
    for [batch, classes] in SIZES {
        let mut logits = logits(batch, classes);
        if classes > 9 {
            // Equal scores, no numbers and infinities have their place too.
            logits[5] = logits[2];
            logits[3] = f32::NAN;
            logits[6] = f32::NAN;
            logits[classes + 8] = f32::NEG_INFINITY;
        }
        let mut labels = labels(batch, classes);
        labels[batch - 1] = classes + 2;
        let mut counts = Counts::default();
        for (logits, &label) in logits.chunks(classes).zip(&labels).cycle().take(2 * batch) {
            counts.add(&Verdict::of(logits, label, 0));
        }
        let found = found(batch);
        let totals = Memory::doubles(&[0.0; TOTALS]);
        let targets = Targets::Classes { labels: &as_ints(&labels), smoothing: 0.0 };
        run(cross_entropy([batch, classes], &Memory::floats(&logits), targets, None, &found.outcome));
        run(count_losses(batch, &found.outcome, &totals));
        run(count_losses(batch, &found.outcome, &totals));
        let totals = totals.read_doubles();
        let whole = [counts.images, counts.correct1, counts.correct5, counts.non_finite].map(|count| count as f64);
        assert_eq!(totals[..4], whole, "[{batch}, {classes}]");
        for (image, (logits, &label)) in logits.chunks(classes).zip(&labels).enumerate() {
            let order = Verdict::of(logits, label, classes).classes;
            let rank = order.iter().position(|&class| class == label).map_or(-1, |rank| rank as i32);
            assert_eq!(found.ranks.read_ints()[image], rank, "image {image} of [{batch}, {classes}]");
            let expected = Verdict::of(logits, label, 0).loss;
            let ours = f64::from(found.losses.read_floats()[image]);
            let same = ours == expected || ours.is_nan() && expected.is_nan();
            assert!(same || (ours - expected).abs() < 1e-5 * expected.abs().max(1.0), "{ours} instead of {expected}");
        }
    }
}

pub fn the_best_classes_come_in_the_order_of_metrics() {
    for [batch, classes] in SIZES {
        let mut logits = logits(batch, classes);
        for at in (0..logits.len()).step_by(3) {
            // Many equal scores.
            logits[at] = logits[at].round();
        }
        if classes > 9 {
            logits[4] = f32::NAN;
            logits[9] = f32::NAN;
            logits[7] = f32::NEG_INFINITY;
        }
        let device = Memory::floats(&logits);
        for count in [1, 5.min(classes), classes.min(12)] {
            let [best, scores] = [0; 2].map(|_| Memory::fresh(batch * count * 4));
            run(top_k([batch, classes], count, &device, [&best, &scores]));
            let (best, scores) = (best.read_ints(), scores.read_floats());
            for (image, logits) in logits.chunks(classes).enumerate() {
                let expected = Verdict::of(logits, 0, count);
                let own = &best[image * count..][..count];
                assert!(
                    own.iter().map(|&class| class as usize).eq(expected.classes.iter().copied()),
                    "{own:?}: {expected:?}"
                );
                let own = &scores[image * count..][..count];
                assert!(own.iter().zip(&expected.logits).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
        assert!(top_k([batch, classes], classes + 1, &device, [&device, &device]).is_err());
    }
}

pub fn a_batchs_verdicts_are_those_of_metrics() {
    for ([batch, classes], kept) in SIZES.into_iter().zip([1, 5, 0, 12, 7]) {
        let mut logits = logits(batch, classes);
        let mut labels = labels(batch, classes);
        labels[0] = classes;
        if classes > 9 {
            logits[2] = logits[1];
            logits[classes + 3] = f32::INFINITY;
        }
        let verdicts = Verdicts { batch, classes, kept };
        let out = Memory::fresh(verdicts.bytes());
        for launch in verdicts.launches(&Memory::floats(&logits), &as_ints(&labels), &out).unwrap() {
            run(Ok(launch));
        }
        let ours = verdicts.parse(&out.read_bytes(), batch - 1).unwrap();
        assert_eq!(ours.len(), batch - 1);
        for (ours, (logits, &label)) in ours.iter().zip(logits.chunks(classes).zip(&labels)) {
            let expected = Verdict::of(logits, label, kept);
            assert_eq!((ours.rank, ours.finite, &ours.classes), (expected.rank, expected.finite, &expected.classes));
            assert_eq!((&ours.logits, ours.largest), (&expected.logits, expected.largest));
            let near = |ours: f64, expected: f64| {
                (ours - expected).abs() <= 1e-5 * expected.abs().max(1.0)
                    || ours == expected
                    || ours.is_nan() && expected.is_nan()
            };
            assert!(near(ours.loss, expected.loss) && near(ours.sum, expected.sum), "{ours:?}, {expected:?}");
            let [scores, wanted] = [ours, &expected].map(|verdict| verdict.scores(ScoreKind::Probability));
            assert!(scores.iter().zip(&wanted).all(|(a, b)| near(f64::from(*a), f64::from(*b))));
        }
        assert!(verdicts.parse(&[0; 3], 1).is_err());
    }
}
