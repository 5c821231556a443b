//! What a recording's parts take, by the device's clock. Not yet run on a GPU.

use std::time::Duration;

use anyhow::Result;

use super::recording::{Action, Recording};
use crate::ops::cuda::{Device, padded};
use crate::ops::{ConvPass, ConvProblem, DeviceOp, DeviceProfile, Fusion, Shape};

/// What the host takes at most to put an action and an event into a stream. As long the device has to be busy with
/// something else, or it would wait for the host, and the waiting would be counted.
const SUBMISSION: Duration = Duration::from_micros(30);
/// Recordings that are launched to keep it busy, at most.
const MOST_AHEAD: usize = 256;

impl Recording {
    /// A run as a whole, and one part by part.
    ///
    /// # Errors
    /// Names the op that fails and its shape.
    pub fn profile(&mut self, device: &Device) -> Result<DeviceProfile> {
        self.launch()?;
        let started = device.moment()?;
        self.launch()?;
        let elapsed = started.until(&device.moment()?)?;
        let times = self.times(device, elapsed)?;
        let ops = self.actions.iter().zip(times).map(|(action, time)| op(action, time)).collect::<Result<_>>()?;
        Ok(DeviceProfile { elapsed, ops })
    }

    /// Of one run, each action's.
    fn times(&mut self, device: &Device, whole: Duration) -> Result<Vec<Duration>> {
        for _ in 0..launches_ahead(self.actions.len(), whole) {
            self.launch()?;
        }
        let mut moments = vec![device.moment()?];
        for action in &self.actions {
            action.queue(device)?;
            moments.push(device.moment()?);
        }
        device.synchronize()?;
        moments.windows(2).map(|pair| pair[0].until(&pair[1])).collect()
    }
}

/// Recordings that take as long as the host needs to submit so many actions.
fn launches_ahead(actions: usize, whole: Duration) -> usize {
    let submitting = SUBMISSION * actions as u32;
    (submitting.as_nanos().div_ceil(whole.as_nanos().max(1)) as usize).clamp(1, MOST_AHEAD)
}

fn op(action: &Action, time: Duration) -> Result<DeviceOp> {
    Ok(match action {
        Action::Launch(launch) => DeviceOp {
            name: launch.kernel().to_owned(),
            kind: launch.kernel().to_owned(),
            shape: launch.what().to_owned(),
            time,
            flops: 0,
            bytes: launch.bytes() as u64,
        },
        Action::Convolution(problem, plan) => DeviceOp {
            name: plan.engine(),
            kind: kind(problem, plan.fusion()),
            shape: shape(problem)?,
            time,
            flops: 2 * problem.macs()?,
            bytes: plan.bytes() as u64,
        },
    })
}

/// `conv 3x3/2: weight gradient`; maps that are added and activations aside.
fn kind(problem: &ConvProblem, fusion: Fusion) -> String {
    let ConvProblem { spec, pass, .. } = problem;
    let pass = match (pass, fusion) {
        (ConvPass::Statistics, Fusion::Whole) => "forward with statistics",
        (ConvPass::Forward { .. } | ConvPass::Statistics, _) => "forward",
        (ConvPass::NormGradient { .. }, Fusion::Whole) => "input gradient with the norm's",
        (ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. }, _) => "input gradient",
        (ConvPass::WeightGradient, _) => "weight gradient",
    };
    let groups = if spec.groups > 1 { format!(" in {} groups", spec.groups) } else { String::new() };
    format!("conv {0}x{0}/{1}{groups}: {pass}", spec.kernel, spec.stride)
}

fn shape(problem: &ConvProblem) -> Result<String> {
    let one =
        |Shape { batch, height, width, channels }: Shape| format!("{batch}x{height}x{width}x{}", padded(channels));
    Ok(format!("{} > {}", one(problem.input), one(problem.output()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_kept_busy_for_as_long_as_submitting_takes() {
        // 200 actions are submitted within 6 ms: once is enough where a batch takes 10, and ten times where it takes 0.6.
        assert_eq!(launches_ahead(200, Duration::from_millis(10)), 1);
        assert_eq!(launches_ahead(200, Duration::from_micros(600)), 10);
        assert_eq!(launches_ahead(200, Duration::ZERO), MOST_AHEAD);
        assert_eq!(launches_ahead(0, Duration::from_millis(1)), 1);
    }
}
