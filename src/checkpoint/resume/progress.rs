//! How far a run has come: everything about it that is no tensor.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::save::Best;
use super::exact;

/// The scalars of a run between two of its optimizer steps. Randomness is a function of seed, epoch and sample, so
/// there is no generator's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunProgress {
    /// The epoch that goes on, from 0; where one has just ended, the next.
    pub epoch: u64,
    /// Optimizer steps of that epoch that are done.
    pub step_in_epoch: u64,
    /// Optimizer steps of the run that are done, skipped ones included; timm's `num_updates`.
    pub updates: u64,
    /// Batches that passed the network in training mode: batch norms' `num_batches_tracked`.
    pub batches: u64,
    /// Images that passed it.
    pub samples: u64,
    pub seed: u64,
    /// The unfinished epoch so far.
    pub unfinished: Unfinished,
    /// The gradient scaler, where there is one.
    pub scaler: Option<Scaler>,
    /// The optimizer's scalars under names of its own, such as a count of its steps.
    #[serde(with = "exact::map")]
    pub optimizer: BTreeMap<String, f64>,
    /// The learning-rate schedule's scalars: those of a plateau schedule, which looks back.
    #[serde(with = "exact::map")]
    pub schedule: BTreeMap<String, f64>,
    /// Steps in a row with a loss or gradients that were not finite.
    pub non_finite: u64,
    /// The epochs whose weights are kept, the best first.
    pub best: Vec<Best>,
    /// The settings of the run, by timm's names.
    pub settings: BTreeMap<String, Value>,
}

/// Sums over the steps of an epoch that was left before its end, for its row of the summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Of each image's loss.
    #[serde(with = "exact::number")]
    pub loss: f64,
    /// Of images.
    pub images: u64,
    /// Of images that could not be read.
    pub unreadable: u64,
}

/// The state of a gradient scaler, as in PyTorch's `GradScaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    #[serde(with = "exact::number")]
    pub scale: f64,
    /// Finite steps since the scale last changed.
    pub growth_tracker: u64,
}

/// What a file holds: the progress with the version of its form.
#[derive(Serialize, Deserialize)]
struct Versioned<P> {
    version: u32,
    progress: P,
}

/// Just enough of any version to know it.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl RunProgress {
    const VERSION: u32 = 1;

    pub(super) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(&Versioned { version: Self::VERSION, progress: self })?)
    }

    pub(super) fn from_json(text: &str) -> Result<Self> {
        let damaged = "its record of the run's progress is damaged";
        let Version { version } = serde_json::from_str(text).context(damaged)?;
        let own = Self::VERSION;
        ensure!(version == own, "another version of tresnet wrote it (form {version}, this one reads {own}); use that");
        let held: Versioned<Self> = serde_json::from_str(text).context(damaged)?;
        Ok(held.progress)
    }

    /// Settings of the run that are not now what they were, as `lr: 0.1, now 0.2`; of `names` alone.
    pub fn changed(&self, now: &BTreeMap<String, Value>, names: &[&str]) -> Vec<String> {
        let say = |value: Option<&Value>| value.map_or("not set".to_owned(), Value::to_string);
        let changed = names.iter().filter(|name| self.settings.get(**name) != now.get(**name));
        changed.map(|name| format!("{name}: {}, now {}", say(self.settings.get(*name)), say(now.get(*name)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_every_number_comes_back() {
        let awkward = [0.1 + 0.2, 5e-324, f64::MAX, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e-5 / 3.0, f64::NAN];
        let progress = RunProgress {
            updates: u64::MAX,
            unfinished: Unfinished { loss: f64::NAN, ..Unfinished::default() },
            schedule: awkward.iter().enumerate().map(|(at, &number)| (at.to_string(), number)).collect(),
            best: vec![Best { epoch: 3, metric: 80.0 / 3.0, file: "checkpoint-3.safetensors".into() }],
            ..RunProgress::default()
        };
        let read = RunProgress::from_json(&progress.to_json().unwrap()).unwrap();
        let bits =
            |progress: &RunProgress| progress.schedule.values().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&progress));
        assert!(read.unfinished.loss.is_nan());
        assert_eq!((read.updates, &read.best), (u64::MAX, &progress.best));
    }

    #[test]
    fn another_version_is_named_before_its_fields_are_read() {
        let error = RunProgress::from_json(r#"{"version": 7, "progress": "of another form"}"#).unwrap_err().to_string();
        assert!(error.contains("form 7, this one reads 1"), "{error}");
    }

    #[test]
    fn changed_settings_are_said_and_others_passed_over() {
        let settings = |lr: f64, epochs: u32| {
            BTreeMap::from([("lr".to_owned(), Value::from(lr)), ("epochs".to_owned(), Value::from(epochs))])
        };
        let progress = RunProgress { settings: settings(0.1, 300), ..RunProgress::default() };
        assert!(progress.changed(&settings(0.1, 350), &["lr", "opt"]).is_empty());
        assert_eq!(progress.changed(&settings(0.2, 300), &["lr", "opt"]), ["lr: 0.1, now 0.2"]);
    }
}
