//! A schedule on the device: its kernels, chosen and bound to its memory, and one recorded graph of them all. Not yet
//! run on a GPU.

use anyhow::{Context, Result, bail};

use crate::ops::cuda::{Device, Graph, Launch, Region, activation, batch_norm};
use crate::ops::cudnn::Role;
use crate::ops::schedule::gpu::convolution::{BoundConvolution, Convolutions, Operands};
use crate::ops::training::memory::Bound;
use crate::ops::training::{TrainingMemory, TrainingOp, TrainingSchedule};
use crate::ops::{Activation, ConvPass, ConvProblem, Fusion};

/// A schedule ready to run.
pub struct Program {
    pub schedule: TrainingSchedule,
    pub memory: TrainingMemory,
    pub graph: Graph,
}

/// Makes programs.
pub struct Maker<'a> {
    pub device: &'a Device,
    pub convolutions: Option<&'a Convolutions>,
    /// Whether convolutions are timed, or taken by rank.
    pub measures: bool,
}

/// What the stream is given, in order.
enum Action {
    Launch(Launch),
    Convolution(BoundConvolution),
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
        let mut actions = Vec::new();
        // Whether the convolution before gave its output's sums.
        let mut summed = false;
        for (at, step) in schedule.steps.iter().enumerate() {
            let bound = Bound { memory: &memory, schedule: &schedule, step };
            match (&step.op, self.convolutions) {
                (TrainingOp::Conv { problem, .. }, Some(convolutions)) => {
                    let fusion = self.forward(convolutions, &bound, problem, &mut actions)?;
                    summed = problem.pass == ConvPass::Statistics && fusion == Fusion::Whole;
                }
                (TrainingOp::Statistics { .. }, _) if std::mem::take(&mut summed) => {
                    actions.push(Action::Launch(finish_sums(&bound)?));
                }
                (TrainingOp::ConvInputGradient { problem, .. }, Some(convolutions)) => {
                    self.input_gradient(convolutions, &bound, problem, &mut actions)?;
                }
                (TrainingOp::ConvWeightGradient { problem, .. }, Some(convolutions)) => {
                    self.weight_gradient(convolutions, &bound, problem, &mut actions)?;
                }
                _ => actions.extend(schedule.launches(at, &memory)?.into_iter().map(Action::Launch)),
            }
        }
        let graph = graph_of(self.device, || actions.iter().try_for_each(|action| self.queue(action)))?;
        Ok(Program { schedule, memory, graph })
    }

    fn queue(&self, action: &Action) -> Result<()> {
        match (action, self.convolutions) {
            (Action::Launch(launch), _) => self.device.launch(launch),
            (Action::Convolution(convolution), Some(convolutions)) => convolutions.run(self.device, convolution),
            (Action::Convolution(_), None) => bail!("a plan without cuDNN"),
        }
    }

    fn plan(
        &self,
        convolutions: &Convolutions,
        problem: &ConvProblem,
        tensors: &Tensors,
        actions: &mut Vec<Action>,
    ) -> Result<Fusion> {
        let found = match self.measures {
            true => convolutions.plan(self.device, problem, tensors),
            false => convolutions.ranked(problem, tensors),
        };
        let (plan, convolution) = found.with_context(|| format!("cannot plan {problem}"))?;
        for refusal in &plan.refusals {
            tracing::debug!("{problem}: {:?} is not granted: {}", refusal.fusion, refusal.reason);
        }
        actions.push(Action::Convolution(convolution));
        Ok(plan.fusion)
    }

    fn forward(
        &self,
        convolutions: &Convolutions,
        bound: &Bound,
        problem: &ConvProblem,
        actions: &mut Vec<Action>,
    ) -> Result<Fusion> {
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
        let fusion = self.plan(convolutions, problem, &Tensors(tensors), actions)?;
        if let (ConvPass::Forward { activation, .. }, Some(residual)) = (problem.pass, &residual)
            && fusion != Fusion::Whole
        {
            let shape = problem.output()?;
            let element = bound.memory.element;
            actions.push(Action::Launch(activation::add(element, shape, [&out, residual], activation, &out)?));
        }
        Ok(fusion)
    }

    fn input_gradient(
        &self,
        convolutions: &Convolutions,
        bound: &Bound,
        problem: &ConvProblem,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        let TrainingOp::ConvInputGradient { weight, .. } = &bound.step.op else {
            bail!("{problem} is no gradient's step")
        };
        let (out, add) = (bound.write(0)?, bound.added()?);
        let mut tensors = vec![(Role::Dy, bound.read(0)?), (Role::W, bound.filter(weight)?), (Role::Dx, out.clone())];
        tensors.extend(add.clone().map(|add| (Role::Add, add)));
        let fusion = self.plan(convolutions, problem, &Tensors(tensors), actions)?;
        if let Some(add) = &add
            && fusion != Fusion::Whole
        {
            let element = bound.memory.element;
            let sum = activation::add(element, problem.input, [&out, add], Activation::Identity, &out)?;
            actions.push(Action::Launch(sum));
        }
        Ok(())
    }

    fn weight_gradient(
        &self,
        convolutions: &Convolutions,
        bound: &Bound,
        problem: &ConvProblem,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        let TrainingOp::ConvWeightGradient { weight, .. } = &bound.step.op else {
            bail!("{problem} is no gradient's step")
        };
        let bare = bound.write(0)?;
        let tensors = vec![(Role::X, bound.read(0)?), (Role::Dy, bound.read(1)?), (Role::Dw, bare.clone())];
        self.plan(convolutions, problem, &Tensors(tensors), actions)?;
        actions.extend(bound.raise(weight, bound.memory.element, &bare)?.into_iter().map(Action::Launch));
        Ok(())
    }
}

/// The end of statistics whose sums the convolution gave.
fn finish_sums(bound: &Bound) -> Result<Launch> {
    let TrainingOp::Statistics { shape, norm, epsilon, momentum } = &bound.step.op else { bail!("no statistics") };
    let sums = [&bound.read(1)?, &bound.read(2)?];
    let own = bound.norm(norm, &bound.write(1)?)?;
    batch_norm::finish_sums(*shape, sums, &own, bound.running(norm, *momentum)?.as_ref(), *epsilon)
}

/// Records what `queue` puts into the stream, after it has run once: kernels are loaded then, which a recording would not
/// allow.
pub fn graph_of(device: &Device, queue: impl Fn() -> Result<()>) -> Result<Graph> {
    queue()?;
    device.synchronize()?;
    Graph::record(device, queue)
}
