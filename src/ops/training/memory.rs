//! The memory that training works on, and the parts of it that steps name.

use anyhow::{Context, Result};

use super::{Filter, NormPlaces, Place, TrainingSchedule, TrainingStep, Variable};
use crate::ops::Slot;
use crate::ops::cuda::batch_norm::{Norm, Running};
use crate::ops::cuda::{Element, Region};

/// What the steps of a forward and backward pass work on.
#[derive(Clone)]
pub struct TrainingMemory {
    pub element: Element,
    /// As large as the schedule says.
    pub arena: Region,
    /// The batch's block.
    pub batch: Region,
    /// Mean and standard deviation, f32, one a colour.
    pub normalization: [Region; 2],
    /// Parameters in f32, all of the layout.
    pub values: Region,
    /// The same in the element, as many as have a gradient: the convolutions' weights.
    pub copies: Region,
    /// f32, as many.
    pub gradients: Region,
    /// The optimiser's `STATE`.
    pub state: Region,
    /// f32, as many as any map has channels.
    pub zeros: Region,
}

/// What an update works on beside that.
#[derive(Clone)]
pub struct UpdateMemory {
    /// f32, as many as are stepped, for each buffer of the optimiser.
    pub buffers: Vec<Region>,
    /// f32, all of the layout, where a moving average is kept.
    pub average: Option<Region>,
    /// f32: the running statistics before the update.
    pub running: Region,
    /// A byte a segment: its group.
    pub groups: Region,
    /// Two f32 a group: the factor on the learning rate, and the weight decay.
    pub table: Region,
    /// For sums of squares.
    pub squares: Region,
    /// Two i32 for each unit that is clipped apart from others; empty where none is.
    pub units: Region,
    /// What LAMB needs to know of each parameter; empty for others. See `update.rs`.
    pub segments: Option<Region>,
    pub spans: Option<Region>,
    pub norms: Option<Region>,
}

/// A step with its memory.
pub(super) struct Bound<'a> {
    pub memory: &'a TrainingMemory,
    pub schedule: &'a TrainingSchedule,
    pub step: &'a TrainingStep,
}

impl Bound<'_> {
    /// A variable's memory.
    fn at(&self, variable: Variable) -> Result<Region> {
        let slot = self.schedule.slots.get(variable.0).with_context(|| format!("{variable:?} has no place"))?;
        self.memory.arena.part(slot.offset, slot.bytes)
    }

    /// What the step reads, as number `at`.
    pub fn read(&self, at: usize) -> Result<Region> {
        self.maybe_read(at)?.with_context(|| format!("{:?} reads too little", self.step.op))
    }

    pub fn maybe_read(&self, at: usize) -> Result<Option<Region>> {
        self.step.reads.get(at).map(|&variable| self.at(variable)).transpose()
    }

    /// What the step writes, as number `at`.
    pub fn write(&self, at: usize) -> Result<Region> {
        self.maybe_write(at)?.with_context(|| format!("{:?} writes too little", self.step.op))
    }

    pub fn maybe_write(&self, at: usize) -> Result<Option<Region>> {
        self.step.writes.get(at).map(|&variable| self.at(variable)).transpose()
    }

    pub fn value(&self, place: Place) -> Result<Region> {
        part(&self.memory.values, place.words())
    }

    pub fn gradient(&self, place: Place) -> Result<Region> {
        part(&self.memory.gradients, place.words())
    }

    /// A parameter in the element.
    pub fn copy(&self, place: Place) -> Result<Region> {
        part(&self.memory.copies, place.of(self.memory.element))
    }

    /// A convolution's weight, which is the last that the step reads where it was joined.
    pub fn filter(&self, weight: &Filter) -> Result<Region> {
        match weight {
            Filter::Parameter(place) => self.copy(*place),
            Filter::Joined(_) => self.read(self.step.reads.len().saturating_sub(1)),
        }
    }

    /// What a convolution's step adds to its product, if it does.
    pub fn added(&self) -> Result<Option<Region>> {
        self.step.op.adds().then(|| self.read(1)).transpose()
    }

    /// A run of scales of the batch.
    pub fn scales(&self, number: usize) -> Result<Region> {
        let slot = self.schedule.batch.scales.get(number);
        part(&self.memory.batch, *slot.with_context(|| format!("the batch has no scales {number}"))?)
    }

    /// A dropout of the batch.
    pub fn draw(&self, number: usize) -> Result<Region> {
        let slot = self.schedule.batch.dropouts.get(number);
        part(&self.memory.batch, *slot.with_context(|| format!("the batch has no dropout {number}"))?)
    }

    /// A norm with `numbers`, four f32 a channel, for what a batch gives it.
    pub fn norm(&self, places: &NormPlaces, numbers: &Region) -> Result<Norm> {
        let len = numbers.bytes() / 4;
        let number = |at: usize| numbers.part(at * len, len);
        Ok(Norm {
            weight: self.value(places.weight)?,
            bias: self.value(places.bias)?,
            mean: number(0)?,
            inverse: number(1)?,
            scale: number(2)?,
            shift: number(3)?,
        })
    }

    /// The running statistics that a norm moves with `momentum`, if it does.
    pub fn running(&self, places: &NormPlaces, momentum: Option<f32>) -> Result<Option<Running>> {
        let Some(momentum) = momentum else { return Ok(None) };
        Ok(Some(Running { mean: self.value(places.mean)?, variance: self.value(places.variance)?, momentum }))
    }
}

pub(super) fn part(region: &Region, slot: Slot) -> Result<Region> {
    region.part(slot.offset, slot.bytes)
}
