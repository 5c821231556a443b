//! A plan of cuDNN's held against kernels of our own, on the device and at the shapes that it will be used for, before
//! anything is computed by it: some engines accept what they may not honour, such as a leaky slope. Not yet run on a GPU.
//!
//! Maps are made up where they will lie, since nothing lies there yet. Filters, biases and norms are made up beside them:
//! the real ones may be zeros, which prove nothing, and must stay. Of a batch the first and the last image are computed again,
//! each by a problem of one image; a weight's gradient is of those two alone, all others having no gradient; sums over
//! all pixels are held against those of the plan's own output.

mod norms;
mod operands;
mod reference;
mod sums;
mod tolerance;

use anyhow::{Context, Result};

use self::operands::Made;
use self::reference::Reference;
use super::convolution::{Convolutions, Operands};
use crate::ops::cuda::Device;
use crate::ops::cuda::verification::Deviation;
use crate::ops::cudnn::{ConvPlan, StatusError, Verification};

impl Convolutions {
    /// Runs a plan on operands that are made up, and compares. All maps among the tensors are overwritten; their filter,
    /// bias and norm are left alone. Takes memory for a filter and two images' results meanwhile; where that is not there, nothing
    /// is compared.
    ///
    /// # Errors
    /// Where the tensors are not what the plan needs, or the device is lost. What cuDNN alone says against a run makes the
    /// plan a wrong one.
    pub fn verify(&self, device: &Device, plan: &ConvPlan, tensors: &dyn Operands) -> Result<Verification> {
        let reference = Reference::new(plan, self.element())?;
        let mut arena = match device.arena(reference.bytes()) {
            Ok(arena) => arena,
            Err(error) => return Ok(Verification::Skipped(error)),
        };
        let room = reference.take(&mut arena)?;
        let made = Made { own: tensors, room: &room };
        if let Some(norm) = &room.norm {
            norm.make_up(device, reference.problem.input.channels)?;
        }
        // What is added may lie where the result will: the reference comes first.
        for launch in reference.make_up(&made)?.iter().chain(&reference.launches(&made)?) {
            device.launch(launch)?;
        }
        let bound = self.bind(&plan.plan, &plan.graph, &made)?;
        if let Err(error) = bound.run(device) {
            // An error of the context's stays with it, and shows here again, whoever reported it first.
            device.synchronize().with_context(|| format!("{error:#}"))?;
            let refused = error.is::<StatusError>();
            return if refused { Ok(Verification::Wrong(format!("{error:#}"))) } else { Err(error) };
        }
        for launch in &reference.comparisons(&made)? {
            device.launch(launch)?;
        }
        let deviation = Deviation::of(&device.read(&room.found)?);
        if !deviation.is_within() {
            return Ok(Verification::Wrong(deviation.to_string()));
        }
        let wrong = match (&room.statistics, &room.norm) {
            (Some(statistics), _) => statistics.deviation(device, &reference, &made)?,
            (_, Some(norm)) => norm.deviation(device, &reference, &made)?,
            _ => None,
        };
        Ok(wrong.map_or(Verification::Right, Verification::Wrong))
    }
}
