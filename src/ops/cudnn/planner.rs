//! From a convolution to the kernel that computes it: the most of it in one kernel that cuDNN knows, on the engine
//! that is fastest by measurement, or first in cuDNN's ranking where nothing can be measured.

use anyhow::{Context, Result, bail};

use super::cache::{Entry, PlanCache};
use super::convolution::graphs;
use super::engine::{Engine, EngineChoice, Filter, engines};
use super::graph::Graph;
use super::lower::operation_graph;
use super::plan::ExecutionPlan;
use super::target::Target;
use crate::ops::cuda::Element;
use crate::ops::{ConvProblem, Fusion};

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
    /// Bytes a second that our own kernels read and write: what a kernel less is worth.
    pub bandwidth: f32,
}

impl Default for PlanOptions {
    /// Maps of f16, 256 MiB of workspace, cuDNN's first 8 engines, and the bandwidth of a copy on an H200.
    fn default() -> Self {
        let element = Element::F16;
        Self { element, filter: Filter::default(), workspace: 256 << 20, tries: 8, bandwidth: 4.3e12 }
    }
}

/// A convolution ready to run.
pub struct ConvPlan {
    pub problem: ConvProblem,
    /// How much of the problem the kernel does.
    pub fusion: Fusion,
    /// The tensors that it wants.
    pub graph: Graph,
    pub plan: ExecutionPlan,
    pub engine: EngineChoice,
    /// Engines that cuDNN offers for the graph.
    pub engines: usize,
    /// Time of a run, where it was measured.
    pub milliseconds: Option<f32>,
    /// What was asked for before, and why it was not granted.
    pub refusals: Vec<Refusal>,
}

/// A fusion that was not granted.
#[derive(Clone, Debug)]
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

/// A plan among several.
struct Candidate {
    plan: ExecutionPlan,
    /// Its graph among those of the fusion.
    graph: usize,
    choice: EngineChoice,
    engines: usize,
}

impl Planner<'_> {
    /// The most fused plan that can be built, on the engine that ranks first; or what the cache holds.
    ///
    /// # Errors
    /// If not even the product alone can be built; the message names the problem.
    pub fn plan(&self, problem: &ConvProblem) -> Result<ConvPlan> {
        if let Some(plan) = self.cached(problem, false) {
            return Ok(plan);
        }
        let mut refusals = Vec::new();
        for &fusion in problem.fusions() {
            let graphs = graphs(problem, self.options.element, fusion)?;
            match self.candidates(&graphs, 1) {
                Ok(mut found) => {
                    let Some(first) = found.drain(..).next() else { continue };
                    return self.finish(problem, fusion, graphs, first, None, refusals);
                }
                Err(error) => refusals.push(Refusal { fusion, reason: format!("{error:#}") }),
            }
        }
        self.nothing(problem, &refusals)
    }

    /// The fastest plan by `measure`, which runs a plan for a graph and gives its milliseconds; what a lesser fusion leaves over is
    /// counted at [`PlanOptions::bandwidth`]. Or what the cache holds of an earlier measurement.
    ///
    /// # Errors
    /// As [`Self::plan`], and what `measure` says.
    pub fn tune(
        &self,
        problem: &ConvProblem,
        mut measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<f32>,
    ) -> Result<ConvPlan> {
        if let Some(plan) = self.cached(problem, true) {
            return Ok(plan);
        }
        let mut refusals = Vec::new();
        let mut best: Option<(f32, f32, Fusion, Vec<Graph>, Candidate)> = None;
        for &fusion in problem.fusions() {
            let graphs = graphs(problem, self.options.element, fusion)?;
            let rest = problem.rest_bytes(fusion, self.options.element)? as f32 / self.options.bandwidth * 1e3;
            let found = match self.candidates(&graphs, self.options.tries) {
                Ok(found) => found,
                Err(error) => {
                    refusals.push(Refusal { fusion, reason: format!("{error:#}") });
                    continue;
                }
            };
            for candidate in found {
                let own = measure(&candidate.plan, &graphs[candidate.graph])
                    .with_context(|| format!("cannot time {problem} on engine {}", candidate.choice.engine))?;
                if best.as_ref().is_none_or(|(_, total, ..)| own + rest < *total) {
                    best = Some((own, own + rest, fusion, graphs.clone(), candidate));
                }
            }
        }
        match best {
            Some((own, _, fusion, graphs, candidate)) => {
                refusals.retain(|refusal| refusal.fusion != fusion);
                self.finish(problem, fusion, graphs, candidate, Some(own), refusals)
            }
            None => self.nothing(problem, &refusals),
        }
    }

    /// Up to `wanted` plans that can be built for each of the graphs; with one wanted, for the first graph that has one.
    fn candidates(&self, graphs: &[Graph], wanted: usize) -> Result<Vec<Candidate>> {
        let mut found = Vec::new();
        let mut refused = None;
        for (at, graph) in graphs.iter().enumerate() {
            let offered = operation_graph(self.target, graph)
                .and_then(|descriptor| engines(self.target, &descriptor, self.options.filter));
            let offered = match offered {
                Ok(offered) => offered,
                Err(error) => {
                    refused.get_or_insert(error);
                    continue;
                }
            };
            let before = found.len();
            for engine in offered.iter().take(self.options.tries) {
                match self.build(engine) {
                    Ok(plan) => {
                        let choice = engine.choice.clone();
                        found.push(Candidate { plan, graph: at, choice, engines: offered.len() });
                    }
                    Err(error) => {
                        refused.get_or_insert(error);
                    }
                }
                if found.len() - before == wanted {
                    break;
                }
            }
            if wanted == 1 && !found.is_empty() {
                break;
            }
        }
        match refused {
            Some(error) if found.is_empty() => Err(error),
            None if found.is_empty() => bail!("cuDNN offers no engine"),
            _ => Ok(found),
        }
    }

    fn build(&self, engine: &Engine) -> Result<ExecutionPlan> {
        let plan = ExecutionPlan::new(self.target, engine)?;
        if plan.workspace() > self.options.workspace {
            bail!("engine {} asks for {} bytes of workspace", engine.choice.engine, plan.workspace());
        }
        Ok(plan)
    }

    fn finish(
        &self,
        problem: &ConvProblem,
        fusion: Fusion,
        mut graphs: Vec<Graph>,
        candidate: Candidate,
        milliseconds: Option<f32>,
        refusals: Vec<Refusal>,
    ) -> Result<ConvPlan> {
        let Candidate { plan, graph, choice: engine, engines } = candidate;
        if let Some(cache) = &self.cache {
            let mut entry = Entry::new(self.key(problem), fusion, graph, engine.clone(), plan.to_json()?);
            entry.milliseconds = milliseconds;
            // A plan that cannot be kept still runs.
            if let Err(error) = cache.put(&entry) {
                tracing::warn!("{error:#}");
            }
        }
        let graph = graphs.swap_remove(graph);
        Ok(ConvPlan { problem: *problem, fusion, graph, plan, engine, engines, milliseconds, refusals })
    }

    fn cached(&self, problem: &ConvProblem, measured: bool) -> Option<ConvPlan> {
        let entry = self.cache.as_ref()?.get(&self.key(problem))?;
        if measured && entry.milliseconds.is_none() {
            return None;
        }
        match self.restore(problem, &entry) {
            Ok(plan) => Some(plan),
            Err(error) => {
                tracing::warn!("the kept plan for {problem} is of no use any more: {error:#}");
                None
            }
        }
    }

    /// The plan as it was kept, or failing that its engine built anew.
    fn restore(&self, problem: &ConvProblem, entry: &Entry) -> Result<ConvPlan> {
        let graph = graphs(problem, self.options.element, entry.fusion)?
            .into_iter()
            .nth(entry.graph)
            .context("its graph is unknown")?;
        let plan = ExecutionPlan::from_json(self.target, &entry.plan).or_else(|_| {
            let descriptor = operation_graph(self.target, &graph)?;
            ExecutionPlan::new(self.target, &Engine::named(self.target, &descriptor, &entry.choice)?)
        })?;
        Ok(ConvPlan {
            problem: *problem,
            fusion: entry.fusion,
            graph,
            plan,
            engine: entry.choice.clone(),
            engines: 1,
            milliseconds: entry.milliseconds,
            refusals: Vec::new(),
        })
    }

    fn key(&self, problem: &ConvProblem) -> String {
        let order = if self.options.filter.deterministic { "deterministic" } else { "any order" };
        let version = self.target.library().version();
        let element = self.options.element.name();
        format!("{problem}; {element}, {order}; cuDNN {version}; {}", self.target.name())
    }

    fn nothing(&self, problem: &ConvProblem, refusals: &[Refusal]) -> Result<ConvPlan> {
        let reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
        bail!("cuDNN {} has no kernel for {problem}: {}", self.target.library().version(), reasons.join("; "))
    }
}
