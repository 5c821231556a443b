//! How a plan is chosen, by a clock that says what it is told: what is fast, what does not run, what is kept.

use std::cell::Cell;

use anyhow::Result;
use tresnet::ops::cudnn::{
    ConvPlan, ExecutionPlan, Graph, NoKernel, PlanCache, PlanOptions, Planner, Role, Target, Timing, Verification,
};
use tresnet::ops::{Activation, ConvPass, ConvProblem, ConvSpec, Fusion, Shape};

use crate::target;

/// A small problem with `activation` behind it.
pub fn small(activation: Activation) -> ConvProblem {
    let spec = ConvSpec::new(64, 64, 3, 1);
    let pass = ConvPass::Forward { residual: false, activation };
    ConvProblem { spec, input: Shape::new(2, 14, 14, 64), pass }
}

fn planner<'a>(target: &'a Target, cache: Option<&std::path::Path>) -> Planner<'a> {
    let cache = cache.map(|folder| PlanCache::new(folder.to_owned()));
    Planner { target, options: PlanOptions { tries: 3, ..PlanOptions::default() }, cache }
}

/// The plan that ranks first, or is kept.
pub fn ranked(planner: &Planner, problem: &ConvProblem) -> Result<ConvPlan> {
    planner.first(planner.rank(&[*problem]).remove(0))
}

/// The fastest plan by these milliseconds.
fn tuned(
    planner: &Planner,
    problem: &ConvProblem,
    milliseconds: impl Fn(&ExecutionPlan, &Graph) -> f32,
) -> Result<ConvPlan> {
    let built = planner.build(&[*problem]).remove(0);
    planner.fastest(built, |plan, graph| Ok(Timing::Milliseconds(milliseconds(plan, graph))), unverified)
}

/// Nothing can run here.
pub fn unverified(_: &ConvPlan) -> Result<Verification> {
    Ok(Verification::Skipped(anyhow::anyhow!("there is no device")))
}

#[test]
fn a_kept_plan_comes_back_as_it_was() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    // A kernel that was compiled, and one of cuDNN's own.
    for activation in [Activation::LeakyRelu(0.001), Activation::Identity] {
        let problem = small(activation);
        let made = ranked(&planner, &problem).unwrap();
        let kept = ranked(&planner, &problem).unwrap();
        assert_eq!((made.engine, made.fusion, made.graph), (kept.engine, kept.fusion, kept.graph));
        assert_eq!(made.plan.workspace(), kept.plan.workspace());
        // Of what was kept there is one engine alone; the ranking was not asked again.
        assert!(made.engines > 1 && kept.engines == 1);
    }
}

#[test]
fn a_kept_plan_that_cudnn_refuses_is_built_from_its_engines_number() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    let made = ranked(&planner, &small(Activation::Relu)).unwrap();
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut entry: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    entry["plan"] = "{}".into();
    std::fs::write(&path, entry.to_string()).unwrap();
    let again = ranked(&planner, &small(Activation::Relu)).unwrap();
    assert_eq!((made.engine, made.plan.workspace()), (again.engine, again.plan.workspace()));
    assert_eq!(again.engines, 1);
}

#[test]
fn the_fastest_engine_is_chosen_and_remembered() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    let measured = Cell::new(0);
    let first = tuned(&planner, &small(Activation::Identity), |_, _| {
        measured.set(measured.get() + 1);
        [3.0, 1.0, 2.0].get(measured.get() - 1).copied().unwrap_or(9.0)
    });
    let first = first.unwrap();
    assert_eq!(first.milliseconds, Some(1.0));
    let again = tuned(&planner, &small(Activation::Identity), |_, _| unreachable!("it is remembered")).unwrap();
    assert_eq!((again.engine, again.milliseconds), (first.engine, Some(1.0)));
}

#[test]
fn a_fused_kernel_that_loses_to_two_is_left() {
    let Some(target) = target() else { return };
    let planner = planner(&target, None);
    let is_fused = |graph: &Graph| graph.roles().any(|(role, _)| role == Role::Bias);
    let slow = |_: &_, graph: &Graph| if is_fused(graph) { 5.0 } else { 0.01 };
    assert_eq!(tuned(&planner, &small(Activation::Relu), slow).unwrap().fusion, Fusion::Bare);
    // A kernel of our own costs more than the microsecond that this one wins.
    let close = |_: &_, graph: &Graph| if is_fused(graph) { 0.011 } else { 0.010 };
    let large = ConvProblem { input: Shape::new(64, 56, 56, 64), ..small(Activation::Relu) };
    assert_eq!(tuned(&planner, &large, close).unwrap().fusion, Fusion::Whole);
}

#[test]
fn an_engine_that_does_not_run_is_passed_over_and_a_lost_device_is_not() {
    let Some(target) = target() else { return };
    let planner = planner(&target, None);
    let problem = small(Activation::Identity);
    let build = || planner.build(&[problem]).remove(0);
    let refused = || Ok(Timing::Refused(anyhow::anyhow!("no such kernel")));
    let runs = Cell::new(0);
    let plan = planner.fastest(
        build(),
        |_, _| {
            runs.set(runs.get() + 1);
            if runs.get() == 2 { Ok(Timing::Milliseconds(1.0)) } else { refused() }
        },
        unverified,
    );
    assert!(plan.unwrap().milliseconds == Some(1.0) && runs.get() > 2, "{} runs", runs.get());
    let error = planner.fastest(build(), |_, _| refused(), unverified).err().unwrap();
    assert!(error.is::<NoKernel>() && error.to_string().ends_with("no such kernel"), "{error}");
    let error = planner.fastest(build(), |_, _| anyhow::bail!("illegal address"), unverified).err().unwrap();
    let message = format!("{error:#}");
    assert!(!error.is::<NoKernel>() && message.contains("cannot time 2x14x14x64 -> 64, 3x3/1"), "{message}");
    assert!(message.ends_with("illegal address"), "{message}");
}

#[test]
fn a_plan_that_computes_something_else_is_refused_and_the_next_gets_its_turn() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    let problem = small(Activation::Identity);
    let wrong = || Ok(Verification::Wrong("by a lot".into()));
    // The second is the fastest, then comes the first.
    let times = Cell::new(0);
    let measure = |_: &ExecutionPlan, _: &Graph| {
        times.set(times.get() + 1);
        Ok(Timing::Milliseconds([3.0, 1.0, 4.0].get(times.get() - 1).copied().unwrap_or(9.0)))
    };
    let held = Cell::new(0);
    let build = || planner.build_anew(&[problem]).remove(0);
    let chosen = planner.fastest(build(), measure, |plan| {
        held.set(held.get() + 1);
        if plan.milliseconds == Some(1.0) { wrong() } else { Ok(Verification::Right) }
    });
    let chosen = chosen.unwrap();
    assert_eq!((chosen.milliseconds, chosen.verified, held.get()), (Some(3.0), true, 2));
    // What was verified comes back as such, and is not held against anything again.
    let mut kept = ranked(&planner, &problem).unwrap();
    assert_eq!((&kept.engine, kept.verified), (&chosen.engine, true));
    assert!(planner.admit(&mut kept, |_| unreachable!("it was verified")).unwrap());
    // By rank the clock has no say, and nothing runs behind the first that is right.
    times.set(0);
    let first = planner.first_right(build(), measure, |_| Ok(Verification::Right)).unwrap();
    assert_eq!(times.get(), 1);
    let second = planner.first_right(build(), measure, |plan| {
        if plan.engine == first.engine { wrong() } else { Ok(Verification::Right) }
    });
    let second = second.unwrap();
    assert_eq!(times.get(), 3);
    assert!(first.milliseconds.is_none() && second.engine != first.engine && second.verified);
    let error = planner.fastest(build(), measure, |_| wrong()).err().unwrap();
    assert!(error.is::<NoKernel>() && error.to_string().ends_with("computes something else: by a lot"), "{error}");
}
