//! The device's own clock: points in its stream, and the time between them. Not yet run on a GPU.

use std::time::Duration;

use anyhow::{Context, Result};
use cudarc::driver::{CudaEvent, sys::CUevent_flags};

use super::device::Device;

/// A point in the stream, reached when all is done that was put there before.
pub struct Moment(CudaEvent);

impl Device {
    /// Behind all that the stream was given so far.
    pub fn moment(&self) -> Result<Moment> {
        let event = self.stream().record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
        Ok(Moment(event.context("the GPU's clock cannot be set")?))
    }
}

impl Moment {
    /// The time until a later one, which is waited for.
    ///
    /// # Errors
    /// What the device says, to whatever it was given before.
    pub fn until(&self, later: &Self) -> Result<Duration> {
        between(&self.0, &later.0)
    }
}

/// The time from one event to another, both of which are waited for.
///
/// # Errors
/// What the device says, to whatever it was given before.
pub(super) fn between(from: &CudaEvent, to: &CudaEvent) -> Result<Duration> {
    let milliseconds = from.elapsed_ms(to).context("the GPU does not tell the time")?;
    Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
}
