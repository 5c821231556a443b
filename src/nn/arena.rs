//! Where values live while a network runs: a few buffers, each taken again once its value has been read for the last
//! time.

use super::graph::{Graph, Value};
use crate::ops::Shape;

/// The buffer of each value, and how large each buffer must be.
pub(super) struct Plan {
    /// Buffer of each value.
    pub slots: Vec<usize>,
    /// Values (f32) in each buffer.
    pub sizes: Vec<usize>,
}

impl Plan {
    /// Assigns buffers for a run up to and with `last`, which is never overwritten.
    pub fn new(graph: &Graph, shapes: &[Shape], last: Value) -> Self {
        let mut last_use: Vec<usize> = (0..=last.0).collect();
        for (at, node) in graph.nodes[..=last.0].iter().enumerate() {
            for &Value(input) in &node.inputs {
                last_use[input] = at;
            }
        }
        let mut plan = Self { slots: Vec::with_capacity(shapes.len()), sizes: Vec::new() };
        let mut free: Vec<usize> = Vec::new();
        for (at, node) in graph.nodes[..=last.0].iter().enumerate() {
            let slot = plan.take(&mut free, shapes[at].len());
            plan.slots.push(slot);
            for (index, &Value(input)) in node.inputs.iter().enumerate() {
                if last_use[input] == at && !node.inputs[..index].contains(&Value(input)) {
                    free.push(plan.slots[input]);
                }
            }
        }
        plan
    }

    /// The free buffer that wastes least, grown if none is large enough; a new one if none is free.
    fn take(&mut self, free: &mut Vec<usize>, size: usize) -> usize {
        let waste = |&slot: &usize| {
            let has = self.sizes[slot];
            if has >= size { (0, has - size) } else { (1, size - has) }
        };
        match (0..free.len()).min_by_key(|&at| waste(&free[at])) {
            Some(at) => {
                let slot = free.swap_remove(at);
                self.sizes[slot] = self.sizes[slot].max(size);
                slot
            }
            None => {
                self.sizes.push(size);
                self.sizes.len() - 1
            }
        }
    }
}

/// Buffers that go from one run to the next, so that no run pays for fresh memory.
#[derive(Default)]
pub(super) struct Arena {
    slots: Vec<Vec<f32>>,
}

impl Arena {
    /// Makes the buffers at least as large as the plan asks.
    pub fn reserve(&mut self, plan: &Plan) {
        self.slots.resize_with(self.slots.len().max(plan.sizes.len()), Vec::new);
        for (slot, &size) in self.slots.iter_mut().zip(&plan.sizes) {
            if slot.len() < size {
                // What the buffer held is of no use: dropped first, so that the two never exist together.
                *slot = Vec::new();
                *slot = vec![0.0; size];
            }
        }
    }

    /// Takes a buffer out, to be written while others are read.
    pub fn take(&mut self, slot: usize) -> Vec<f32> {
        std::mem::take(&mut self.slots[slot])
    }

    pub fn put_back(&mut self, slot: usize, buffer: Vec<f32>) {
        self.slots[slot] = buffer;
    }

    pub fn slot(&self, slot: usize) -> &[f32] {
        &self.slots[slot]
    }
}
