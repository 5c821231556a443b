//! From steps to launches.

mod backward;
mod forward;

use anyhow::{Result, bail};

use super::memory::{Bound, part};
use super::{TrainingMemory, TrainingOp, TrainingSchedule};
use crate::ops::cuda::{Launch, Region, training};

impl TrainingSchedule {
    /// The launches that add `bare`, what step number `at` makes of a weight's gradient in the schedule's element, to the
    /// parameters' gradients.
    ///
    /// # Errors
    /// If the step makes none, or the memory is not what it needs.
    pub fn raising(&self, at: usize, memory: &TrainingMemory, bare: &Region) -> Result<Vec<Launch>> {
        let step = &self.steps[at];
        let TrainingOp::ConvWeightGradient { weight, .. } = &step.op else {
            bail!("step {at} makes no weight's gradient")
        };
        Bound { memory, schedule: self, step }.raise(weight, self.element, bare)
    }

    /// The launches of step number `at`, in their order; a convolution's are the slow ones of our own.
    ///
    /// # Errors
    /// If the memory is not what the step needs.
    pub fn launches(&self, at: usize, memory: &TrainingMemory) -> Result<Vec<Launch>> {
        let step = &self.steps[at];
        let bound = Bound { memory, schedule: self, step };
        if let TrainingOp::Loss { batch, .. } = step.op {
            let control = part(&memory.batch, self.batch.control)?;
            let mut launches = bound.forward()?;
            launches.insert(0, training::begin_batch(&control, &memory.state)?);
            launches.push(training::end_batch(batch, &bound.write(0)?, &control, &memory.state)?);
            return Ok(launches);
        }
        bound.launches()
    }
}
