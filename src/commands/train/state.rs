//! A run's state between two updates: captured for its file, and taken up again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::learner::Learner;
use crate::checkpoint::{Best, ResumeFiles, ResumeState, Resumed, RunProgress, TimmState, Unfinished};
use crate::flat_yaml::Settings;
use crate::optim::{PlateauState, Schedule};

/// Where a run stands in its epochs.
#[derive(Clone, Debug, Default)]
pub struct Position {
    pub epoch: u64,
    /// Updates of the epoch that are done.
    pub step: u64,
    pub unfinished: Unfinished,
}

/// From where a run can go on.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `the state after 30 updates`
    pub what: String,
    /// A run's folder, or a file.
    pub place: PathBuf,
    /// What `--resume` has to be given.
    pub by: String,
}

impl Saved {
    pub fn after(updates: u64, place: &Path, by: &str) -> Self {
        Self { what: format!("the state after {updates} updates"), place: place.to_owned(), by: by.to_owned() }
    }
}

/// As the end of a message: `the state after 30 updates is saved in output/first: --resume auto goes on from it`.
impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is saved in {}: --resume {} goes on from it", self.what, self.place.display(), self.by)
    }
}

/// The name under which an optimiser's count of steps is kept.
const STEPS: &str = "steps";

/// Saves all that a run needs to go on as if it had never stopped.
pub fn save(
    files: &mut ResumeFiles,
    learner: &Learner,
    schedule: &Schedule,
    position: &Position,
    best: &[Best],
    seed: u64,
    settings: &Settings,
) -> Result<()> {
    let counts = learner.counts;
    let snapshot = learner.snapshot()?;
    let progress = RunProgress {
        epoch: position.epoch,
        step_in_epoch: position.step,
        updates: counts.updates,
        batches: counts.batches,
        samples: counts.samples,
        seed,
        unfinished: position.unfinished.clone(),
        scaler: snapshot.scaler.clone(),
        optimizer: BTreeMap::from([(STEPS.to_owned(), snapshot.steps as f64)]),
        schedule: plateau_scalars(schedule.plateau_state())?,
        non_finite: counts.non_finite,
        best: best.to_vec(),
        settings: settings.clone(),
    };
    let slots = snapshot.buffers.iter();
    let optimizer: Vec<(&str, Vec<&[f32]>)> =
        slots.map(|(name, buffers)| (name.as_str(), buffers.iter().map(AsRef::as_ref).collect())).collect();
    files.save(&ResumeState {
        progress: &progress,
        parameters: learner.graph().parameters(),
        model: &snapshot.values,
        ema: snapshot.average.as_deref(),
        optimizer: &optimizer,
    })
}

/// Puts a saved state into a learner that was built by the same settings; where the run stands, and its best epochs.
pub fn restore(
    resumed: &Resumed,
    learner: &mut Learner,
    schedule: &mut Schedule,
    new_optimizer: bool,
) -> Result<(Position, Vec<Best>)> {
    let parameters = learner.graph().parameters().to_vec();
    learner.executor().restore_values(resumed.model(&parameters)?, resumed.ema(&parameters)?)?;
    let progress = &resumed.progress;
    if !new_optimizer {
        let steps = progress.optimizer.get(STEPS).copied().unwrap_or_default() as u64;
        let mut saved = HashMap::new();
        for slot in resumed.slots() {
            let values = parameters.iter().zip(resumed.slot(slot, &parameters)?);
            let held = values.filter(|(_, values)| !values.is_empty());
            saved.extend(held.map(|(parameter, values)| (format!("{slot}.{}", parameter.name), values)));
        }
        learner
            .executor()
            .restore_optimizer(steps, saved)
            .context("the saved optimiser cannot go on; --no-resume-opt starts a new one")?;
        if let Some(scaler) = &progress.scaler {
            learner.executor().restore_scaler(scaler)?;
        }
        if !progress.schedule.is_empty() {
            schedule.load_plateau_state(plateau(&progress.schedule)?);
        }
    }
    learner.counts = super::learner::Counts {
        updates: progress.updates,
        batches: progress.batches,
        samples: progress.samples,
        non_finite: progress.non_finite,
    };
    let position =
        Position { epoch: progress.epoch, step: progress.step_in_epoch, unfinished: progress.unfinished.clone() };
    Ok((position, progress.best.clone()))
}

/// Takes epoch, weights, averages and, unless a new one is wanted, the optimiser's state from a checkpoint of timm's
/// trainer. What became of the optimiser is the second result.
pub fn restore_timm(
    state: TimmState,
    learner: &mut Learner,
    model: &str,
    new_optimizer: bool,
) -> Result<(Position, String)> {
    let graph = learner.graph().clone();
    let read = |weights: &crate::checkpoint::Weights| -> Result<Vec<Vec<f32>>> {
        let (builder, binding) = weights.builder(None);
        let values = graph.parameters().iter().map(|parameter| {
            let tensor = builder.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        });
        let values = values.collect::<Result<Vec<Vec<f32>>>>()?;
        binding.finish(model)?;
        Ok(values)
    };
    let values = read(&state.model)?;
    let averages = state.ema.as_ref().map(&read).transpose()?;
    learner.executor().restore_values(values, averages)?;
    let loaded = match state.optimizer {
        _ if new_optimizer => Err(anyhow!("--no-resume-opt asks for it")),
        Ok(optimizer) => learner.executor().restore_optimizer(optimizer.steps, optimizer.buffers),
        Err(reason) => Err(reason),
    };
    let said = match loaded {
        Ok(()) => "the optimiser's state goes on too".to_owned(),
        Err(reason) => format!("the optimiser starts afresh: {reason:#}"),
    };
    Ok((Position { epoch: state.epoch, ..Position::default() }, said))
}

/// A plateau's memory as numbers by name; what it does not know yet is left out.
fn plateau_scalars(state: &PlateauState) -> Result<BTreeMap<String, f64>> {
    let value = serde_json::to_value(state)?;
    let fields = value.as_object().into_iter().flatten();
    Ok(fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect())
}

fn plateau(scalars: &BTreeMap<String, f64>) -> Result<PlateauState> {
    let number = |(name, &value): (&String, &f64)| {
        let whole = name == "bad_epochs";
        (name.clone(), if whole { serde_json::json!(value as u64) } else { serde_json::json!(value) })
    };
    let fields: serde_json::Map<String, serde_json::Value> = scalars.iter().map(number).collect();
    serde_json::from_value(fields.into()).context("the saved plateau schedule is damaged")
}
