//! Where values live while a network runs: a few buffers, each taken again once its value has been read for the last
//! time.

use super::graph::{Graph, Op, Value};
use crate::ops::Shape;

/// The buffer of each value, and how large each buffer must be.
pub(super) struct Plan {
    /// Buffer of each value.
    pub slots: Vec<usize>,
    /// Values (f32) in each buffer.
    pub sizes: Vec<usize>,
}

impl Plan {
    /// Assigns buffers for a run up to and with `last`, which is never overwritten. A dropout, which evaluation passes
    /// over, shares its input's.
    pub fn new(graph: &Graph, shapes: &[Shape], last: Value) -> Self {
        let nodes = &graph.nodes[..=last.0];
        // Whose buffer each value is in.
        let mut owner: Vec<usize> = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            owner.push(match (&node.op, node.inputs.first()) {
                (Op::Dropout { .. }, Some(&Value(input))) => owner[input],
                _ => at,
            });
        }
        let mut last_use: Vec<usize> = (0..nodes.len()).collect();
        for (at, node) in nodes.iter().enumerate() {
            for &Value(input) in &node.inputs {
                last_use[owner[input]] = at;
            }
        }
        // Nobody may take what the caller will read.
        last_use[owner[last.0]] = nodes.len();
        let mut plan = Self { slots: Vec::with_capacity(shapes.len()), sizes: Vec::new() };
        let mut free: Vec<usize> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let slot = match owner[at] == at {
                true => plan.take(&mut free, shapes[at].len()),
                false => plan.slots[owner[at]],
            };
            plan.slots.push(slot);
            let mut ended: Vec<usize> = node.inputs.iter().map(|&Value(input)| owner[input]).collect();
            ended.dedup();
            free.extend(ended.into_iter().filter(|&value| last_use[value] == at).map(|value| plan.slots[value]));
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
