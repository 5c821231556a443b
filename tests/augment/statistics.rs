//! What is drawn is distributed as timm's draws are: fixed seeds, and bounds that chance alone would break less than
//! once in a thousand seeds.

mod batches;
mod pictures;
mod policies;

use tresnet::augment::operation::Hints;
use tresnet::random::Draws;

const MANY: usize = 20_000;

fn draws(place: usize) -> Draws {
    Draws::new(7, 1, place as u64, "statistics")
}

fn hints() -> Hints {
    Hints::new(224, [0.0; 3], None)
}

/// Panics unless the values' mean is `mean`, give or take what chance permits values of this `deviation`.
fn check_mean(what: &str, values: &[f64], mean: f64, deviation: f64) {
    let found = values.iter().sum::<f64>() / values.len() as f64;
    let bound = 3.5 * deviation / (values.len() as f64).sqrt();
    assert!((found - mean).abs() < bound, "{what}: mean {found}, not {mean} within {bound}");
}

/// Panics unless a share `expected` of the answers is yes.
fn check_share(what: &str, answers: impl IntoIterator<Item = bool>, expected: f64) {
    let values: Vec<f64> = answers.into_iter().map(|yes| f64::from(u8::from(yes))).collect();
    check_mean(what, &values, expected, (expected * (1.0 - expected)).sqrt());
}

/// Panics unless the values are uniform between two bounds: their mean, their variance, their extremes.
fn check_uniform(what: &str, values: &[f64], (low, high): (f64, f64)) {
    let range = high - low;
    assert!(values.iter().all(|value| (low - 1e-9..=high + 1e-9).contains(value)), "{what} leaves {low} to {high}");
    check_mean(what, values, (low + high) / 2.0, range / 12f64.sqrt());
    let squares: Vec<f64> = values.iter().map(|value| ((value - low) / range - 0.5).powi(2)).collect();
    // The fourth moment of a uniform variate is 1/80.
    check_mean(&format!("the spread of {what}"), &squares, 1.0 / 12.0, (1.0f64 / 80.0 - 1.0 / 144.0).sqrt());
}
