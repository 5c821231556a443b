//! Every convolution of every network is planned for an H200 by cuDNN itself, on a machine that needs no GPU: run by
//! `scripts/check-cudnn-plans.sh`, which brings cuDNN and a stand-in for the driver. Without them the test says so and
//! checks nothing.
#![cfg(feature = "cuda")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tresnet::models::{Request, Variant, variants};
use tresnet::nn::Use;
use tresnet::ops::cuda::Element;
use tresnet::ops::cudnn::{ConvPlan, Library, PlanCache, PlanOptions, Planner, Role, Target};
use tresnet::ops::{Activation, ConvPass, ConvProblem, ConvSpec, Fusion, Shape};

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

/// Plans every problem on two threads; what was granted of each.
fn plan_all(
    problems: BTreeMap<String, (ConvProblem, Vec<&'static str>)>,
    options: PlanOptions,
) -> Vec<(ConvProblem, Fusion)> {
    let problems: Vec<_> = problems.into_iter().collect();
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let target = target().expect("cuDNN was there a moment ago");
                let planner = Planner { target: &target, options, cache: None };
                while let Some((name, (problem, networks))) = problems.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = std::time::Instant::now();
                    let plan = planner.plan(problem);
                    let line = line(name, &plan, networks, started.elapsed().as_secs_f32());
                    println!("{line}");
                    lines.lock().unwrap().push(plan.map(|plan| (*problem, plan.fusion)).map_err(|_| line));
                }
            });
        }
    });
    let results = lines.into_inner().unwrap();
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let whole = results.iter().flatten().filter(|(problem, fusion)| *fusion == problem.fusions()[0]).count();
    println!("{} problems of {}, {whole} granted whole", results.len(), options.element.name());
    results.into_iter().flatten().collect()
}

#[test]
fn every_convolution_of_every_network_has_a_plan() {
    let Some(first) = target() else { return };
    println!("cuDNN {} for {}", first.library().version(), first.name());
    // What evaluation's speed rests on. Groups of few channels have kernels for tensor cores without an epilogue alone.
    for (problem, fusion) in plan_all(problems(|_| true), PlanOptions::default()) {
        if matches!(problem.pass, ConvPass::Forward { .. }) && problem.spec.groups == 1 {
            assert_eq!(fusion, Fusion::Whole, "{problem}");
        }
    }
}

#[test]
fn a_network_of_each_kind_has_plans_in_bf16_and_f32() {
    if target().is_none() {
        return;
    }
    const KINDS: [&str; 5] = ["tresnet_m", "resnet50", "resnext50_32x4d", "efficientnet_b0", "mixnet_s"];
    for element in [Element::Bf16, Element::F32] {
        let evaluation = problems(|variant| KINDS.contains(&variant.name)).into_iter();
        let evaluation = evaluation.filter(|(_, (problem, _))| matches!(problem.pass, ConvPass::Forward { .. }));
        for (problem, fusion) in plan_all(evaluation.collect(), PlanOptions { element, ..PlanOptions::default() }) {
            assert!(fusion == Fusion::Whole || problem.spec.groups > 1, "{problem} in {}", element.name());
        }
    }
}

fn line(name: &str, plan: &anyhow::Result<ConvPlan>, networks: &[&str], seconds: f32) -> String {
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
    format!("{name}: {outcome} ({seconds:.1} s; {} and {} more)", networks[0], networks.len() - 1)
}

/// A small problem with `activation` behind it.
fn small(activation: Activation) -> ConvProblem {
    let spec = ConvSpec::new(64, 64, 3, 1);
    let pass = ConvPass::Forward { residual: false, activation };
    ConvProblem { spec, input: Shape::new(2, 14, 14, 64), pass }
}

fn planner<'a>(target: &'a Target, cache: Option<&std::path::Path>) -> Planner<'a> {
    let cache = cache.map(|folder| PlanCache::new(folder.to_owned()));
    Planner { target, options: PlanOptions { tries: 3, ..PlanOptions::default() }, cache }
}

#[test]
fn a_kept_plan_comes_back_as_it_was() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    // A kernel that was compiled, and one of cuDNN's own.
    for activation in [Activation::LeakyRelu(0.001), Activation::Identity] {
        let problem = small(activation);
        let made = planner.plan(&problem).unwrap();
        let kept = planner.plan(&problem).unwrap();
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
    let made = planner.plan(&small(Activation::Relu)).unwrap();
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut entry: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    entry["plan"] = "{}".into();
    std::fs::write(&path, entry.to_string()).unwrap();
    let again = planner.plan(&small(Activation::Relu)).unwrap();
    assert_eq!((made.engine, made.plan.workspace()), (again.engine, again.plan.workspace()));
    assert_eq!(again.engines, 1);
}

#[test]
fn the_fastest_engine_is_chosen_and_remembered() {
    let Some(target) = target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let planner = planner(&target, Some(folder.path()));
    let times = [3.0, 1.0, 2.0];
    let mut measured = 0;
    let mut measure = |_: &_, _: &_| {
        measured += 1;
        Ok(times.get(measured - 1).copied().unwrap_or(9.0))
    };
    let tuned = planner.tune(&small(Activation::Identity), &mut measure).unwrap();
    assert_eq!(tuned.milliseconds, Some(1.0));
    let again = planner.tune(&small(Activation::Identity), |_, _| unreachable!("it is remembered")).unwrap();
    assert_eq!((again.engine, again.milliseconds), (tuned.engine, Some(1.0)));
}

#[test]
fn a_fused_kernel_that_loses_to_two_is_left() {
    let Some(target) = target() else { return };
    let planner = planner(&target, None);
    let slow = |_: &_, graph: &tresnet::ops::cudnn::Graph| {
        Ok(if graph.roles().any(|(role, _)| role == Role::Bias) { 5.0 } else { 0.01 })
    };
    assert_eq!(planner.tune(&small(Activation::Relu), slow).unwrap().fusion, Fusion::Bare);
    // A kernel of our own costs more than the microsecond that this one wins.
    let close = |_: &_, graph: &tresnet::ops::cudnn::Graph| {
        Ok(if graph.roles().any(|(role, _)| role == Role::Bias) { 0.011 } else { 0.010 })
    };
    let large = ConvProblem { input: Shape::new(64, 56, 56, 64), ..small(Activation::Relu) };
    assert_eq!(planner.tune(&large, close).unwrap().fusion, Fusion::Whole);
}

#[test]
fn a_workspace_over_the_limit_is_refused_with_its_size() {
    let Some(target) = target() else { return };
    let options = PlanOptions { workspace: 0, tries: 1, ..PlanOptions::default() };
    let planner = Planner { target: &target, options, cache: None };
    // Shares out its sum over the multiprocessors, which takes a place for the parts.
    let pass = ConvPass::WeightGradient;
    let problem = ConvProblem { pass, input: Shape::new(64, 112, 112, 64), ..small(Activation::Identity) };
    let error = planner.plan(&problem).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("bytes of workspace") && error.contains("64x112x112x64 -> 64"), "{error}");
}
