//! Profiles of a GPU's kernels. Not yet run on a GPU.

use anyhow::Result;

use super::{Profile, Profiling};
use crate::commands::bench::RGB;
use crate::commands::bench::device_infer::DeviceInference;
use crate::commands::bench::device_step::{DeviceStep, training};
use crate::config::Mode;
use crate::models::Request;
use crate::nn::OpProfile;
use crate::ops::{DeviceOp, DeviceProfile};

impl Profiling<'_> {
    /// On CUDA device `number`.
    pub fn on_device(&self, mode: Mode, number: usize) -> Result<Profile> {
        let (variant, shape) = (self.subject.variant, self.shape(mode)?);
        let element = crate::commands::element(self.settings.runtime.dtype);
        let request = Request { kwargs: self.settings.kwargs, ..Request::new(variant.num_classes, RGB) };
        let architecture = variant.architecture(&request)?;
        let (runs, profile) = match mode {
            Mode::Train => {
                let step = DeviceStep::new(training(variant, architecture, element)?, shape, number)?;
                self.fastest_run(step.profiles()?)?
            }
            _ => {
                let inference = DeviceInference::new(variant, architecture, number, element)?;
                self.fastest_run(inference.profiles(shape)?)?
            }
        };
        self.profile(mode, runs, profile.elapsed, together(profile.ops))
    }

    /// Profiles runs and keeps the fastest; how many there were. An interruption ends it after the run that it is in.
    fn fastest_run(&self, mut run: impl FnMut() -> Result<DeviceProfile>) -> Result<(usize, DeviceProfile)> {
        let (mut fastest, mut runs) = (run()?, 1);
        while runs < self.settings.iters && self.interrupt.received().is_none() {
            fastest = fastest.fastest(run()?);
            runs += 1;
        }
        Ok((runs, fastest))
    }
}

/// Those that do the very same, of which a network has many, as one.
fn together(ops: Vec<DeviceOp>) -> Vec<OpProfile> {
    let mut all: Vec<OpProfile> = Vec::new();
    for DeviceOp { name, kind, shape, time, flops, bytes } in ops {
        match all.iter_mut().find(|own| (&own.name, &own.kind, &own.shape) == (&name, &kind, &shape)) {
            Some(own) => {
                own.calls += 1;
                own.time += time;
                own.flops += flops;
                own.spent_flops += flops;
                own.bytes += bytes;
            }
            None => {
                all.push(OpProfile {
                    name,
                    kind,
                    shape,
                    calls: 1,
                    time,
                    flops,
                    spent_flops: flops,
                    is_bf16: false,
                    bytes,
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn kernels_that_do_the_same_are_one_line_and_others_stay_apart() {
        let op = |shape: &str| DeviceOp {
            name: "blur_pool_f16".into(),
            kind: "blur_pool_f16".into(),
            shape: shape.into(),
            time: Duration::from_millis(2),
            flops: 5,
            bytes: 7,
        };
        let lines = together(vec![op("[8, 56]"), op("[8, 28]"), op("[8, 56]")]);
        let figures: Vec<_> =
            lines.iter().map(|line| (line.calls, line.time.as_millis(), line.flops, line.bytes)).collect();
        assert_eq!(figures, [(2, 4, 10, 14), (1, 2, 5, 7)]);
    }
}
