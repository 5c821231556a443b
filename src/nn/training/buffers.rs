//! Buffers that go from one step to the next: a step's shapes are the last step's, so after the first no step pays for
//! fresh memory.

use std::collections::HashMap;

/// Free buffers by length.
#[derive(Default)]
pub(super) struct Buffers(HashMap<usize, Vec<Vec<f32>>>);

impl Buffers {
    /// A buffer of `len` values, whatever they are.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        self.0.get_mut(&len).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; len])
    }

    pub fn give_back(&mut self, buffer: Vec<f32>) {
        if !buffer.is_empty() {
            self.0.entry(buffer.len()).or_default().push(buffer);
        }
    }
}
