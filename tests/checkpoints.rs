//! Checkpoints: every form that PyTorch writes (`tests/fixtures/checkpoints/`, made by
//! `scripts/fixtures/checkpoints.py`), what a network is told that does not fit, and files made to do harm.

#[path = "common/formula.rs"]
mod formula;
#[path = "common/random.rs"]
mod random;

#[path = "checkpoints/binding.rs"]
mod binding;
#[path = "checkpoints/families.rs"]
mod families;
#[path = "checkpoints/forms.rs"]
mod forms;
#[path = "checkpoints/hostile.rs"]
mod hostile;
#[path = "checkpoints/logits.rs"]
mod logits;
#[path = "checkpoints/refusals.rs"]
mod refusals;
#[path = "checkpoints/selection.rs"]
mod selection;
#[path = "checkpoints/writer.rs"]
mod writer;

use std::path::PathBuf;

use tresnet::checkpoint::Checkpoint;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(fixture(name)).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The whole message of the error that reading these bytes and all their weights ends in.
fn refusal(bytes: Vec<u8>) -> String {
    let read = || {
        let weights = Checkpoint::from_bytes(bytes)?.weights(false)?;
        weights.names().try_for_each(|(name, _)| weights.tensor(name).map(drop))
    };
    match read() {
        Ok(()) => panic!("the file was accepted"),
        Err(error) => format!("{error:#}"),
    }
}
