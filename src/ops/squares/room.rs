//! Memory on a device that grows as it is needed.

use anyhow::Result;

use crate::ops::cuda::{Machine, Region};

/// None at first.
#[derive(Default)]
pub struct Room {
    region: Option<Region>,
}

impl Room {
    /// `bytes` of it, the same ones each time; what they held is lost. Whatever still works on a smaller room keeps that.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn of(&mut self, machine: &dyn Machine, bytes: usize) -> Result<Region> {
        if let Some(region) = self.region.as_ref().filter(|region| region.bytes() >= bytes) {
            return region.part(0, bytes);
        }
        // The memory of the smaller one goes first.
        self.region = None;
        let region = machine.allocate(bytes.next_power_of_two())?;
        self.region.insert(region).part(0, bytes)
    }
}
