//! Plans that are built, out of which one is to be chosen: for all problems of a network at once, over all cores.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};

use super::convolution::graphs;
use super::engine::{Engine, EngineChoice, engines};
use super::graph::Graph;
use super::lower::operation_graph;
use super::options::PlanOptions;
use super::plan::ExecutionPlan;
use super::planner::{ConvPlan, Refusal};
use super::target::Target;
use super::workers::Workers;
use crate::ops::{ConvProblem, Fusion};

/// What was built for a problem.
pub struct Built {
    pub problem: ConvProblem,
    /// What the cache held; then nothing else was built.
    pub(super) kept: Option<ConvPlan>,
    /// The most fused first, and of those the one that ranks first.
    pub(super) candidates: Vec<Candidate>,
    pub(super) refusals: Vec<Refusal>,
}

/// A plan among several.
pub(super) struct Candidate {
    pub plan: ExecutionPlan,
    pub form: Form,
    pub choice: EngineChoice,
    /// Engines that cuDNN offers for the form.
    pub engines: usize,
}

/// A graph by which cuDNN may know what a fusion of a problem computes.
#[derive(Clone)]
pub(super) struct Form {
    pub fusion: Fusion,
    /// Its number among those of the fusion.
    pub number: usize,
    pub graph: Graph,
}

/// An engine of a form, to be built.
struct Offer {
    choice: EngineChoice,
    /// Whether building it is compiling it.
    compiled: bool,
}

impl Built {
    pub(super) fn kept(plan: ConvPlan) -> Self {
        Self { problem: plan.problem, kept: Some(plan), candidates: Vec::new(), refusals: Vec::new() }
    }

    fn nothing(problem: ConvProblem) -> Self {
        Self { problem, kept: None, candidates: Vec::new(), refusals: Vec::new() }
    }

    /// Whether it comes from the cache.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Plans to choose from.
    pub fn count(&self) -> usize {
        self.candidates.len() + usize::from(self.is_kept())
    }

    /// With what was refused before these were built.
    pub fn after(mut self, refusals: Vec<Refusal>) -> Self {
        for refusal in refusals {
            if !self.refusals.contains(&refusal) {
                self.refusals.push(refusal);
            }
        }
        self
    }

    /// The forms of its problem; what cannot be planned at all is refused.
    fn forms(&mut self, options: &PlanOptions) -> Vec<Form> {
        let mut forms = Vec::new();
        for &fusion in self.problem.fusions() {
            match graphs(&self.problem, options.element, fusion) {
                Ok(graphs) => {
                    let numbered = graphs.into_iter().enumerate();
                    forms.extend(numbered.map(|(number, graph)| Form { fusion, number, graph }));
                }
                Err(error) => self.refuse(fusion, &error),
            }
        }
        forms
    }

    /// The first reason counts.
    fn refuse(&mut self, fusion: Fusion, error: &anyhow::Error) {
        if self.refusals.iter().all(|refusal| refusal.fusion != fusion) {
            self.refusals.push(Refusal { fusion, reason: format!("{error:#}") });
        }
    }

    /// Forgets why one form of a fusion was refused where another was not.
    fn settle(mut self) -> Self {
        self.refusals.retain(|refusal| self.candidates.iter().all(|own| own.form.fusion != refusal.fusion));
        self
    }
}

/// The first of a problem's plans that can be built, in the order of fusions, forms and cuDNN's ranking.
pub(super) fn first_of(target: &Target, options: &PlanOptions, problem: &ConvProblem) -> Built {
    let mut built = Built::nothing(*problem);
    for form in built.forms(options) {
        let offered = offered(target, options, &form);
        let engines = offered.as_ref().map_or(0, Vec::len);
        let mut refused = None;
        for engine in offered.iter().flatten().take(options.tries) {
            match build(target, options, engine) {
                Ok(plan) => {
                    built.candidates.push(Candidate { plan, form, choice: engine.choice.clone(), engines });
                    return built.settle();
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let refused = offered.err().or(refused);
        built.refuse(form.fusion, &refused.unwrap_or_else(|| anyhow!("cuDNN offers no engine")));
    }
    built
}

/// The plans of each problem that are worth timing.
pub(super) fn all_of(workers: &Workers, options: &PlanOptions, problems: &[ConvProblem]) -> Vec<Built> {
    let mut built: Vec<Built> = problems.iter().map(|problem| Built::nothing(*problem)).collect();
    let mut forms: Vec<(usize, Form)> = Vec::new();
    for (at, own) in built.iter_mut().enumerate() {
        forms.extend(own.forms(options).into_iter().map(|form| (at, form)));
    }
    let offers = workers.map(&forms, |target, (_, form)| offers(target, options, form));
    let plans = plans(workers, options, &forms, &offers);
    for (((at, form), offers), mut plans) in forms.into_iter().zip(offers).zip(plans) {
        let own = &mut built[at];
        let offers = match offers {
            Ok(offers) if offers.is_empty() => Err(anyhow!("cuDNN offers no engine")),
            offers => offers,
        };
        let engines = offers.as_ref().map_or(0, Vec::len);
        for (rank, offer) in offers.as_ref().map_or(&[][..], Vec::as_slice).iter().enumerate() {
            match plans.remove(&rank) {
                Some(Ok(plan)) => {
                    let (form, choice) = (form.clone(), offer.choice.clone());
                    own.candidates.push(Candidate { plan, form, choice, engines });
                }
                Some(Err(error)) => own.refuse(form.fusion, &error),
                None => {}
            }
        }
        if let Err(error) = offers {
            own.refuse(form.fusion, &error);
        }
    }
    built.into_iter().map(Built::settle).collect()
}

/// Builds for each form the engines that are worth it: the results by rank.
fn plans(
    workers: &Workers,
    options: &PlanOptions,
    forms: &[(usize, Form)],
    offers: &[Result<Vec<Offer>>],
) -> Vec<BTreeMap<usize, Result<ExecutionPlan>>> {
    let tried = |form: usize| offers[form].iter().flatten().take(options.tries).enumerate();
    let with_compiled = (0..forms.len()).filter(|&form| tried(form).any(|(_, offer)| offer.compiled)).count();
    let compilations = options.compilations(with_compiled, workers.count());
    // By form and rank.
    let mut jobs: Vec<(usize, usize)> = Vec::new();
    for form in 0..forms.len() {
        let mut compiled = 0;
        for (rank, offer) in tried(form) {
            compiled += usize::from(offer.compiled);
            if !offer.compiled || compiled <= compilations {
                jobs.push((form, rank));
            }
        }
    }
    let offer = |form: usize, rank: usize| offers[form].iter().flatten().nth(rank);
    // What takes long goes first, so that no thread is left with it when the others are done.
    jobs.sort_by_key(|&(form, rank)| !offer(form, rank).is_some_and(|offer| offer.compiled));
    let build = |target: &Target, form: usize, rank: usize| match offer(form, rank) {
        Some(offer) => build_offered(target, options, &forms[form].1, offer),
        None => bail!("cuDNN offers no engine of rank {rank}"),
    };
    let mut plans: Vec<BTreeMap<usize, Result<ExecutionPlan>>> = forms.iter().map(|_| BTreeMap::new()).collect();
    let built = workers.map(&jobs, |target, &(form, rank)| build(target, form, rank));
    for ((form, rank), plan) in jobs.into_iter().zip(built) {
        plans[form].insert(rank, plan);
    }
    // Where none of these can be built, those that were left out are tried after all, until one can.
    let barren: Vec<(usize, Vec<usize>)> = (0..forms.len())
        .filter(|&form| !plans[form].values().any(Result::is_ok))
        .map(|form| (form, tried(form).map(|(rank, _)| rank).filter(|rank| !plans[form].contains_key(rank)).collect()))
        .collect();
    let late = workers.map(&barren, |target, (form, ranks)| {
        ranks.iter().find_map(|&rank| Some((*form, rank, build(target, *form, rank).ok()?)))
    });
    for (form, rank, plan) in late.into_iter().flatten() {
        plans[form].insert(rank, Ok(plan));
    }
    plans
}

fn offered(target: &Target, options: &PlanOptions, form: &Form) -> Result<Vec<Engine>> {
    engines(target, &operation_graph(target, &form.graph)?, options.filter)
}

fn offers(target: &Target, options: &PlanOptions, form: &Form) -> Result<Vec<Offer>> {
    let offered = offered(target, options, form)?.into_iter();
    Ok(offered.map(|own| Offer { compiled: own.is_compiled_at_run_time(), choice: own.choice }).collect())
}

/// Builds an engine anew from its number and knobs: the thread that asked for it had another handle.
fn build_offered(target: &Target, options: &PlanOptions, form: &Form, offer: &Offer) -> Result<ExecutionPlan> {
    let graph = operation_graph(target, &form.graph)?;
    build(target, options, &Engine::named(target, &graph, &offer.choice)?)
}

fn build(target: &Target, options: &PlanOptions, engine: &Engine) -> Result<ExecutionPlan> {
    let plan = ExecutionPlan::new(target, engine)?;
    if plan.workspace() > options.workspace {
        bail!("engine {} asks for {} bytes of workspace", engine.choice.engine, plan.workspace());
    }
    Ok(plan)
}
