//! Several updates on a device's flat parameters, by way of its executor, against the CPU's: accumulated batches, loss
//! scaling with an overflow, clipping, the average, what is frozen, and a state that is taken up again.

use candle_core::DType;
use candle_nn::VarBuilder;
use tresnet::loss::{Criterion, Targets};
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Architecture, Config, Request};
use tresnet::nn::{DeviceTrainable, DeviceTraining, Drops, Images, NormChoice, NormMode, Trainable, TrainingOptions};
use tresnet::ops::cuda::Element;
use tresnet::ops::cuda::optimizer::ScaleRules;
use tresnet::ops::training::{Control, LossRule, TargetKind, TargetValues, UpdateRules};
use tresnet::ops::{Isa, Shape};
use tresnet::optim::{Clip, Ema, GroupOptions, Groups, OptimizerSettings, gradient_norm};

use crate::step::Weights;
use crate::{formula, learner};

const SIDE: usize = 32;
const BATCH: usize = 4;
const CLASSES: usize = 5;
const MEAN: [f32; 3] = [0.5; 3];
const STD: [f32; 3] = [0.25; 3];
const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 5, basic_stages: 2 };
const LR: f64 = 1e-3;

fn optimizer(name: &str) -> OptimizerSettings {
    OptimizerSettings { name: name.into(), momentum: 0.9, epsilon: None, betas: None }
}

fn device(
    (name, clip): (&str, Clip),
    frozen: &[bool],
    groups: &Groups,
    cpu: &Trainable,
    arch: &Architecture,
) -> DeviceTrainable {
    let training = DeviceTraining {
        graph: arch.graph.clone(),
        logits: arch.logits,
        frozen: frozen.to_vec(),
        drops: Drops::default(),
        options: TrainingOptions {
            element: Element::F32,
            norms: NormMode::Stored,
            loss: LossRule::CrossEntropy { smoothing: 0.0 },
            targets: TargetKind::Classes,
            bytes: true,
            checkpointing: false,
        },
        norms: NormChoice::ByMemory,
        rules: UpdateRules {
            stepper: optimizer(name).stepper().unwrap(),
            clip: Some(clip.on_device(groups)),
            scaling: Some(ScaleRules { growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2 }),
            groups: groups.members().iter().map(|own| [own.lr_scale as f32, own.weight_decay as f32]).collect(),
            averages: true,
        },
        mean: MEAN.to_vec(),
        std: STD.to_vec(),
        deterministic: true,
        scale: 256.0,
    };
    let image = Shape::new(BATCH, SIDE, SIDE, 3);
    DeviceTrainable::new(training, image, cpu.parameters(), learner::trainer).unwrap()
}

/// Three updates of two batches each, of which the second is left out because a weight overflows.
fn check(name: &str, clip: Clip) {
    let architecture = TINY.architecture(&Request::new(CLASSES, 3)).unwrap();
    let weights = VarBuilder::from_backend(Box::new(Weights), DType::F32, candle_core::Device::Cpu);
    let mut cpu = Trainable::new(architecture.graph.clone(), &weights, &MEAN, &STD, Isa::detect()).unwrap();
    let parameters = architecture.graph.parameters();
    let frozen: Vec<bool> = parameters.iter().map(|own| own.name.starts_with("body.conv1.")).collect();
    let options = GroupOptions { weight_decay: 0.05, layer_decay: Some(0.8), layer_decay_min_scale: 0.0 };
    let groups = Groups::new(parameters, &frozen, &options).unwrap();
    let mut steps = optimizer(name).build(groups.clone()).unwrap();
    let mut ema = Ema::new(cpu.parameters().to_vec(), 0.5, false).unwrap();
    let mut gpu = device((name, clip), &frozen, &groups, &cpu, &architecture);
    let pixels = formula::pixels(6 * BATCH, SIDE, 3);
    let shape = Shape::new(BATCH, SIDE, SIDE, 3);
    for update in 0..3 {
        let fails = update == 1;
        gpu.begin().unwrap();
        let ema_weight = (1.0 - ema.decay_at(update + 1)) as f32;
        // An infinite share makes every gradient infinite, as an overflow would.
        let shares = if fails { [f32::INFINITY, 0.5] } else { [0.5, 0.5] };
        let (mut loss, running) = (0.0, cpu.running());
        for (part, share) in shares.into_iter().enumerate() {
            let first = (2 * update as usize + part) * BATCH;
            let pixels = Images::Bytes(&pixels[first * SIDE * SIDE * 3..][..BATCH * SIDE * SIDE * 3]);
            let labels: Vec<usize> = (first..first + BATCH).map(|image| (3 * image + 1) % CLASSES).collect();
            let control = Control { share, lr: LR as f32, ema_weight };
            let batch = 2 * update + part as u64;
            gpu.add(pixels, shape, TargetValues::Classes(&labels), batch, control).unwrap();
            let tape = cpu.forward(pixels, shape, architecture.logits).unwrap();
            let criterion = Criterion::CrossEntropy { smoothing: 0.0 };
            let mut own = criterion.loss(tape.output(), CLASSES, Targets::Classes(&labels)).unwrap();
            own.gradient.iter_mut().for_each(|g| *g *= 0.5);
            loss += own.value * 0.5;
            cpu.backward(tape, own.gradient).unwrap();
        }
        gpu.end().unwrap();
        let outcome = gpu.outcomes(true).unwrap()[0];
        assert_eq!(outcome.finite(), !fails, "{name}, update {update}");
        let (values, gradients) = cpu.parameters_mut();
        if fails {
            cpu.restore_running(running);
        } else {
            assert!((f64::from(outcome.loss()) / loss - 1.0).abs() < 1e-4, "{} and not {loss}", outcome.loss());
            let before = gradient_norm(gradients, &groups);
            clip.apply(values, gradients, &groups);
            assert!(gradient_norm(gradients, &groups) < 0.99 * before, "nothing to clip");
            steps.step(values, gradients, LR).unwrap();
        }
        cpu.zero_gradients();
        ema.update(cpu.parameters(), update + 1);
        // What was saved comes back, from another learner's start.
        let state = gpu.state().unwrap();
        assert_eq!(state.numbers.steps(), steps.steps());
        gpu = device((name, clip), &frozen, &groups, &cpu, &architecture);
        gpu.restore(&state).unwrap();
    }
    let state = gpu.state().unwrap();
    // Grew after two steps, and fell between them.
    assert_eq!((state.numbers.scale(), state.numbers.good_steps()), (128.0, 1));
    // Of a gradient that is nearly 0, Lion takes a sign that rounding decides.
    let tolerance = if name == "lion" { 1e-2 } else { 1e-4 };
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let close = |what: &str, ours: &[Vec<f32>], expected: &[Vec<f32>]| {
        for (parameter, (ours, expected)) in parameters.iter().zip(ours.iter().zip(expected)) {
            let size = norm(&mut expected.iter().copied()).max(1e-3);
            let apart = norm(&mut ours.iter().zip(expected).map(|(a, b)| a - b));
            assert!(apart <= tolerance * size, "{name}: {what} of {}: {apart} of {size}", parameter.name);
        }
    };
    close("values", &state.values, cpu.parameters());
    close("averages", &state.average.unwrap(), ema.values());
}

pub fn accumulated_clipped_and_scaled_updates_are_the_cpus() {
    check("sgd", Clip::Norm(0.5));
}

pub fn lamb_and_lion_step_as_the_cpus() {
    check("lamb", Clip::Norm(0.5));
    check("lion", Clip::Norm(0.5));
}

pub fn values_and_units_are_clipped_as_the_cpus() {
    check("sgd", Clip::Value(0.01));
    check("sgd", Clip::Adaptive(0.02));
}
