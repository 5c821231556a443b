//! How long a device is at stretches of its stream, while the host goes on. Not yet run on a GPU.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result};

use super::device::Device;
use super::machine::{Event, Machine};

/// Times stretches, one after the other.
#[derive(Default)]
pub struct Stopwatch {
    /// Beginnings and ends of those that were not read.
    under_way: VecDeque<[Event; 2]>,
    /// To be marked again.
    spare: Vec<[Event; 2]>,
    total: Duration,
}

impl Stopwatch {
    /// A stretch begins behind everything launched so far.
    pub fn start(&mut self, device: &Device) -> Result<()> {
        let stretch = match self.spare.pop() {
            Some(stretch) => stretch,
            None => [device.event()?, device.event()?],
        };
        device.mark(&stretch[0])?;
        self.under_way.push_back(stretch);
        Ok(())
    }

    /// It ends with everything launched so far.
    pub fn stop(&mut self, device: &Device) -> Result<()> {
        device.mark(&self.under_way.back().context("nothing is timed")?[1])
    }

    /// Adds the earliest stretch that was not read, which has ended, to the total.
    pub fn read(&mut self, device: &Device) -> Result<()> {
        let stretch = self.under_way.pop_front().context("nothing was timed")?;
        self.total += device.elapsed(&stretch[0], &stretch[1])?;
        self.spare.push(stretch);
        Ok(())
    }

    /// Time of all stretches that were read.
    pub fn total(&self) -> Duration {
        self.total
    }
}
