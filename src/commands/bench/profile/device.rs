//! Profiles of a GPU's kernels. Not yet run on a GPU.

use anyhow::Result;

use super::{Profile, Profiling};
use crate::commands::bench::RGB;
use crate::commands::bench::device_infer::DeviceInference;
use crate::commands::bench::device_step::{DeviceStep, training};
use crate::config::Mode;
use crate::models::Request;
use crate::nn::OpProfile;
use crate::ops::DeviceOp;

impl Profiling<'_> {
    /// On CUDA device `number`.
    pub fn on_device(&self, mode: Mode, number: usize) -> Result<Profile> {
        let (variant, shape) = (self.subject.variant, self.shape(mode)?);
        let element = crate::commands::element(self.settings.runtime.dtype);
        let request = Request { kwargs: self.settings.kwargs, ..Request::new(variant.num_classes, RGB) };
        let architecture = variant.architecture(&request)?;
        let runs = self.settings.iters;
        let profile = match mode {
            Mode::Train => DeviceStep::new(training(variant, architecture, element)?, shape, number)?.profile(runs)?,
            _ => DeviceInference::new(variant, architecture, number, element)?.profile(shape, runs)?,
        };
        self.profile(mode, runs, profile.elapsed, together(profile.ops))
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
