//! Which epochs' weights are kept.

use std::fs;
use std::path::Path;

use tresnet::checkpoint::{Checkpoint, History, TensorFile};
use tresnet::nn::Parameter;

use candle_nn::Init;

fn parameter() -> Vec<Parameter> {
    vec![Parameter { name: "head.weight".into(), shape: vec![1, 1], init: Init::Const(0.0), trainable: true }]
}

/// Records an epoch whose weight is its number.
fn record(history: &mut History, epoch: u64, metric: f64) -> bool {
    let values = [vec![epoch as f32]];
    let recorded = history.record(epoch, metric, &TensorFile::weights(&parameter(), &values, 0).unwrap()).unwrap();
    assert_eq!(recorded.kept.is_some_and(|file| file.exists()), history.best().iter().any(|best| best.epoch == epoch));
    assert!(recorded.removed.iter().all(|file| !file.exists()));
    recorded.is_best
}

/// The epoch whose weights a file holds.
fn epoch_in(path: &Path) -> f32 {
    let weights = Checkpoint::open(path).unwrap().weights(false).unwrap();
    weights.tensor("head.weight").unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_best_few_the_best_and_the_last_are_there_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::new(folder.path(), 2, true, Vec::new());
    let bests: Vec<bool> = [50.0, 70.0, 60.0, 70.0, 40.0]
        .iter()
        .zip(0..)
        .map(|(&metric, epoch)| record(&mut history, epoch, metric))
        .collect();
    assert_eq!(bests, [true, true, false, false, false]);
    let expected =
        ["checkpoint-1.safetensors", "checkpoint-3.safetensors", "last.safetensors", "model_best.safetensors"];
    assert_eq!(files(folder.path()), expected);
    assert_eq!(epoch_in(&folder.path().join(History::LAST)), 4.0);
    assert_eq!(epoch_in(&folder.path().join(History::BEST)), 1.0);
    assert_eq!(epoch_in(&folder.path().join("checkpoint-3.safetensors")), 3.0);
}

#[test]
fn a_loss_is_better_when_lower_and_nan_is_never_better() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::new(folder.path(), 2, false, Vec::new());
    assert!(record(&mut history, 0, f64::NAN));
    assert!(record(&mut history, 1, 2.0));
    assert!(!record(&mut history, 2, f64::NAN));
    assert!(record(&mut history, 3, 1.0));
    assert_eq!(history.best().iter().map(|best| best.epoch).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn a_resumed_run_remembers_the_best_and_judges_a_repeated_epoch_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::new(folder.path(), 3, true, Vec::new());
    record(&mut history, 0, 50.0);
    record(&mut history, 1, 60.0);
    let known = history.best().to_vec();
    // Killed after epoch 2, before its state was saved.
    record(&mut history, 2, 55.0);
    let mut resumed = History::new(folder.path(), 3, true, known);
    assert!(!record(&mut resumed, 2, 55.0));
    assert_eq!(resumed.best().iter().map(|best| best.epoch).collect::<Vec<_>>(), [1, 2, 0]);
    // Another resume with a shorter list trims it.
    let mut shorter = History::new(folder.path(), 1, true, resumed.best().to_vec());
    assert!(record(&mut shorter, 3, 61.0));
    assert_eq!(files(folder.path()), ["checkpoint-3.safetensors", "last.safetensors", "model_best.safetensors"]);
}

#[test]
fn no_file_of_the_history_shares_its_bytes_with_the_next_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::new(folder.path(), 5, true, Vec::new());
    (0..4).for_each(|epoch| assert!(record(&mut history, epoch, epoch as f64)));
    for epoch in 0..4u8 {
        let path = folder.path().join(format!("checkpoint-{epoch}.safetensors"));
        assert_eq!(epoch_in(&path), f32::from(epoch));
    }
}
