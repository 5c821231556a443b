//! Where a run's time goes: each op's calls and time, with the work that it does.

mod describe;
mod work;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::work::Work;
use super::graph::Graph;
use crate::ops::{Isa, Shape};

/// What is done for a node, where more than one thing is. In the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Forward,
    /// Batch norm with a batch's own statistics, and what is fused to it.
    Norm,
    /// From the node's output back to its input: all of it, or of a convolution what lies behind the products.
    Gradient,
    WeightGradient,
    InputGradient,
}

/// Adds up each op's time. One that is off reads no clock.
#[derive(Debug, Default)]
pub struct Recorder {
    on: bool,
    /// The node at hand, and the images of the run.
    node: usize,
    images: Option<Shape>,
    tallies: BTreeMap<(usize, Part), Tally>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    time: Duration,
    /// Calls by the shape of the run's images, in the order of their coming: a batch may go through in parts.
    calls: Vec<(Shape, u64)>,
}

/// What an op took, and what it had to do in all its calls.
#[derive(Clone, Debug, PartialEq)]
pub struct OpProfile {
    /// After its parameters, or after the op before it.
    pub name: String,
    /// Ops of one kind do the same with other sizes: `conv 3x3 winograd F(4x4)`.
    pub kind: String,
    /// Of one image: `56x56x64 > 56x56x64`.
    pub shape: String,
    pub calls: u64,
    pub time: Duration,
    /// Floating-point operations as the plain sum counts them.
    pub flops: u64,
    /// Those of the algorithm: fewer than `flops` with Winograd's.
    pub spent_flops: u64,
    /// Whether they are products of bf16.
    pub is_bf16: bool,
    /// Activations and weights read and written.
    pub bytes: u64,
}

impl Recorder {
    /// One that counts.
    pub fn on() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// Whether it counts.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Tells the shape of the images that are about to run.
    pub(super) fn begin(&mut self, images: Shape) {
        self.images = Some(images);
    }

    /// Tells the node whose parts follow.
    pub(super) fn enter(&mut self, node: usize) {
        self.node = node;
    }

    pub(super) fn start(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }

    /// Counts what has run since `started`.
    pub(super) fn stop(&mut self, started: Option<Instant>, part: Part) {
        let (Some(started), Some(images)) = (started, self.images) else { return };
        let tally = self.tallies.entry((self.node, part)).or_default();
        tally.time += started.elapsed();
        match tally.calls.iter_mut().find(|(shape, _)| *shape == images) {
            Some((_, calls)) => *calls += 1,
            None => tally.calls.push((images, 1)),
        }
    }

    /// All that was counted of a run of `graph` on `isa`, in the graph's order; `trained`: with the algorithms of
    /// training.
    pub(super) fn ops(&self, graph: &Graph, isa: Isa, trained: bool) -> Result<Vec<OpProfile>> {
        self.tallies.iter().map(|(&(node, part), tally)| op(graph, isa, trained, node, part, tally)).collect()
    }
}

fn op(graph: &Graph, isa: Isa, trained: bool, node: usize, part: Part, tally: &Tally) -> Result<OpProfile> {
    let mut sum = Work::default();
    let mut shape = String::new();
    for &(images, calls) in &tally.calls {
        let shapes = graph.shapes(images)?;
        sum += work::work(graph, node, part, &shapes, images, (isa, trained)) * calls;
        shape = describe::shape(graph, node, &shapes);
    }
    Ok(OpProfile {
        name: describe::name(graph, node),
        kind: describe::kind(graph, node, part, (isa, trained)),
        shape,
        calls: tally.calls.iter().map(|(_, calls)| calls).sum(),
        time: tally.time,
        flops: sum.flops,
        spent_flops: sum.spent_flops,
        is_bf16: work::is_bf16(graph, node, part, (isa, trained)),
        bytes: sum.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_that_is_off_holds_nothing() {
        let mut recorder = Recorder::default();
        recorder.begin(Shape::new(1, 2, 2, 1));
        let started = recorder.start();
        assert!(started.is_none());
        recorder.stop(started, Part::Forward);
        assert!(recorder.tallies.is_empty());
    }

    #[test]
    fn calls_of_all_shapes_add_up() {
        let (mut graph, image) = Graph::new(2, 1);
        graph.blur_pool(image);
        let mut recorder = Recorder::on();
        for batch in [4, 4, 1] {
            recorder.begin(Shape::new(batch, 8, 8, 2));
            recorder.enter(1);
            recorder.stop(recorder.start(), Part::Forward);
        }
        let ops = recorder.ops(&graph, Isa::Portable, false).unwrap();
        assert_eq!((ops.len(), ops[0].calls), (1, 3));
        // Nine images of 4x4 outputs with nine taps each, in two channels.
        assert_eq!(ops[0].flops, 2 * 9 * 9 * 16 * 2);
        assert_eq!(ops[0].bytes, 4 * 9 * 2 * (64 + 16));
    }
}
