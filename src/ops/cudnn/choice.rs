//! Which of the plans that were built is taken: the fastest, or the first by rank. One that computes something else is none,
//! however fast it is.

use std::fmt;

use anyhow::{Context, Result};

use super::candidates::{Built, Candidate};
use super::graph::Graph;
use super::plan::ExecutionPlan;
use super::planner::{ConvPlan, Planner, Refusal};
use crate::ops::ConvProblem;

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

impl Planner<'_> {
    /// The fastest plan by `measure`, which runs a plan for a graph, that `verify` finds nothing wrong with; what a lesser
    /// fusion leaves over is counted at [`super::PlanOptions::bandwidth`]. Plans that do not run are passed over, and so are
    /// those that compute something else, which a warning says.
    ///
    /// # Errors
    /// [`NoKernel`], if not even the product alone could be built, run and verified, and what the two say.
    pub fn fastest(
        &self,
        built: Built,
        measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
        verify: impl FnMut(&ConvPlan) -> Result<Verification>,
    ) -> Result<ConvPlan> {
        let Built { problem, kept, candidates, refusals } = built;
        if let Some(plan) = kept {
            return Ok(plan);
        }
        let mut choice = Choice { planner: self, problem, refusals, measure, verify };
        let mut running: Vec<(f32, f32, Candidate)> = Vec::new();
        for candidate in candidates {
            let rest = problem.rest_bytes(candidate.form.fusion, self.options.element)? as f32;
            if let Some(own) = choice.run(&candidate)? {
                running.push((own, own + rest / self.options.bandwidth * 1e3, candidate));
            }
        }
        // Of two that take as long the more fused one stays first.
        running.sort_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
        for (own, _, candidate) in running {
            if let Some(plan) = choice.admitted(candidate, Some(own))? {
                return Ok(plan);
            }
        }
        Err(self.nothing(&problem, &choice.refusals))
    }

    /// As [`Self::fastest`], but the first of them by rank, whatever `measure` says of its time. Those behind it are not run.
    ///
    /// # Errors
    /// As for the fastest.
    pub fn first_right(
        &self,
        built: Built,
        measure: impl FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
        verify: impl FnMut(&ConvPlan) -> Result<Verification>,
    ) -> Result<ConvPlan> {
        let Built { problem, kept, candidates, refusals } = built;
        if let Some(plan) = kept {
            return Ok(plan);
        }
        let mut choice = Choice { planner: self, problem, refusals, measure, verify };
        for candidate in candidates {
            if choice.run(&candidate)?.is_some()
                && let Some(plan) = choice.admitted(candidate, None)?
            {
                return Ok(plan);
            }
        }
        Err(self.nothing(&problem, &choice.refusals))
    }

    /// Keeps a plan on disk, unless `verify` finds that it is wrong: then it is false, and the reason is among the plan's
    /// refusals, and said once of an engine. A plan that was verified before is not again.
    ///
    /// # Errors
    /// What `verify` says.
    pub fn admit(&self, plan: &mut ConvPlan, verify: impl FnOnce(&ConvPlan) -> Result<Verification>) -> Result<bool> {
        if plan.verified {
            return Ok(true);
        }
        let (problem, fusion, engine) = (plan.problem, plan.fusion, plan.engine.engine);
        match verify(plan).with_context(|| format!("cannot verify {problem} on engine {engine}"))? {
            Verification::Right => plan.verified = true,
            Verification::Skipped(why) => tracing::debug!("{problem}: engine {engine} is not verified: {why:#}"),
            Verification::Wrong(how) => {
                let what = format!("engine {engine} computes something else");
                let reason = format!("{what}: {how}");
                // By several graphs, and by a plan from the cache and the same one built anew.
                match plan.refusals.iter().any(|refusal| refusal.reason.starts_with(&what)) {
                    true => tracing::debug!("{problem}: cuDNN's {reason}; it is left out too"),
                    false => tracing::warn!("{problem}: cuDNN's {reason}; it is left out"),
                }
                plan.refusals.push(Refusal { fusion, reason });
                return Ok(false);
            }
        }
        self.keep(plan)?;
        Ok(true)
    }

    pub(super) fn nothing(&self, problem: &ConvProblem, refusals: &[Refusal]) -> anyhow::Error {
        let mut reasons: Vec<&str> = Vec::new();
        for Refusal { reason, .. } in refusals {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        let version = self.target.library().version();
        NoKernel(format!("cuDNN {version} has no kernel for {problem}: {}", reasons.join("; "))).into()
    }
}

/// A problem whose plans are tried.
struct Choice<'a, Measure, Verify> {
    planner: &'a Planner<'a>,
    problem: ConvProblem,
    refusals: Vec<Refusal>,
    measure: Measure,
    verify: Verify,
}

impl<Measure, Verify> Choice<'_, Measure, Verify>
where
    Measure: FnMut(&ExecutionPlan, &Graph) -> Result<Timing>,
    Verify: FnMut(&ConvPlan) -> Result<Verification>,
{
    /// Milliseconds of a plan; none where it does not run.
    fn run(&mut self, candidate: &Candidate) -> Result<Option<f32>> {
        let Candidate { plan, form, choice, .. } = candidate;
        let (problem, engine) = (&self.problem, choice.engine);
        let timing = (self.measure)(plan, &form.graph);
        match timing.with_context(|| format!("cannot time {problem} on engine {engine}"))? {
            Timing::Milliseconds(own) => Ok(Some(own)),
            Timing::Refused(error) => {
                tracing::debug!("{problem}: engine {engine} does not run: {error:#}");
                self.refusals.push(Refusal { fusion: form.fusion, reason: format!("{error:#}") });
                Ok(None)
            }
        }
    }

    /// The plan where it is right, with what was refused of greater fusions and lesser ones.
    fn admitted(&mut self, candidate: Candidate, milliseconds: Option<f32>) -> Result<Option<ConvPlan>> {
        let mut plan = ConvPlan::of(self.problem, candidate, milliseconds);
        plan.refusals = std::mem::take(&mut self.refusals);
        if self.planner.admit(&mut plan, &mut self.verify)? {
            plan.refusals.retain(|refusal| refusal.fusion != plan.fusion);
            return Ok(Some(plan));
        }
        self.refusals = plan.refusals;
        Ok(None)
    }
}
