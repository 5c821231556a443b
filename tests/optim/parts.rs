//! Optimisers by name and their state, the gradient scaler, clipping and the moving average.

use std::collections::HashMap;

use candle_nn::Init;
use tresnet::nn::Parameter;
use tresnet::optim::{Clip, Ema, GradScaler, GroupOptions, Groups, Optimizer, OptimizerSettings, gradient_norm};

fn groups() -> Groups {
    let parameter = |name: &str, shape: &[usize], trainable| Parameter {
        name: name.into(),
        shape: shape.into(),
        init: Init::Const(0.0),
        trainable,
    };
    let parameters = [
        parameter("conv.weight", &[2, 3], true),
        parameter("bn.running_mean", &[2], false),
        parameter("fc.weight", &[2, 2], true),
        parameter("fc.bias", &[2], true),
    ];
    let options = GroupOptions { weight_decay: 0.1, layer_decay: None, layer_decay_min_scale: 0.0 };
    Groups::new(&parameters, &[false; 4], &options).unwrap()
}

fn optimizer(name: &str) -> Optimizer {
    let settings = OptimizerSettings { name: name.into(), momentum: 0.9, epsilon: None, betas: None };
    settings.build(groups()).unwrap()
}

fn values() -> Vec<Vec<f32>> {
    vec![vec![1.0, -2.0, 3.0, 0.5, 0.0, -1.0], vec![7.0, 7.0], vec![1.0, 2.0, 3.0, 4.0], vec![0.5, -0.5]]
}

fn gradients() -> Vec<Vec<f32>> {
    vec![vec![3.0, 0.0, -4.0, 0.1, 0.2, -0.3], vec![], vec![12.0, 0.0, 0.0, 0.0], vec![0.0, 0.4]]
}

#[test]
fn every_optimiser_goes_on_from_its_saved_state_to_the_bit() {
    for name in ["sgd", "nesterov", "momentum", "adam", "adamw", "lamb", "lion"] {
        let (mut one, mut all) = (optimizer(name), values());
        one.step(&mut all, &gradients(), 0.1).unwrap();
        let saved: HashMap<String, Vec<f32>> = one.state().into_iter().map(|(name, v)| (name, v.to_vec())).collect();
        let (mut other, mut copy) = (optimizer(name), all.clone());
        other.load_state(one.steps(), saved).unwrap();
        one.step(&mut all, &gradients(), 0.05).unwrap();
        other.step(&mut copy, &gradients(), 0.05).unwrap();
        assert_eq!(all, copy, "{name}");
        assert_eq!(all[1], [7.0, 7.0], "{name} touched a running statistic");
    }
}

#[test]
fn the_state_of_another_optimiser_is_refused_and_changes_nothing() {
    let mut lion = optimizer("lion");
    let foreign: HashMap<String, Vec<f32>> =
        optimizer("adamw").state().into_iter().map(|(name, values)| (name, vec![1.0; values.len()])).collect();
    let error = lion.load_state(3, foreign).unwrap_err().to_string();
    assert!(error.contains("exp_avg_sq.conv.weight") && error.contains("--opt"), "{error}");
    assert!(lion.steps() == 0 && lion.state().iter().all(|(_, values)| values.iter().all(|v| *v == 0.0)));
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let mut sgd = optimizer("sgd");
    let mut saved: HashMap<String, Vec<f32>> =
        sgd.state().into_iter().map(|(name, values)| (name, values.to_vec())).collect();
    saved.insert("momentum_buffer.fc.bias".into(), vec![0.0; 9]);
    let error = sgd.load_state(1, saved).unwrap_err().to_string();
    assert!(error.contains("momentum_buffer.fc.bias has 9 values, not 2"), "{error}");
}

#[test]
fn an_unknown_optimiser_is_answered_with_the_known() {
    let settings = OptimizerSettings { name: "sdg".into(), momentum: 0.9, epsilon: None, betas: None };
    let error = settings.build(groups()).err().unwrap().to_string();
    assert!(error.contains("\"sdg\"") && error.contains("sgd, nesterov"), "{error}");
}

#[test]
fn clipping_by_norm_leaves_the_norm_asked_for() {
    let mut gradients = gradients();
    assert!((gradient_norm(&gradients, &groups()) - 169.3f64.sqrt()).abs() < 1e-5);
    Clip::Norm(2.0).apply(&values(), &mut gradients, &groups());
    assert!((gradient_norm(&gradients, &groups()) - 2.0).abs() < 1e-5);
    let before = gradients.clone();
    Clip::Norm(2.5).apply(&values(), &mut gradients, &groups());
    assert_eq!(gradients, before, "a norm below the limit stays");
}

#[test]
fn adaptive_clipping_spares_the_head_and_small_gradients() {
    let mut clipped = gradients();
    Clip::Adaptive(0.5).apply(&values(), &mut clipped, &groups());
    // The first unit's weights have the norm sqrt(14), its gradient 5; the second's gradient is small enough.
    let scale = (0.5 * 14f64.sqrt() / 5.0) as f32;
    assert_eq!(clipped[0], [3.0 * scale, 0.0, -4.0 * scale, 0.1, 0.2, -0.3]);
    assert_eq!(clipped[2..], gradients()[2..]);
}

#[test]
fn the_scale_halves_on_overflow_and_doubles_after_its_interval() {
    let mut scaler = GradScaler::new(8.0, 3).unwrap();
    let mut scales = Vec::new();
    for finite in [true, true, false, true, true, true, true, true, false, true, true, true] {
        scaler.update(finite);
        scales.push(scaler.scale());
    }
    // Of torch.amp.GradScaler, the same steps.
    assert_eq!(scales, [8.0, 8.0, 4.0, 4.0, 4.0, 8.0, 8.0, 8.0, 4.0, 4.0, 4.0, 8.0]);
}

#[test]
fn a_scale_that_would_overflow_stays() {
    let mut scaler = GradScaler::new(2f32.powi(127), 1).unwrap();
    scaler.update(true);
    assert_eq!(scaler.scale(), 2f32.powi(127));
}

#[test]
fn unscaling_divides_and_finds_what_is_not_finite() {
    let scaler = GradScaler::default();
    let mut gradients = gradients();
    assert!(scaler.unscale(&mut gradients, &groups()));
    assert_eq!(gradients[2][0], 12.0 / 65536.0);
    gradients[3][1] = f32::INFINITY;
    assert!(!scaler.unscale(&mut gradients, &groups()));
}

#[test]
fn a_scaler_is_saved_under_pytorchs_names() {
    let mut scaler = GradScaler::default();
    scaler.update(true);
    let saved = serde_json::to_value(&scaler).unwrap();
    let expected = serde_json::json!({
        "scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 1
    });
    assert_eq!(saved, expected);
    assert_eq!(serde_json::from_value::<GradScaler>(saved).unwrap(), scaler);
}

#[test]
fn the_first_update_of_an_average_copies_to_the_bit() {
    let mut ema = Ema::new(values(), 0.9998, false).unwrap();
    let other: Vec<Vec<f32>> = values().iter().map(|v| v.iter().map(|x| x * 0.3 + 1e-9).collect()).collect();
    ema.update(&other, 1);
    assert_eq!(ema.values(), other);
}

#[test]
fn an_averages_decay_warms_up_to_its_limit() {
    let ema = Ema::new(values(), 0.9, true).unwrap();
    // ModelEmaV3.get_decay of the same steps.
    let expected = [(1, 0.0), (2, 0.370_039_475_052_563_4), (10, 0.784_556_530_996_811_7), (1000, 0.9)];
    for (update, decay) in expected {
        assert!((ema.decay_at(update) - decay).abs() < 1e-15, "{update}: {}", ema.decay_at(update));
    }
}
