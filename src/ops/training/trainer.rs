//! What learns on a device, behind an interface that every build has.

use anyhow::Result;

use super::{Batch, FlatLayout, TrainingSchedule, UpdateRules};
use crate::ops::DeviceProfile;
use crate::ops::cuda::Element;
use crate::ops::cuda::optimizer::{FINITE, GOOD_STEPS, LOSS, SCALE, STATE, STEPS};

/// What a device needs to know before the first batch.
pub struct TrainingSetup<'a> {
    pub element: Element,
    pub layout: &'a FlatLayout,
    pub rules: &'a UpdateRules,
    /// One a colour of the images.
    pub mean: &'a [f32],
    pub std: &'a [f32],
    /// Most channels of any map.
    pub widest: usize,
    /// Only kernels whose sums have one order.
    pub deterministic: bool,
    pub start: DeviceState,
}

/// All that changes while a network learns, flat as its layout says.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceState {
    pub values: Vec<f32>,
    /// The moving average, where one is kept.
    pub average: Option<Vec<f32>>,
    /// Of the stepped parameters, a vector for each buffer of the optimiser.
    pub buffers: Vec<Vec<f32>>,
    pub numbers: StateNumbers,
}

/// The optimiser's numbers, as kernels keep them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateNumbers(pub [f32; STATE]);

impl StateNumbers {
    /// Of a run that begins with this loss scale.
    pub fn starting_at(scale: f32) -> Self {
        let mut numbers = [0.0; STATE];
        numbers[SCALE] = scale;
        Self(numbers)
    }

    pub fn with(mut self, steps: u64, good_steps: u64) -> Self {
        (self.0[STEPS], self.0[GOOD_STEPS]) = (steps as f32, good_steps as f32);
        self
    }

    pub fn scaled_by(mut self, scale: f32) -> Self {
        self.0[SCALE] = scale;
        self
    }

    /// The loss of the last update: its batches' means times their shares.
    pub fn loss(&self) -> f32 {
        self.0[LOSS]
    }

    /// Whether the last update's gradients were finite, so that a step was taken.
    pub fn finite(&self) -> bool {
        self.0[FINITE] != 0.0
    }

    /// The loss scale of the next update.
    pub fn scale(&self) -> f32 {
        self.0[SCALE]
    }

    pub fn good_steps(&self) -> u64 {
        self.0[GOOD_STEPS] as u64
    }

    pub fn steps(&self) -> u64 {
        self.0[STEPS] as u64
    }
}

/// A network that learns on a device. Nothing but [`Self::read`], and [`Self::outcomes`] where they are all asked for,
/// waits for it.
pub trait Trainer: Send {
    /// Bytes that a schedule may still take; none where nobody counts them.
    fn free_memory(&self) -> Option<usize>;

    /// Takes the memory for a schedule and makes its kernels ready; the number by which [`Self::pass`] knows it. A later
    /// schedule that needs no more shares the memory of the first. Kernels for the first are chosen by timing.
    ///
    /// # Errors
    /// Where memory is short, with the batch that would fit, or what the device says.
    fn prepare(&mut self, schedule: TrainingSchedule) -> Result<usize>;

    /// Begins an update.
    fn begin(&mut self) -> Result<()>;

    /// Adds the gradients of a batch of the schedule of that number.
    fn pass(&mut self, number: usize, batch: &Batch) -> Result<()>;

    /// Ends an update.
    fn end(&mut self) -> Result<()>;

    /// What updates came to that nobody has been told of, in their order: those that are known by now, or all.
    fn outcomes(&mut self, all: bool) -> Result<Vec<StateNumbers>>;

    /// What an update of one batch of the schedule of that number takes, op by op, on whatever pixels the device holds.
    /// It learns from these meanwhile, more than once.
    ///
    /// # Errors
    /// What the device says.
    fn profile(&mut self, number: usize) -> Result<DeviceProfile>;

    fn read(&self) -> Result<DeviceState>;

    fn write(&mut self, state: &DeviceState) -> Result<()>;
}

/// Puts a network onto CUDA device `number`, to learn there.
///
/// # Errors
/// In one line why there is no such device, or what it says.
#[cfg(feature = "cuda")]
pub fn trainer(number: usize, setup: &TrainingSetup) -> Result<Box<dyn Trainer>> {
    Ok(Box::new(super::gpu::GpuTrainer::new(number, setup)?))
}

/// Puts a network onto CUDA device `number`, to learn there.
///
/// # Errors
/// Always: this build has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn trainer(number: usize, _: &TrainingSetup) -> Result<Box<dyn Trainer>> {
    anyhow::bail!("cuda:{number}: {}", crate::runtime::cuda::Absence::NotBuilt)
}
