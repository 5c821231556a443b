//! What a stream is given for a batch: launches of our own and plans of cuDNN's. Not yet run on a GPU.

use std::fmt;

use anyhow::{Context, Result, bail};

use super::Gpu;
use super::convolution::{BoundConvolution, Convolutions, Tensors};
use crate::ops::cuda::{Device, Launch};
use crate::ops::schedule::{Constants, Memory, Schedule, Step};
use crate::ops::{ConvPass, ConvProblem, Fusion};

/// One of them.
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

/// Those of a schedule, in order.
pub fn actions(
    gpu: &Gpu,
    convolutions: Option<&Convolutions>,
    memory: &Memory,
    schedule: &Schedule,
) -> Result<Vec<Action>> {
    let mut actions = Vec::new();
    for step in &schedule.steps {
        match (convolutions, step) {
            (Some(convolutions), Step::Conv { .. }) => {
                add_convolution(gpu, convolutions, memory, step, &mut actions)?;
            }
            _ => actions.extend(step.launches(memory)?.into_iter().map(Action::Launch)),
        }
    }
    Ok(actions)
}

/// Puts one into the stream, or into the graph that is being recorded.
pub fn queue(device: &Device, convolutions: Option<&Convolutions>, action: &Action) -> Result<()> {
    match (action, convolutions) {
        (Action::Launch(launch), _) => device.launch(launch),
        (Action::Convolution(_, plan), Some(convolutions)) => convolutions.run(device, plan),
        (Action::Convolution(..), None) => bail!("a plan without cuDNN"),
    }
}

/// A convolution by cuDNN, and what its plan leaves over by a kernel of our own; all of it where cuDNN has no plan.
fn add_convolution(
    gpu: &Gpu,
    convolutions: &Convolutions,
    memory: &Memory,
    step: &Step,
    actions: &mut Vec<Action>,
) -> Result<()> {
    let Step::Conv { problem, constants, input, residual, out } = step else { bail!("{step:?} is no convolution") };
    let ConvPass::Forward { activation, .. } = problem.pass else { bail!("{problem} is no step of a forward pass") };
    let [w, bias] = memory.constants(*constants)?.map(Clone::clone);
    let Constants(first) = *constants;
    let rounded_bias = gpu.rounded_biases.get(first).cloned().flatten();
    let rounded_bias = rounded_bias.context("a convolution's bias is missing")?;
    let residual = residual.map(|residual| memory.slot(residual)).transpose()?;
    let tensors = Tensors { x: memory.slot(*input)?, w, bias, rounded_bias, residual, y: memory.slot(*out)? };
    let (plan, convolution) = match convolutions.plan(&gpu.device, problem, &tensors) {
        Ok(planned) => planned,
        Err(error) => {
            tracing::warn!("{problem} by a slow kernel of our own: {error:#}");
            actions.extend(step.launches(memory)?.into_iter().map(Action::Launch));
            return Ok(());
        }
    };
    for refusal in &plan.refusals {
        tracing::debug!("{problem}: {:?} is not granted: {}", refusal.fusion, refusal.reason);
    }
    actions.push(Action::Convolution(*problem, convolution));
    if plan.fusion != Fusion::Whole {
        let Tensors { bias, residual, y, .. } = &tensors;
        actions.push(Action::Launch(memory.epilogue(problem, bias, residual.as_ref(), activation, y)?));
    }
    Ok(())
}
