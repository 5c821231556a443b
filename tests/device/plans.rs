//! Plans of cuDNN's, each held against kernels of our own: every engine of small problems at odd shapes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tresnet::ops::cuda::{Device, Element, Region};
use tresnet::ops::cudnn::{Library, NoKernel, Planner, Role, Timing, Verification};
use tresnet::ops::{Activation, ConvPass, ConvProblem, ConvSpec, Convolutions, Fusion, Operands, Shape};

use crate::compare::ELEMENTS;
use crate::place;

/// A convolution's tensors, by role and size: a bias has two.
struct Tensors(BTreeMap<(Role, usize), Region>);

impl Operands for Tensors {
    fn region(&self, role: Role, bytes: usize) -> Result<&Region> {
        self.0.get(&(role, bytes)).with_context(|| format!("no {role:?} of {bytes} bytes"))
    }
}

impl Tensors {
    /// With `in_place` what is added lies where the result will.
    fn of(device: &Device, problem: &ConvProblem, element: Element, in_place: bool) -> Self {
        let (input, output, size) = (problem.input, problem.output().unwrap(), element.size());
        let weight = problem.spec.weight_shape().iter().product::<usize>();
        let (result, added) = match problem.pass {
            ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. } => (Role::Dx, input),
            _ => (Role::Y, output),
        };
        let sizes = [
            (Role::X, input.len() * size),
            (Role::W, weight * size),
            (Role::Y, output.len() * size),
            (Role::Bias, output.channels * 4),
            (Role::Bias, output.channels * size),
            (Role::Add, added.len() * size),
            (Role::Dy, output.len() * size),
            (Role::Dx, input.len() * size),
            (Role::Dw, weight * size),
            (Role::Sum, output.channels * 4),
            (Role::Squares, output.channels * 4),
            (Role::Saved, input.len() * size),
        ];
        let of_norms = [
            Role::NormMean,
            Role::NormInverse,
            Role::NormWeight,
            Role::NormBias,
            Role::NormWeightGradient,
            Role::NormBiasGradient,
            Role::NormGradientFactor,
            Role::NormSavedFactor,
            Role::NormOffset,
        ];
        let sizes = sizes.into_iter().chain(of_norms.map(|role| (role, input.channels * 4)));
        let allocate = |bytes| device.arena(bytes).and_then(|mut arena| arena.take(bytes)).unwrap();
        let mut regions: BTreeMap<_, _> = sizes.map(|(role, bytes)| ((role, bytes), allocate(bytes))).collect();
        if in_place {
            let bytes = added.len() * size;
            regions.insert((Role::Add, bytes), regions[&(result, bytes)].clone());
        }
        Self(regions)
    }
}

/// Every pass behind which something follows, of geometries that networks have and some that they have not.
fn problems() -> Vec<ConvProblem> {
    let activations = [Activation::Identity, Activation::Relu, Activation::LeakyRelu(1e-3), Activation::Silu];
    let forward = activations
        .into_iter()
        .flat_map(|activation| [false, true].map(|residual| ConvPass::Forward { residual, activation }));
    let norms = activations[1..3].iter().map(|&activation| ConvPass::NormGradient { activation });
    let backward = [false, true].into_iter().map(|add| ConvPass::InputGradient { add }).chain(norms);
    let passes: Vec<ConvPass> =
        forward.chain(backward).chain([ConvPass::Statistics, ConvPass::WeightGradient]).collect();
    let geometries = [
        // images, sides, channels in and out, groups, kernel, stride
        (3, 7, 13, 8, 16, 1, 3, 1),
        (1, 5, 3, 72, 24, 1, 1, 1),
        (2, 13, 6, 24, 16, 1, 3, 2),
        (4, 9, 9, 32, 32, 8, 3, 1),
        (5, 11, 8, 16, 8, 1, 7, 2),
    ];
    let of = |(images, height, width, inputs, outputs, groups, kernel, stride)| {
        let spec = ConvSpec { groups, ..ConvSpec::new(inputs, outputs, kernel, stride) };
        let input = Shape::new(images, height, width, inputs);
        passes.iter().map(move |&pass| ConvProblem { spec, input, pass })
    };
    geometries.into_iter().flat_map(of).collect()
}

/// What became of each engine of a problem, with its fusion.
fn verified(
    (device, convolutions): &(Device, Convolutions),
    problem: &ConvProblem,
    tensors: &Tensors,
) -> Vec<(i64, Fusion, Verification)> {
    let planner = Planner { cache: None, ..convolutions.planner() };
    let found = RefCell::new(Vec::new());
    let verify = |plan: &tresnet::ops::cudnn::ConvPlan| {
        let outcome = convolutions.verify(device, plan, tensors)?;
        found.borrow_mut().push((plan.engine.engine, plan.fusion, outcome));
        // So that the next gets its turn too.
        Ok(Verification::Wrong("it was seen".to_owned()))
    };
    let built = planner.build_anew(&[*problem]).remove(0);
    let measure = |plan: &_, graph: &_| convolutions.time(device, plan, graph, tensors);
    let error = planner.first_right(built, measure, verify).err().unwrap();
    assert!(error.is::<NoKernel>(), "{error:#}");
    found.into_inner()
}

/// Of a stream of their own, since plans are timed as recordings.
fn convolutions(element: Element) -> Option<(Device, Convolutions)> {
    if !place::is_there() {
        return None;
    }
    let library = Library::open(None).map_err(|error| println!("no cuDNN: skipped ({error:#})")).ok()?;
    let device = place::another();
    let convolutions = Convolutions::new(&device, &library, element).unwrap();
    Some((device, convolutions))
}

/// On a GPU that every problem has an engine that is right; on the stand-in that just those are wrong that it says are.
#[test]
fn engines_are_right_in_every_pass_and_fusion_or_are_found_out() {
    let wrong_engines: Option<&[i64]> =
        std::env::var_os("STAND_IN").map(|_| match std::env::var("STAND_IN_CUDNN").as_deref() {
            Ok("wrong") => &[0][..],
            Ok("all-wrong") => &[0, 7],
            _ => &[],
        });
    for element in ELEMENTS {
        let Some(convolutions) = convolutions(element) else { return };
        for problem in problems() {
            let adds = matches!(
                problem.pass,
                ConvPass::Forward { residual: true, .. } | ConvPass::InputGradient { add: true }
            );
            for in_place in [false, true].into_iter().take(1 + usize::from(adds)) {
                let tensors = Tensors::of(&convolutions.0, &problem, element, in_place);
                let engines = verified(&convolutions, &problem, &tensors);
                for (engine, fusion, outcome) in &engines {
                    let what = format!("{problem} in {}, {fusion:?}, by engine {engine}", element.name());
                    match (outcome, wrong_engines) {
                        (Verification::Right, Some(wrong)) => assert!(!wrong.contains(engine), "{what} is wrong"),
                        (Verification::Wrong(how), Some(wrong)) => assert!(wrong.contains(engine), "{what}: {how}"),
                        (Verification::Skipped(why), _) => panic!("{what}: {why:#}"),
                        (Verification::Wrong(how), None) => println!("{what}: {how}"),
                        (Verification::Right, None) => {}
                    }
                }
                let right = engines.iter().any(|(_, _, outcome)| matches!(outcome, Verification::Right));
                assert!(right || wrong_engines.is_some_and(|wrong| wrong.len() > 1), "{problem} has no right engine");
                if wrong_engines.is_some() {
                    assert_eq!(engines.len(), 2 * granted(&problem), "{problem}: both engines of each form");
                }
            }
        }
    }
}

#[test]
fn by_rank_no_plan_runs_behind_the_first_that_is_right() {
    let Some((device, convolutions)) = convolutions(Element::F16) else { return };
    let planner = Planner { cache: None, ..convolutions.planner() };
    let problem = problems()[1];
    let tensors = Tensors::of(&device, &problem, Element::F16, false);
    for wrong in [0, 1] {
        let built = planner.build_anew(&[problem]).remove(0);
        assert!(built.count() > wrong + 1, "{} plans", built.count());
        let (mut running, mut held) = (0, 0);
        let measure = |plan: &_, graph: &_| {
            let timing = convolutions.time(&device, plan, graph, &tensors)?;
            running += usize::from(matches!(timing, Timing::Milliseconds(_)));
            Ok(timing)
        };
        let verify = |_: &_| {
            held += 1;
            Ok(if held > wrong { Verification::Right } else { Verification::Wrong("it is not its turn".to_owned()) })
        };
        let plan = planner.first_right(built, measure, verify).unwrap();
        assert!(plan.verified && plan.milliseconds.is_none());
        assert_eq!((running, held), (wrong + 1, wrong + 1));
    }
}

/// Graphs for all fusions of a problem.
fn granted(problem: &ConvProblem) -> usize {
    let graphs = |&fusion| tresnet::ops::cudnn::graphs(problem, Element::F16, fusion).map_or(0, |graphs| graphs.len());
    problem.fusions().iter().map(graphs).sum()
}

#[test]
fn without_memory_to_verify_in_a_plan_is_taken_as_it_is() {
    if std::env::var_os("STAND_IN_MEMORY").is_none() {
        return;
    }
    let Some(convolutions) = convolutions(Element::F16) else { return };
    let problem = problems()[0];
    let tensors = Tensors::of(&convolutions.0, &problem, Element::F16, false);
    let free = convolutions.0.free_memory().unwrap();
    let rest = convolutions.0.arena(free - 1000).unwrap();
    for (_, _, outcome) in verified(&convolutions, &problem, &tensors) {
        let Verification::Skipped(why) = outcome else { panic!("verified in a kilobyte") };
        assert!(format!("{why:#}").starts_with("out of GPU memory: "), "{why:#}");
    }
    drop(rest);
    let outcomes = verified(&convolutions, &problem, &tensors);
    assert!(outcomes.iter().all(|(_, _, outcome)| matches!(outcome, Verification::Right)));
}
