//! Squares that stay on the device until a network, whose stream is another, has read them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::ops::cuda::{Event, Machine, Region};

/// Memory for the squares of a batch, of one batch after the other.
pub(super) struct Slot {
    machine: Arc<dyn Machine>,
    pub squares: Region,
    /// The device has begun to make them.
    begun: Event,
    /// They are there.
    ready: Event,
    /// Whoever reads them has.
    read: Event,
}

impl Slot {
    pub fn new(machine: &Arc<dyn Machine>, bytes: usize) -> Result<Self> {
        Ok(Self {
            squares: machine.allocate(bytes)?,
            begun: machine.event()?,
            ready: machine.event()?,
            read: machine.event()?,
            machine: machine.clone(),
        })
    }

    pub fn begin(&self) -> Result<()> {
        self.machine.mark(&self.begun)
    }

    /// From here on the machine writes: not before the squares of an earlier batch have been read.
    pub fn overwrite(&self) -> Result<()> {
        self.machine.follow(&self.read)
    }

    pub fn finish(&self) -> Result<()> {
        self.machine.mark(&self.ready)
    }

    /// Waits until the squares are there.
    pub fn wait(&self) -> Result<()> {
        self.machine.reach(&self.ready)
    }

    /// Time that the device took for them; waits until they are there.
    pub fn took(&self) -> Result<Duration> {
        self.machine.elapsed(&self.begun, &self.ready)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The memory goes back in the order of the machine's stream. A failure is the device's, and shows elsewhere.
        let _ = self.overwrite();
    }
}

/// The squares of a batch's files. While it lives, nothing is written over them.
pub struct Batch {
    slot: Arc<Slot>,
    square_bytes: usize,
    /// Of each file, whether there is its square: what nvJPEG does not take, or is too large, is left to the caller.
    pub made: Vec<bool>,
}

impl Batch {
    pub(super) fn new(slot: Arc<Slot>, square_bytes: usize, files: usize) -> Self {
        Self { slot, square_bytes, made: vec![false; files] }
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub fn square_bytes(&self) -> usize {
        self.square_bytes
    }

    /// Waits until the squares are there.
    ///
    /// # Errors
    /// What the device says.
    pub fn wait(&self) -> Result<()> {
        self.slot.wait()
    }

    /// Copies the square in a place out.
    ///
    /// # Errors
    /// A place that the batch does not have, and what the device says.
    pub fn fetch(&self, place: usize, out: &mut [u8]) -> Result<()> {
        ensure!(out.len() == self.square_bytes, "{} bytes for a square of {}", out.len(), self.square_bytes);
        self.slot.machine.read(&self.squares(place, out.len())?, out)
    }

    /// Has `read` launch into the stream of `machine` what reads the squares there, once they are there.
    ///
    /// # Errors
    /// Those of `read`, and what the device says.
    pub(super) fn read_on(&self, machine: &dyn Machine, read: impl FnOnce() -> Result<()>) -> Result<()> {
        machine.follow(&self.slot.ready)?;
        // The last mark is to stand for all readers.
        machine.follow(&self.slot.read)?;
        read()?;
        machine.mark(&self.slot.read)
    }

    /// The squares from a place on that are so many bytes.
    pub(super) fn squares(&self, place: usize, bytes: usize) -> Result<Region> {
        self.slot.squares.part(place * self.square_bytes, bytes)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("made", &self.made).finish_non_exhaustive()
    }
}
