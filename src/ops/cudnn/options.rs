//! How far the search for plans goes.

use super::engine::Filter;
use crate::ops::cuda::Element;

/// What plans may take and how long the search may be.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// What maps and weights are made of. Of f32, tensor cores multiply the first 10 bits (TF32).
    pub element: Element,
    pub filter: Filter,
    /// Bytes of workspace that a plan may ask for.
    pub workspace: usize,
    /// Engines that are built for one graph before it is given up, or that are timed. Building one takes up to 2 s.
    pub tries: usize,
    /// Seconds that building for all of a network's problems may take, about; no limit where there is none.
    pub seconds: Option<f32>,
    /// Bytes a second that our own kernels read and write: what a kernel less is worth.
    pub bandwidth: f32,
}

/// Seconds of one core that compiling a kernel takes: 0.4 to 1.8 were measured, by the engine.
const COMPILATION: f32 = 1.2;
/// Kernels that are compiled for every graph, whatever the time: a choice of one is none.
const LEAST: usize = 2;

impl Default for PlanOptions {
    /// Maps of f16, 256 MiB of workspace, cuDNN's first 8 engines, and the bandwidth of a copy on an H200.
    ///
    /// Building takes about 45 s, so that a minute is left over for timing: a candidate runs eleven times, so that
    /// eight of each problem take as long as some 90 to 190 steps of the network. On 16 cores 45 s are 600 kernels, and
    /// nothing is left out: all 887 candidates of tresnet_m's 71 problems, evaluation's and training's, took 107 s of
    /// one core, most of them being cuDNN's own. On 2 cores 45 s are 75 kernels.
    fn default() -> Self {
        let element = Element::F16;
        let (workspace, bandwidth) = (256 << 20, 4.3e12);
        Self { element, filter: Filter::default(), workspace, tries: 8, seconds: Some(45.0), bandwidth }
    }
}

impl PlanOptions {
    /// Kernels to compile for each of so many graphs that have any, by so many threads. Those that cuDNN brings compiled
    /// cost next to nothing and are not counted.
    pub(super) fn compilations(&self, graphs: usize, threads: usize) -> usize {
        let Some(seconds) = self.seconds else { return self.tries };
        let all = (seconds * threads as f32 / COMPILATION) as usize;
        (all / graphs.max(1)).max(LEAST).min(self.tries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_shared_out_among_the_graphs() {
        let options = PlanOptions::default();
        assert_eq!(options.compilations(60, 16), 8, "as many as are tried at most");
        assert_eq!(options.compilations(120, 16), 5);
        assert_eq!(options.compilations(120, 2), LEAST);
        assert_eq!(options.compilations(0, 1), 8);
        assert_eq!(PlanOptions { seconds: None, ..options }.compilations(1000, 1), 8);
        assert_eq!(PlanOptions { tries: 1, ..options }.compilations(1, 1), 1);
    }
}
