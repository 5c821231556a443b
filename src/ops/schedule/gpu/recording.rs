//! What a stream is given for a batch, launches of our own and plans of cuDNN's, as one CUDA graph. Not yet run on a GPU.

use std::fmt;

use anyhow::{Context, Result};

use super::convolution::BoundConvolution;
use crate::ops::ConvProblem;
use crate::ops::cuda::{Device, Graph, Launch};

/// One thing that a stream is given.
pub enum Action {
    Launch(Launch),
    Convolution(ConvProblem, BoundConvolution),
}

/// The op and its shape.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch(launch) => launch.fmt(f),
            Self::Convolution(problem, _) => problem.fmt(f),
        }
    }
}

impl Action {
    /// Puts it into the stream, or into the graph that is being recorded.
    pub(super) fn queue(&self, device: &Device) -> Result<()> {
        match self {
            Self::Launch(launch) => device.launch(launch),
            Self::Convolution(_, plan) => plan.run(device),
        }
    }
}

/// Actions that were recorded, to be launched as a whole.
pub struct Recording {
    graph: Graph,
    /// With a plan go the kernels that were compiled for it, which the graph launches.
    pub(super) actions: Vec<Action>,
}

impl Recording {
    /// Runs each action once, then records them all.
    ///
    /// # Errors
    /// Names the op that fails and its shape.
    pub fn new(device: &Device, actions: Vec<Action>) -> Result<Self> {
        // Kernels are loaded when they first run, which a recording would not allow. One after the other, so that one
        // that fails is known by its name.
        for action in &actions {
            action
                .queue(device)
                .and_then(|()| device.synchronize())
                .with_context(|| format!("the GPU fails at {action}"))?;
        }
        let graph = Graph::record(device, || actions.iter().try_for_each(|action| action.queue(device)))?;
        Ok(Self { graph, actions })
    }

    /// Puts all of it into the stream, and returns before it has run.
    pub fn launch(&mut self) -> Result<()> {
        self.graph.launch()
    }
}
