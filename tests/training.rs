//! Trainings of several steps against PyTorch and timm: the same formula's weights and pixels, and after the last step
//! what `scripts/fixtures/training.py` wrote to `tests/fixtures/training/parity.safetensors`.

#[path = "training/drops.rs"]
mod drops;
#[path = "training/execution.rs"]
mod execution;
#[path = "common/formula.rs"]
mod formula;
#[path = "training/gradients.rs"]
mod gradients;
#[path = "training/parity.rs"]
mod parity;
#[path = "common/random.rs"]
mod random;
#[path = "training/run.rs"]
mod run;
