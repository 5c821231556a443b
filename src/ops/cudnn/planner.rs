//! From convolutions to the kernels that compute them: the most of each in one kernel that cuDNN knows, on the engine
//! that is fastest by measurement, or first in cuDNN's ranking where nothing is measured. Plans are built over all cores
//! first; what is timed then has the device to itself.

use anyhow::{Context, Result, ensure};

use super::cache::{Entry, PlanCache};
use super::candidates::{Built, Candidate, Form, all_of, first_of};
use super::convolution::graphs;
use super::engine::{Engine, EngineChoice};
use super::graph::Graph;
use super::lower::operation_graph;
use super::options::PlanOptions;
use super::plan::ExecutionPlan;
use super::target::Target;
use super::workers::Workers;
use crate::ops::{ConvProblem, Fusion};

/// A convolution ready to run.
pub struct ConvPlan {
    pub problem: ConvProblem,
    /// How much of the problem the kernel does.
    pub fusion: Fusion,
    /// The tensors that it wants.
    pub graph: Graph,
    /// The graph's number among those of the fusion.
    pub(super) number: usize,
    pub plan: ExecutionPlan,
    pub engine: EngineChoice,
    /// Engines that cuDNN offers for the graph.
    pub engines: usize,
    /// Time of a run, where it was measured.
    pub milliseconds: Option<f32>,
    /// Whether its results were those of our own kernels.
    pub verified: bool,
    /// What was asked for before, and why it was not granted.
    pub refusals: Vec<Refusal>,
}

impl ConvPlan {
    pub(super) fn of(problem: ConvProblem, candidate: Candidate, milliseconds: Option<f32>) -> Self {
        let Candidate { plan, form: Form { fusion, number, graph }, choice: engine, engines } = candidate;
        let (verified, refusals) = (false, Vec::new());
        Self { problem, fusion, graph, number, plan, engine, engines, milliseconds, verified, refusals }
    }
}

/// A fusion that was not granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub fusion: Fusion,
    pub reason: String,
}

/// Makes plans for a target.
pub struct Planner<'a> {
    pub target: &'a Target,
    pub options: PlanOptions,
    pub cache: Option<PlanCache>,
}

impl Planner<'_> {
    /// For each problem the most fused plan that can be built, on the engine that ranks first; or what the cache holds.
    /// [`Self::first`] gives it.
    pub fn rank(&self, problems: &[ConvProblem]) -> Vec<Built> {
        let workers = Workers::new(self.target, problems.len());
        workers.map(problems, |target, problem| match self.kept(target, problem, false) {
            Some(plan) => Built::kept(plan),
            None => first_of(target, &self.options, problem),
        })
    }

    /// For each problem the plans among which [`Self::fastest`] chooses; or what the cache holds of an earlier choice.
    pub fn build(&self, problems: &[ConvProblem]) -> Vec<Built> {
        let options = &self.options;
        // A problem has several engines, and they are built apart.
        let workers = Workers::new(self.target, problems.len() * options.tries);
        let mut kept = workers.map(problems, |target, problem| self.kept(target, problem, true));
        let missing = problems.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
        let missing: Vec<ConvProblem> = missing.map(|(problem, _)| *problem).collect();
        let mut built = all_of(&workers, options, &missing).into_iter();
        kept.iter_mut().filter_map(|kept| kept.take().map(Built::kept).or_else(|| built.next())).collect()
    }

    /// As [`Self::build`], whatever the cache holds.
    pub fn build_anew(&self, problems: &[ConvProblem]) -> Vec<Built> {
        all_of(&Workers::new(self.target, problems.len() * self.options.tries), &self.options, problems)
    }

    /// The plan that ranks first.
    ///
    /// # Errors
    /// [`super::NoKernel`], if not even the product alone could be built.
    pub fn first(&self, built: Built) -> Result<ConvPlan> {
        let Built { problem, kept, candidates, refusals } = built;
        match (kept, candidates.into_iter().next()) {
            (Some(plan), _) => Ok(plan),
            (None, Some(candidate)) => {
                let plan = ConvPlan { refusals, ..ConvPlan::of(problem, candidate, None) };
                self.keep(&plan)?;
                Ok(plan)
            }
            (None, None) => Err(self.nothing(&problem, &refusals)),
        }
    }

    pub(super) fn keep(&self, plan: &ConvPlan) -> Result<()> {
        let Some(cache) = &self.cache else { return Ok(()) };
        let ConvPlan { problem, fusion, number, engine, milliseconds, verified, .. } = plan;
        let mut entry = Entry::new(self.key(problem), *fusion, *number, engine.clone(), plan.plan.to_json()?);
        (entry.milliseconds, entry.verified) = (*milliseconds, *verified);
        // A plan that cannot be kept still runs.
        cache.put(&entry).unwrap_or_else(|error| tracing::warn!("{error:#}"));
        Ok(())
    }

    fn kept(&self, target: &Target, problem: &ConvProblem, measured: bool) -> Option<ConvPlan> {
        let entry = self.cache.as_ref()?.get(&self.key(problem))?;
        if measured && entry.milliseconds.is_none() {
            return None;
        }
        match self.restore(target, problem, &entry) {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::warn!("the kept plan for {problem} is of no use any more: {error:#}");
                None
            }
        }
    }

    /// The plan as it was kept, or failing that its engine built anew.
    fn restore(&self, target: &Target, problem: &ConvProblem, entry: &Entry) -> Result<ConvPlan> {
        let graph = graphs(problem, self.options.element, entry.fusion)?
            .into_iter()
            .nth(entry.graph)
            .context("its graph is unknown")?;
        let plan = ExecutionPlan::from_json(target, &entry.plan).or_else(|_| {
            let descriptor = operation_graph(target, &graph)?;
            ExecutionPlan::new(target, &Engine::named(target, &descriptor, &entry.choice)?)
        })?;
        ensure!(plan.workspace() <= self.options.workspace, "it asks for {} bytes of workspace", plan.workspace());
        Ok(ConvPlan {
            problem: *problem,
            fusion: entry.fusion,
            graph,
            number: entry.graph,
            plan,
            engine: entry.choice.clone(),
            engines: 1,
            milliseconds: entry.milliseconds,
            verified: entry.verified,
            refusals: Vec::new(),
        })
    }

    fn key(&self, problem: &ConvProblem) -> String {
        let order = if self.options.filter.deterministic { "deterministic" } else { "any order" };
        let version = self.target.library().version();
        let element = self.options.element.name();
        format!("{problem}; {element}, {order}; cuDNN {version}; {}", self.target.name())
    }
}
