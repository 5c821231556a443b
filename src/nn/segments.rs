//! Where a network may forget what it computed on the way: what checkpointing keeps (Chen et al., arXiv 1604.06174).

use std::ops::Range;

use super::graph::{Graph, Value};

impl Graph {
    /// Runs of nodes up to `output` such that one value alone, the last of a run, is used by later runs.
    pub(super) fn segments(&self, output: Value) -> Vec<Range<usize>> {
        let last = output.0 + 1;
        let mut segments = Vec::new();
        let mut start = 0;
        for end in 2..=last {
            let crosses = |node: usize| self.nodes[node].inputs.iter().any(|input| input.0 + 1 < end);
            if end == last || !(end..last).any(crosses) {
                segments.push(start..end);
                start = end;
            }
        }
        segments
    }
}
