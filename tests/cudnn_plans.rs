//! Every convolution of every network is planned for an H200 by cuDNN itself, on a machine that needs no GPU: run by
//! `scripts/check-cudnn-plans.sh`, which brings cuDNN and a stand-in for the driver. Without them the test says so and
//! checks nothing.
#![cfg(feature = "cuda")]

#[path = "cudnn_plans/choices.rs"]
mod choices;

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::Result;
use tresnet::models::{Request, Variant, variants};
use tresnet::nn::Use;
use tresnet::ops::cuda::Element;
use tresnet::ops::cudnn::{ConvPlan, ExecutionPlan, Graph, Library, PlanOptions, Planner, Target, Timing};
use tresnet::ops::{Activation, ConvPass, ConvProblem, Fusion, Shape};

use choices::{ranked, small, unverified};

/// As cuDNN describes a device; written by hand from the chip's published figures, clocks and cache size nominal.
const H200: &str = include_str!("fixtures/cudnn/h200.json");

/// Images of a batch.
const BATCH: usize = 64;

fn target() -> Option<Target> {
    match Library::open(None) {
        Ok(library) => Some(Target::described(&library, &H200.replace('\n', "")).unwrap()),
        Err(error) => {
            assert!(std::env::var_os("CUDNN_PLANS_REQUIRED").is_none(), "{error:#}");
            println!("skipped: {error:#}; run scripts/check-cudnn-plans.sh");
            None
        }
    }
}

/// Each problem of the networks that are wanted, once, with the networks that have it.
fn problems(wanted: impl Fn(&Variant) -> bool) -> BTreeMap<String, (ConvProblem, Vec<&'static str>)> {
    let mut problems = BTreeMap::new();
    for variant in variants().filter(|variant| wanted(variant)) {
        let graph = variant.network.architecture(&Request::new(variant.num_classes, 3)).unwrap().graph;
        let image = Shape::new(BATCH, variant.input_size, variant.input_size, 3);
        for purpose in [Use::Evaluation, Use::Training] {
            for problem in graph.conv_problems(image, purpose).unwrap() {
                let (_, networks) = problems.entry(problem.to_string()).or_insert((problem, Vec::new()));
                if networks.last() != Some(&variant.name) {
                    networks.push(variant.name);
                }
            }
        }
    }
    problems
}

/// Plans every problem, over all cores; what was granted of each.
fn plan_all(
    target: &Target,
    problems: BTreeMap<String, (ConvProblem, Vec<&'static str>)>,
    options: PlanOptions,
) -> Vec<(ConvProblem, Fusion)> {
    let started = std::time::Instant::now();
    let planner = Planner { target, options, cache: None };
    let wanted: Vec<ConvProblem> = problems.values().map(|(problem, _)| *problem).collect();
    let mut granted = Vec::new();
    let mut failed = Vec::new();
    for (built, (name, (problem, networks))) in planner.rank(&wanted).into_iter().zip(problems) {
        assert_eq!(built.problem, problem, "the order is that of the problems");
        let plan = planner.first(built);
        let line = line(&name, &plan, &networks);
        println!("{line}");
        match plan {
            Ok(plan) => granted.push((problem, plan.fusion)),
            Err(_) => failed.push(line),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let whole = granted.iter().filter(|(problem, fusion)| *fusion == problem.fusions()[0]).count();
    let seconds = started.elapsed().as_secs_f32();
    println!("{} problems of {}, {whole} granted whole, in {seconds:.0} s", granted.len(), options.element.name());
    granted
}

#[test]
fn every_convolution_of_every_network_has_a_plan() {
    let Some(target) = target() else { return };
    println!("cuDNN {} for {}", target.library().version(), target.name());
    // What speed rests on. Groups of few channels have kernels for tensor cores without an epilogue alone.
    for (problem, fusion) in plan_all(&target, problems(|_| true), PlanOptions::default()) {
        let rests = matches!(problem.pass, ConvPass::Forward { .. } | ConvPass::NormGradient { .. });
        if rests && problem.spec.groups == 1 {
            assert_eq!(fusion, Fusion::Whole, "{problem}");
        }
    }
}

#[test]
fn a_network_of_each_kind_has_plans_in_bf16_and_f32() {
    let Some(target) = target() else { return };
    const KINDS: [&str; 5] = ["tresnet_m", "resnet50", "resnext50_32x4d", "efficientnet_b0", "mixnet_s"];
    for element in [Element::Bf16, Element::F32] {
        let evaluation = problems(|variant| KINDS.contains(&variant.name)).into_iter();
        let evaluation = evaluation.filter(|(_, (problem, _))| matches!(problem.pass, ConvPass::Forward { .. }));
        let options = PlanOptions { element, ..PlanOptions::default() };
        for (problem, fusion) in plan_all(&target, evaluation.collect(), options) {
            assert!(fusion == Fusion::Whole || problem.spec.groups > 1, "{problem} in {}", element.name());
        }
    }
}

fn line(name: &str, plan: &Result<ConvPlan>, networks: &[&str]) -> String {
    let outcome = match plan {
        Ok(plan) => {
            let granted =
                if plan.fusion == plan.problem.fusions()[0] { "whole".into() } else { format!("{:?}", plan.fusion) };
            let refused: String = plan
                .refusals
                .iter()
                .map(|refusal| format!("; {:?} refused: {}", refusal.fusion, refusal.reason))
                .collect();
            let (engines, engine, workspace) = (plan.engines, plan.engine.engine, plan.plan.workspace());
            format!("{granted}, {engines} engines, first {engine}, workspace {workspace}{refused}")
        }
        Err(error) => format!("NO PLAN: {error:#}"),
    };
    format!("{name}: {outcome} ({} and {} more)", networks[0], networks.len() - 1)
}

#[test]
fn a_whole_networks_engines_are_built_over_all_cores() {
    let Some(target) = target() else { return };
    // Of its problems, some of every kind.
    let all = problems(|variant| variant.name == "tresnet_m").into_values();
    let wanted: Vec<ConvProblem> = all.map(|(problem, _)| problem).step_by(3).collect();
    let options = PlanOptions { tries: 2, seconds: None, ..PlanOptions::default() };
    let planner = Planner { target: &target, options, cache: None };
    let started = std::time::Instant::now();
    let built = planner.build(&wanted);
    let (count, seconds) = (built.iter().map(|built| built.count()).sum::<usize>(), started.elapsed().as_secs_f32());
    println!("{count} plans of {} problems in {seconds:.1} s", wanted.len());
    for (built, problem) in built.into_iter().zip(&wanted) {
        assert_eq!(built.problem, *problem);
        // In the order of fusions, so that the first is what ranking alone gives.
        let number = Cell::new(0.0);
        let in_order = |_: &ExecutionPlan, _: &Graph| {
            number.set(number.get() + 1e3);
            Ok(Timing::Milliseconds(number.get()))
        };
        let (first, ranked) =
            (planner.fastest(built, in_order, unverified).unwrap(), ranked(&planner, problem).unwrap());
        let own = |plan: &ConvPlan| (plan.fusion, plan.engine.clone(), plan.plan.workspace());
        assert_eq!(own(&first), own(&ranked), "{problem}");
    }
}

#[test]
fn a_workspace_over_the_limit_is_refused_with_its_size() {
    let Some(target) = target() else { return };
    let options = PlanOptions { workspace: 0, tries: 1, ..PlanOptions::default() };
    let planner = Planner { target: &target, options, cache: None };
    // Shares out its sum over the multiprocessors, which takes a place for the parts.
    let pass = ConvPass::WeightGradient;
    let problem = ConvProblem { pass, input: Shape::new(64, 112, 112, 64), ..small(Activation::Identity) };
    let error = ranked(&planner, &problem).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("bytes of workspace") && error.contains("64x112x112x64 -> 64"), "{error}");
}
