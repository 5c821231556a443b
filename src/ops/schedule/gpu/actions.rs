//! From a schedule's steps to what a stream is given for a batch. Not yet run on a GPU.

use anyhow::{Context, Result, bail};

use super::Gpu;
use super::convolution::{Convolutions, Tensors};
use super::plans::Plans;
use super::recording::Action;
use crate::ops::schedule::{Constants, Memory, Schedule, Step};
use crate::ops::{ConvPass, ConvProblem, Fusion};

/// Those of a schedule, in order.
pub fn actions(
    gpu: &Gpu,
    convolutions: Option<&Convolutions>,
    memory: &Memory,
    schedule: &Schedule,
) -> Result<Vec<Action>> {
    let mut plans =
        convolutions.map(|convolutions| Plans::build(convolutions, &problems(schedule), !gpu.deterministic));
    let mut actions = Vec::new();
    for step in &schedule.steps {
        match (&mut plans, step) {
            (Some(plans), Step::Conv { .. }) => add_convolution(gpu, plans, memory, step, &mut actions)?,
            _ => add_launches(memory, step, &mut actions)?,
        }
    }
    if let Some(plans) = plans {
        plans.finish();
    }
    Ok(actions)
}

fn problems(schedule: &Schedule) -> Vec<ConvProblem> {
    let problem = |step: &Step| if let Step::Conv { problem, .. } = step { Some(*problem) } else { None };
    schedule.steps.iter().filter_map(problem).collect()
}

fn add_launches(memory: &Memory, step: &Step, actions: &mut Vec<Action>) -> Result<()> {
    actions.extend(step.launches(memory)?.into_iter().map(Action::Launch));
    Ok(())
}

/// A convolution by cuDNN, and what its plan leaves over by a kernel of our own; all of it where cuDNN has no plan.
fn add_convolution(
    gpu: &Gpu,
    plans: &mut Plans<'_>,
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
    let Some((fusion, convolution)) = plans.bind(&gpu.device, problem, &tensors)? else {
        return add_launches(memory, step, actions);
    };
    actions.push(Action::Convolution(*problem, convolution));
    if fusion != Fusion::Whole {
        let Tensors { bias, residual, y, .. } = &tensors;
        actions.push(Action::Launch(memory.epilogue(problem, bias, residual.as_ref(), activation, y)?));
    }
    Ok(())
}
