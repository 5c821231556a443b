//! A schedule on the device: its kernels, chosen and bound to its memory, and one recorded graph of them all. Not yet
//! run on a GPU.

use anyhow::{Context, Result, bail};

use crate::ops::cuda::batch_norm::{self, Norm, Saved};
use crate::ops::cuda::{Device, Launch, Region, activation};
use crate::ops::cudnn::Role;
use crate::ops::schedule::gpu::convolution::{Convolutions, Operands};
use crate::ops::schedule::gpu::plans::Plans;
use crate::ops::schedule::gpu::recording::{Action, Recording};
use crate::ops::training::memory::Bound;
use crate::ops::training::{NORM_SUMS, NormPlaces, TrainingMemory, TrainingOp, TrainingSchedule, Variable};
use crate::ops::{Activation, ConvPass, ConvProblem, Fusion};

/// A schedule ready to run.
pub struct Program {
    pub schedule: TrainingSchedule,
    pub memory: TrainingMemory,
    pub graph: Recording,
}

/// Makes programs.
pub struct Maker<'a> {
    pub device: &'a Device,
    pub convolutions: Option<&'a Convolutions>,
    /// Whether convolutions are timed, or taken by rank.
    pub measures: bool,
}

/// Where a convolution's tensors are.
struct Tensors(Vec<(Role, Region)>);

impl Operands for Tensors {
    fn region(&self, role: Role, _: usize) -> Result<&Region> {
        let found = self.0.iter().find(|(own, _)| *own == role);
        Ok(&found.with_context(|| format!("a training step has no {role:?} here"))?.1)
    }
}

impl Maker<'_> {
    pub fn program(&self, schedule: TrainingSchedule, memory: TrainingMemory) -> Result<Program> {
        let plans =
            self.convolutions.map(|convolutions| Plans::build(convolutions, &problems(&schedule), self.measures));
        let mut actions = Actions { device: self.device, plans, list: Vec::new(), summed: Vec::new() };
        // Whether the convolution before gave its output's sums.
        let mut summed = false;
        for (at, step) in schedule.steps.iter().enumerate() {
            let bound = Bound { memory: &memory, schedule: &schedule, step };
            let planned = match &step.op {
                _ if actions.plans.is_none() => false,
                TrainingOp::Conv { problem, .. } => {
                    let fusion = actions.forward(&bound, problem)?;
                    summed = problem.pass == ConvPass::Statistics && fusion == Some(Fusion::Whole);
                    fusion.is_some()
                }
                TrainingOp::Statistics { .. } if std::mem::take(&mut summed) => {
                    actions.launch(finish_sums(&bound)?);
                    true
                }
                TrainingOp::ConvInputGradient { problem, .. } => actions.input_gradient(&bound, problem)?,
                TrainingOp::NormGradientSums { .. } | TrainingOp::NormGradient { .. } => {
                    actions.norm_gradient(&bound)?
                }
                TrainingOp::ConvWeightGradient { problem, .. } => actions.weight_gradient(&bound, problem)?,
                _ => false,
            };
            if !planned {
                schedule.launches(at, &memory)?.into_iter().for_each(|launch| actions.launch(launch));
            }
        }
        let graph = Recording::new(self.device, actions.finish())?;
        Ok(Program { schedule, memory, graph })
    }
}

fn problems(schedule: &TrainingSchedule) -> Vec<ConvProblem> {
    let problem = |op: &TrainingOp| match op {
        TrainingOp::Conv { problem, .. }
        | TrainingOp::ConvInputGradient { problem, .. }
        | TrainingOp::ConvWeightGradient { problem, .. } => Some(*problem),
        _ => None,
    };
    schedule.steps.iter().filter_map(|step| problem(&step.op)).collect()
}

/// What the stream is to be given, in order. A convolution is not put there where no plan of cuDNN's is for it.
struct Actions<'a> {
    device: &'a Device,
    plans: Option<Plans<'a>>,
    list: Vec<Action>,
    /// Gradients that came behind the activation of a norm, with their sums.
    summed: Vec<Variable>,
}

impl Actions<'_> {
    fn launch(&mut self, launch: Launch) {
        self.list.push(Action::Launch(launch));
    }

    fn finish(self) -> Vec<Action> {
        if let Some(plans) = self.plans {
            plans.finish();
        }
        self.list
    }

    /// Adds the problem's plan; how much of the problem it does.
    fn plan(&mut self, problem: &ConvProblem, tensors: Vec<(Role, Region)>) -> Result<Option<Fusion>> {
        let Some(plans) = &mut self.plans else { return Ok(None) };
        let Some((fusion, convolution)) = plans.bind(self.device, problem, &Tensors(tensors))? else { return Ok(None) };
        self.list.push(Action::Convolution(*problem, convolution));
        Ok(Some(fusion))
    }

    fn forward(&mut self, bound: &Bound, problem: &ConvProblem) -> Result<Option<Fusion>> {
        let TrainingOp::Conv { weight, .. } = &bound.step.op else { bail!("{problem} is no convolution's step") };
        let out = bound.write(0)?;
        let mut tensors = vec![(Role::X, bound.read(0)?), (Role::W, bound.filter(weight)?), (Role::Y, out.clone())];
        let residual = bound.added()?;
        match problem.pass {
            ConvPass::Statistics => tensors.extend([(Role::Sum, bound.write(1)?), (Role::Squares, bound.write(2)?)]),
            // Zeros are zeros in every type.
            _ => tensors.push((Role::Bias, bound.memory.zeros.clone())),
        }
        tensors.extend(residual.clone().map(|residual| (Role::Add, residual)));
        let fusion = self.plan(problem, tensors)?;
        if let (ConvPass::Forward { activation, .. }, Some(residual)) = (problem.pass, &residual)
            && fusion.is_some_and(|fusion| fusion != Fusion::Whole)
        {
            let shape = problem.output()?;
            let element = bound.memory.element;
            self.launch(activation::add(element, shape, [&out, residual], activation, &out)?);
        }
        Ok(fusion)
    }

    fn input_gradient(&mut self, bound: &Bound, problem: &ConvProblem) -> Result<bool> {
        let TrainingOp::ConvInputGradient { weight, norm, .. } = &bound.step.op else {
            bail!("{problem} is no gradient's step")
        };
        let (out, add) = (bound.write(0)?, bound.added()?);
        let mut tensors = vec![(Role::Dy, bound.read(0)?), (Role::W, bound.filter(weight)?), (Role::Dx, out.clone())];
        tensors.extend(add.clone().map(|add| (Role::Add, add)));
        if let Some(norm) = norm {
            tensors.extend(norm_tensors(bound, norm)?);
        }
        let Some(fusion) = self.plan(problem, tensors)? else { return Ok(false) };
        if norm.is_some() && fusion == Fusion::Whole {
            self.summed.extend(bound.step.writes.first());
        }
        if let Some(add) = &add
            && fusion != Fusion::Whole
        {
            let element = bound.memory.element;
            self.launch(activation::add(element, problem.input, [&out, add], Activation::Identity, &out)?);
        }
        Ok(true)
    }

    /// Where the gradient came behind the norm's activation, with its sums: what of the step is left.
    fn norm_gradient(&mut self, bound: &Bound) -> Result<bool> {
        if !bound.step.reads.first().is_some_and(|gradient| self.summed.contains(gradient)) {
            return Ok(false);
        }
        let held = bound.read(1)?;
        let saved = Saved::Input(&held);
        self.launch(match &bound.step.op {
            TrainingOp::NormGradientSums { shape, norm: places, .. } => {
                let norm = bound.norm(places, &bound.read(2)?)?;
                let gradients = [&bound.gradient(places.weight)?, &bound.gradient(places.bias)?];
                batch_norm::gradient_finish_sums(*shape, &bound.read(3)?, saved, &norm, &bound.write(1)?, gradients)?
            }
            TrainingOp::NormGradient { shape, norm, .. } => {
                let norm = bound.norm(norm, &bound.read(2)?)?;
                let (gradient, factors, out) = (bound.read(0)?, bound.read(3)?, bound.write(0)?);
                batch_norm::gradient_apply(bound.memory.element, *shape, &gradient, saved, &norm, &factors, &out)?
            }
            other => bail!("{other:?} is no step of a norm's gradient"),
        });
        Ok(true)
    }

    fn weight_gradient(&mut self, bound: &Bound, problem: &ConvProblem) -> Result<bool> {
        let TrainingOp::ConvWeightGradient { weight, .. } = &bound.step.op else {
            bail!("{problem} is no gradient's step")
        };
        let bare = bound.write(0)?;
        let tensors = vec![(Role::X, bound.read(0)?), (Role::Dy, bound.read(1)?), (Role::Dw, bare.clone())];
        if self.plan(problem, tensors)?.is_none() {
            return Ok(false);
        }
        let raised = bound.raise(weight, bound.memory.element, &bare)?;
        raised.into_iter().for_each(|launch| self.launch(launch));
        Ok(true)
    }
}

/// What the gradient of a convolution's input takes of the norm that gave it, and what it gives.
fn norm_tensors(bound: &Bound, norm: &NormPlaces) -> Result<Vec<(Role, Region)>> {
    let Norm { weight, bias, mean, inverse, .. } = bound.norm(norm, &bound.read(2)?)?;
    let sums = bound.write(1)?;
    let bytes = sums.bytes() / NORM_SUMS;
    let read = [Role::NormWeight, Role::NormBias, Role::NormMean, Role::NormInverse].into_iter();
    let mut tensors: Vec<_> = read.zip([weight, bias, mean, inverse]).collect();
    tensors.push((Role::Saved, bound.read(1)?));
    // In the order of a chunk's sums.
    let written = [
        Role::NormBiasGradient,
        Role::NormWeightGradient,
        Role::NormGradientFactor,
        Role::NormSavedFactor,
        Role::NormOffset,
    ];
    for (at, role) in written.into_iter().enumerate() {
        tensors.push((role, sums.part(at * bytes, bytes)?));
    }
    Ok(tensors)
}

/// The end of statistics whose sums the convolution gave.
fn finish_sums(bound: &Bound) -> Result<Launch> {
    let TrainingOp::Statistics { shape, norm, epsilon, momentum } = &bound.step.op else { bail!("no statistics") };
    let sums = [&bound.read(1)?, &bound.read(2)?];
    let own = bound.norm(norm, &bound.write(1)?)?;
    batch_norm::finish_sums(*shape, sums, &own, bound.running(norm, *momentum)?.as_ref(), *epsilon)
}
