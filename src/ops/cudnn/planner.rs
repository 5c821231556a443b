//! From convolutions to the kernels that compute them: the most of each in one kernel that cuDNN knows, on the engine
//! that is fastest by measurement, or first in cuDNN's ranking where nothing is measured. Plans are built over all cores
//! first; what is timed then has the device to itself. A plan that computes something else is none, however fast it is.

use std::fmt;

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
    fn of(problem: ConvProblem, candidate: Candidate, milliseconds: Option<f32>) -> Self {
        let Candidate { plan, form: Form { fusion, number, graph }, choice: engine, engines } = candidate;
        let (verified, refusals) = (false, Vec::new());
        Self { problem, fusion, graph, number, plan, engine, engines, milliseconds, verified, refusals }
    }
}

/// A fusion that was not granted.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub fusion: Fusion,
    pub reason: String,
}

/// That cuDNN has no kernel for a problem, which it names, with the reasons; a kernel of our own has to do.
#[derive(Debug)]
pub struct NoKernel(String);

impl std::error::Error for NoKernel {}

impl fmt::Display for NoKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What running a plan to time it came to.
pub enum Timing {
    Milliseconds(f32),
    /// This plan does not run here, though the device is well.
    Refused(anyhow::Error),
}

/// What holding a plan's results against those of our own kernels came to.
pub enum Verification {
    Right,
    /// Nothing was compared, and why.
    Skipped(anyhow::Error),
    /// How far off they are.
    Wrong(String),
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
    /// [`NoKernel`], if not even the product alone could be built.
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

    /// The fastest plan by `measure`, which runs a plan for a graph, that `verify` finds nothing wrong with; what a lesser
    /// fusion leaves over is counted at [`PlanOptions::bandwidth`]. Plans that do not run are passed over, and so are those
    /// that compute something else, which a warning says.
    ///
    /// # Errors
    /// [`NoKernel`], if not even the product alone could be built, run and verified, and what the two say.
    pub fn fastest(
        &self,
        built: Built,
        measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
        verify: impl FnMut(&ConvPlan) -> Result<Verification>,
    ) -> Result<ConvPlan> {
        self.choose(built, true, measure, verify)
    }

    /// As [`Self::fastest`], but the first of them by rank, whatever `measure` says of its time.
    ///
    /// # Errors
    /// As for the fastest.
    pub fn first_right(
        &self,
        built: Built,
        measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
        verify: impl FnMut(&ConvPlan) -> Result<Verification>,
    ) -> Result<ConvPlan> {
        self.choose(built, false, measure, verify)
    }

    fn choose(
        &self,
        built: Built,
        by_time: bool,
        mut measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
        mut verify: impl FnMut(&ConvPlan) -> Result<Verification>,
    ) -> Result<ConvPlan> {
        let Built { problem, kept, candidates, mut refusals } = built;
        if let Some(plan) = kept {
            return Ok(plan);
        }
        let mut running: Vec<(f32, f32, Candidate)> = Vec::new();
        for candidate in candidates {
            let fusion = candidate.form.fusion;
            let rest = problem.rest_bytes(fusion, self.options.element)? as f32 / self.options.bandwidth * 1e3;
            let timing = measure(&candidate.plan, &candidate.form.graph)
                .with_context(|| format!("cannot time {problem} on engine {}", candidate.choice.engine))?;
            match timing {
                Timing::Milliseconds(own) => running.push((own, own + rest, candidate)),
                Timing::Refused(error) => {
                    tracing::debug!("{problem}: engine {} does not run: {error:#}", candidate.choice.engine);
                    refusals.push(Refusal { fusion, reason: format!("{error:#}") });
                }
            }
        }
        if by_time {
            // Of two that take as long the more fused one stays first.
            running.sort_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
        }
        for (own, _, candidate) in running {
            let mut plan = ConvPlan::of(problem, candidate, by_time.then_some(own));
            match self.admit(&mut plan, &mut verify)? {
                None => {
                    refusals.retain(|refusal| refusal.fusion != plan.fusion);
                    return Ok(ConvPlan { refusals, ..plan });
                }
                Some(reason) => refusals.push(Refusal { fusion: plan.fusion, reason }),
            }
        }
        Err(self.nothing(&problem, &refusals))
    }

    /// Keeps a plan on disk and returns nothing, unless `verify` finds that it is wrong: then why, which is also said. A
    /// plan that was verified before is not again.
    ///
    /// # Errors
    /// What `verify` says.
    pub fn admit(
        &self,
        plan: &mut ConvPlan,
        verify: impl FnOnce(&ConvPlan) -> Result<Verification>,
    ) -> Result<Option<String>> {
        if plan.verified {
            return Ok(None);
        }
        let (problem, engine) = (plan.problem, plan.engine.engine);
        match verify(plan).with_context(|| format!("cannot verify {problem} on engine {engine}"))? {
            Verification::Right => plan.verified = true,
            Verification::Skipped(why) => tracing::debug!("{problem}: engine {engine} is not verified: {why:#}"),
            Verification::Wrong(how) => {
                let reason = format!("engine {engine} computes something else: {how}");
                tracing::warn!("{problem}: cuDNN's {reason}; it is left out");
                return Ok(Some(reason));
            }
        }
        self.keep(plan)?;
        Ok(None)
    }

    fn keep(&self, plan: &ConvPlan) -> Result<()> {
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

    fn nothing(&self, problem: &ConvProblem, refusals: &[Refusal]) -> anyhow::Error {
        let mut reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
        reasons.dedup();
        let version = self.target.library().version();
        NoKernel(format!("cuDNN {version} has no kernel for {problem}: {}", reasons.join("; "))).into()
    }
}
