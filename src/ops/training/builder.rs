//! Builds a schedule step by step; lifetimes follow from the steps, places from the lifetimes.

use anyhow::{Context, Result};

use super::{BatchLayout, TrainingOp, TrainingSchedule, TrainingStep, Variable};
use crate::ops::cuda::Element;
use crate::ops::{Request, Shape, Slot, place};

/// A schedule in the making.
pub struct TrainingBuilder {
    element: Element,
    image: Shape,
    steps: Vec<TrainingStep>,
    /// The memory of each variable.
    homes: Vec<usize>,
    /// Bytes of each memory.
    sizes: Vec<usize>,
}

impl TrainingBuilder {
    pub fn new(element: Element, image: Shape) -> Self {
        Self { element, image, steps: Vec::new(), homes: Vec::new(), sizes: Vec::new() }
    }

    pub fn element(&self) -> Element {
        self.element
    }

    /// A map of the element in memory of its own.
    pub fn map(&mut self, shape: Shape) -> Variable {
        self.bytes(shape.len() * self.element.size())
    }

    /// As many f32 in memory of their own.
    pub fn words(&mut self, count: usize) -> Variable {
        self.bytes(count * size_of::<f32>())
    }

    fn bytes(&mut self, bytes: usize) -> Variable {
        self.sizes.push(bytes);
        self.homes.push(self.sizes.len() - 1);
        Variable(self.homes.len() - 1)
    }

    /// Another variable in the memory of `other`, which is gone once it is written.
    pub fn over(&mut self, other: Variable) -> Variable {
        self.homes.push(self.homes[other.0]);
        Variable(self.homes.len() - 1)
    }

    pub fn push<const R: usize, const W: usize>(
        &mut self,
        op: TrainingOp,
        reads: [Variable; R],
        writes: [Variable; W],
    ) {
        self.push_all(op, reads.to_vec(), writes.to_vec());
    }

    /// As [`Self::push`] where the op takes some variables in some cases only.
    pub fn push_all(&mut self, op: TrainingOp, reads: Vec<Variable>, writes: Vec<Variable>) {
        self.steps.push(TrainingStep { op, reads, writes });
    }

    /// Places everything.
    ///
    /// # Errors
    /// If a variable's memory is used by no step.
    pub fn finish(self, batch: BatchLayout, logits: Variable) -> Result<TrainingSchedule> {
        let mut lives: Vec<Option<(usize, usize)>> = vec![None; self.sizes.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for variable in step.reads.iter().chain(&step.writes) {
                let life = &mut lives[self.homes[variable.0]];
                *life = Some((life.map_or(at, |(first, _)| first), at));
            }
        }
        let request = |(bytes, life): (&usize, &Option<(usize, usize)>)| {
            let (first, last) = life.context("a variable that no step uses")?;
            Ok(Request { bytes: *bytes, first, last })
        };
        let requests: Vec<Request> = self.sizes.iter().zip(&lives).map(request).collect::<Result<_>>()?;
        let (places, arena_bytes) = place(&requests);
        let slots: Vec<Slot> = self.homes.iter().map(|&home| places[home]).collect();
        let Self { element, image, steps, .. } = self;
        Ok(TrainingSchedule { element, image, steps, slots, arena_bytes, batch, logits })
    }
}
