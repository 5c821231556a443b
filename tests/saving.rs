//! Saved checkpoints: what a network gets back, what other readers see, and what happens when a file is damaged or a
//! disk gives out. `scripts/checks/saved-weights.py` shows the same files to timm and torch-resnet.

#[path = "saving/damage.rs"]
mod damage;
#[path = "common/formula.rs"]
#[allow(dead_code, reason = "its pixels are for the networks' tests")]
mod formula;
#[path = "saving/history.rs"]
mod history;
#[path = "saving/limits.rs"]
mod limits;
#[path = "common/random.rs"]
mod random;
#[path = "saving/weights.rs"]
mod weights;

use std::path::Path;

use anyhow::Result;
use tresnet::checkpoint::{ResumeFiles, ResumeState, Resumed, RunProgress};
use tresnet::models;
use tresnet::nn::Parameter;

/// The parameters of a network with ten classes.
fn parameters(model: &str) -> Vec<Parameter> {
    let architecture = models::find(model).unwrap().architecture(&models::Request::new(10, 3)).unwrap();
    architecture.graph.parameters().to_vec()
}

/// Values of every parameter, of their own for each `stream`.
fn values(parameters: &[Parameter], stream: &str) -> Vec<Vec<f32>> {
    parameters
        .iter()
        .map(|parameter| formula::value(&format!("{stream}{}", parameter.name), &parameter.shape))
        .collect()
}

/// Saves a state of `resnet20` in which everything depends on the number of updates.
fn save_state(files: &mut ResumeFiles, updates: u64) -> Result<()> {
    let parameters = parameters("resnet20");
    let tensors = |name: &str| values(&parameters, &format!("{name} {updates} "));
    let (model, ema, mut momentum) = (tensors("model"), tensors("ema"), tensors("momentum"));
    for (parameter, values) in parameters.iter().zip(&mut momentum).filter(|(parameter, _)| !parameter.trainable) {
        assert!(parameter.name.contains("running"));
        values.clear();
    }
    let progress = RunProgress { updates, seed: 42, ..RunProgress::default() };
    files.save(&ResumeState {
        progress: &progress,
        parameters: &parameters,
        model: &model,
        ema: Some(&ema),
        optimizer: &[("momentum", momentum.iter().map(Vec::as_slice).collect())],
    })
}

/// Looks at every number of the state.
fn is_of(resumed: &Resumed, updates: u64) {
    let parameters = parameters("resnet20");
    let tensors = |name: &str| values(&parameters, &format!("{name} {updates} "));
    assert_eq!((resumed.progress.updates, resumed.progress.seed), (updates, 42));
    assert_eq!(resumed.model(&parameters).unwrap(), tensors("model"));
    assert_eq!(resumed.ema(&parameters).unwrap().unwrap(), tensors("ema"));
    assert_eq!(resumed.slots().into_iter().collect::<Vec<_>>(), ["momentum"]);
    let momentum = resumed.slot("momentum", &parameters).unwrap();
    for ((found, expected), parameter) in momentum.iter().zip(tensors("momentum")).zip(&parameters) {
        assert_eq!(*found, if parameter.trainable { expected } else { Vec::new() }, "{}", parameter.name);
    }
}

fn newest(folder: &Path) -> Resumed {
    let newest = ResumeFiles::new(folder).newest().unwrap_or_else(|error| panic!("{error:#}"));
    newest.expect("a state was saved")
}
