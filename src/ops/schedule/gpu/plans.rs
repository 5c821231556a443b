//! The plans of a schedule's convolutions: built all at once, chosen and verified one by one on the memory that they will
//! work on, each problem once. Not yet run on a GPU.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::convolution::{BoundConvolution, Convolutions, Operands};
use crate::ops::cuda::Device;
use crate::ops::cudnn::{Built, ConvPlan, ExecutionPlan, Graph, NoKernel, Planner, Timing, Verification};
use crate::ops::{ConvProblem, Fusion};

/// Plans that were found to be right, and the time that finding it took.
#[derive(Default)]
struct Tally {
    count: usize,
    time: Duration,
}

/// Those of one schedule.
pub struct Plans<'a> {
    convolutions: &'a Convolutions,
    planner: Planner<'a>,
    measures: bool,
    /// By the problem's name.
    built: BTreeMap<String, Built>,
    /// Likewise; none where cuDNN has no kernel.
    chosen: BTreeMap<String, Option<Arc<ConvPlan>>>,
    started: Instant,
    building: Duration,
    verified: Tally,
    /// Those that the cache held.
    kept: usize,
}

impl<'a> Plans<'a> {
    /// Builds over all cores what the problems, each of which may stand there more than once, are chosen from: the plans
    /// to be timed, or for shapes that are rare those that rank first.
    pub fn build(convolutions: &'a Convolutions, problems: &[ConvProblem], measures: bool) -> Self {
        let started = Instant::now();
        let distinct: BTreeMap<String, ConvProblem> =
            problems.iter().map(|problem| (problem.to_string(), *problem)).collect();
        let problems: Vec<ConvProblem> = distinct.into_values().collect();
        let planner = convolutions.planner();
        let built = if measures { planner.build(&problems) } else { planner.rank(&problems) };
        let kept = built.iter().filter(|built| built.is_kept()).count();
        let built = built.into_iter().map(|built| (built.problem.to_string(), built)).collect();
        let (chosen, verified, building) = (BTreeMap::new(), Tally::default(), started.elapsed());
        Self { convolutions, planner, measures, built, chosen, started, building, verified, kept }
    }

    /// The plan for a problem, bound to its tensors, and how much of the problem it does. `None` where cuDNN has no kernel
    /// that runs, which a warning says.
    ///
    /// # Errors
    /// Where the tensors are not what the problem needs, or the device is lost; names the problem.
    pub fn bind(
        &mut self,
        device: &Device,
        problem: &ConvProblem,
        tensors: &dyn Operands,
    ) -> Result<Option<(Fusion, BoundConvolution)>> {
        let built = self.built.remove(&problem.to_string());
        let plan = match self.chosen.entry(problem.to_string()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let built = built.with_context(|| format!("no plan was built for {problem}"))?;
                let Self { convolutions, planner, measures, verified, .. } = self;
                let choice = Choice { convolutions, planner, measures: *measures, device, tensors };
                place.insert(choice.known_to_be_right(built, verified)?.map(Arc::new)).clone()
            }
        };
        let Some(plan) = plan else { return Ok(None) };
        let bound = self.convolutions.bind(&plan.plan, &plan.graph, tensors);
        let bound = bound.with_context(|| format!("cannot bind {problem}"))?;
        Ok(Some((plan.fusion, bound.on_engine(plan.engine.engine, plan.fusion))))
    }

    /// Says what was planned and how long it took, where anybody had to wait for it.
    pub fn finish(self) {
        let (count, kept, verified) = (self.chosen.len(), self.kept, self.verified.count);
        let times = [self.started.elapsed(), self.building, self.verified.time];
        let [all, building, verifying] = times.map(|time| time.as_secs_f32());
        let line = format!(
            "planned {count} convolutions, {kept} of them from the cache, in {all:.1} s, of which building took {building:.1} \
             and verifying {verified} of them {verifying:.1}"
        );
        match kept < count || verified > 0 {
            true => tracing::info!(target: "planning", "{line}"),
            false => tracing::debug!(target: "planning", "{line}"),
        }
    }
}

/// How one problem's plan is chosen.
struct Choice<'a> {
    convolutions: &'a Convolutions,
    planner: &'a Planner<'a>,
    measures: bool,
    device: &'a Device,
    tensors: &'a dyn Operands,
}

impl Choice<'_> {
    /// A plan that has run on the tensors and was found to be right: the fastest, or the one that is known or ranks first.
    fn known_to_be_right(&self, built: Built, verified: &mut Tally) -> Result<Option<ConvPlan>> {
        let problem = built.problem;
        let chosen = match self.measures && !built.is_kept() {
            true => self.among(built, verified),
            false => self.first(built, verified),
        };
        match chosen {
            Ok(plan) => {
                for refusal in &plan.refusals {
                    tracing::debug!("{problem}: {:?} is not granted: {}", refusal.fusion, refusal.reason);
                }
                Ok(Some(plan))
            }
            Err(error) if error.is::<NoKernel>() => {
                tracing::warn!("{problem} by a slow kernel of our own: {error:#}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The fastest, or by rank the first.
    fn among(&self, built: Built, verified: &mut Tally) -> Result<ConvPlan> {
        let run = |plan: &ExecutionPlan, graph: &Graph| self.run(plan, graph);
        let verify = |plan: &ConvPlan| self.verify(plan, verified);
        match self.measures {
            true => self.planner.fastest(built, run, verify),
            false => self.planner.first_right(built, run, verify),
        }
    }

    /// Where it does not run or computes something else, which nobody has tried yet, the others get their turn.
    fn first(&self, built: Built, verified: &mut Tally) -> Result<ConvPlan> {
        let problem = built.problem;
        let mut plan = self.planner.first(built)?;
        let timing = self.run(&plan.plan, &plan.graph);
        match timing.with_context(|| format!("cannot run {problem} on engine {}", plan.engine.engine))? {
            Timing::Milliseconds(_) => {
                if self.planner.admit(&mut plan, |plan| self.verify(plan, verified))? {
                    return Ok(plan);
                }
            }
            Timing::Refused(error) => {
                tracing::debug!("{problem}: engine {} does not run: {error:#}", plan.engine.engine);
            }
        }
        let anew = self.planner.build_anew(&[problem]).pop();
        let anew = anew.with_context(|| format!("no plan was built for {problem}"))?;
        self.among(anew.after(plan.refusals), verified)
    }

    fn run(&self, plan: &ExecutionPlan, graph: &Graph) -> Result<Timing> {
        self.convolutions.time(self.device, plan, graph, self.tensors)
    }

    fn verify(&self, plan: &ConvPlan, verified: &mut Tally) -> Result<Verification> {
        let started = Instant::now();
        let outcome = self.convolutions.verify(self.device, plan, self.tensors)?;
        verified.time += started.elapsed();
        verified.count += usize::from(matches!(outcome, Verification::Right));
        Ok(outcome)
    }
}
