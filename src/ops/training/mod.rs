//! A training step on a device, laid out beforehand: forward pass, loss and backward pass as a list of ops, each
//! variable in a part of one arena while it lives.
//!
//! As with a forward pass for evaluation, a schedule is data: whether two live variables ever share a byte, and whether
//! the steps give the loss and the gradients of the CPU's executor, is tested without a GPU, on the very launches.

mod batch;
mod builder;
mod conflict;
#[cfg(feature = "cuda")]
mod gpu;
mod launches;
mod layout;
mod memory;
mod places;
mod step;
mod trainer;
mod update;

use super::cuda::Element;
use super::{Shape, Slot};

pub use batch::{Batch, BatchLayout, Control, Pixels, TargetKind, TargetValues};
pub use builder::TrainingBuilder;
pub use layout::FlatLayout;
pub use memory::{TrainingMemory, UpdateMemory};
pub use places::{AffinePlaces, Filter, FilterPart, GatePlaces, NormPlaces, Place};
pub use step::{GateSizes, LossRule, NORM_SUMS, SavedNorm, TrainingOp, TrainingStep};
pub use trainer::{DeviceState, StateNumbers, Trainer, TrainingSetup, trainer};
pub use update::{Clipping, LambRules, Stepper, UpdateRules, UpdateSizes};

/// A variable of a schedule: what one step writes and others read. Steps that work in place write another variable into
/// the same memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable(pub usize);

/// Forward and backward pass for one shape of batch.
#[derive(Clone, Debug)]
pub struct TrainingSchedule {
    /// What maps and convolutions' weights are made of.
    pub element: Element,
    /// Of the images.
    pub image: Shape,
    pub steps: Vec<TrainingStep>,
    /// Each variable's part of the arena.
    pub slots: Vec<Slot>,
    pub arena_bytes: usize,
    /// What a batch brings along.
    pub batch: BatchLayout,
    /// f32 `[batch, classes]`
    pub logits: Variable,
}
