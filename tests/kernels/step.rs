//! A training step by its schedule and by the CPU's executor: loss, gradients and running statistics.

use candle_core::{DType, Device, Shape as Dims, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tresnet::loss::{Criterion, Targets, mixed_targets};
use tresnet::models::{Architecture, Config, ModelKwargs, Request};
use tresnet::nn::{
    DeviceTrainable, DeviceTraining, Drops, Images, NormChoice, NormMode, Parameter, Trainable, TrainingOptions,
};
use tresnet::ops::cuda::Element;
use tresnet::ops::training::{
    Control, LossRule, Stepper, TargetKind, TargetValues, Trainer, TrainingSetup, UpdateRules,
};
use tresnet::ops::{Isa, Shape};

use crate::{formula, learner};

const MEAN: [f32; 3] = [0.48, 0.45, 0.4];
const STD: [f32; 3] = [0.22, 0.23, 0.25];
const SMOOTHING: f64 = 0.1;

/// Weights of the formula; norms that end a branch start small, as in tests/training.
pub struct Weights;

const LAST_NORMS: [&str; 4] = ["bn2.weight", "bn3.weight", "conv2.bn.weight", "conv3.bn.weight"];

impl SimpleBackend for Weights {
    fn get(&self, shape: Dims, name: &str, _: Init, _: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut values = formula::value(name, shape.dims());
        if LAST_NORMS.iter().any(|norm| name.ends_with(norm)) {
            values.iter_mut().for_each(|weight| *weight *= 0.1);
        }
        Tensor::from_vec(values, shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A step to be compared.
#[derive(Clone)]
pub struct Case<'a> {
    pub config: &'a dyn Config,
    pub kwargs: ModelKwargs,
    pub classes: usize,
    pub batch: usize,
    pub side: usize,
    pub element: Element,
    pub norms: NormMode,
    pub targets: TargetKind,
    pub drops: Drops,
    /// Splits of the batch, where the loss is the Jensen-Shannon divergence between them.
    pub splits: Option<usize>,
    pub floats: bool,
    pub checkpointing: bool,
    /// How far a tensor's gradient may be away, relative to its norm; all of them a quarter of that, in the mean. In half
    /// precision values cross ReLU's kink: a share of 1e-3 that does moves gradients by its root.
    pub tolerance: f32,
}

impl<'a> Case<'a> {
    pub fn new(config: &'a dyn Config, side: usize) -> Self {
        Self {
            config,
            kwargs: ModelKwargs::default(),
            classes: 5,
            batch: 4,
            side,
            element: Element::F32,
            norms: NormMode::Stored,
            targets: TargetKind::Classes,
            drops: Drops::default(),
            splits: None,
            floats: false,
            checkpointing: false,
            tolerance: learner::TOLERANCE,
        }
    }

    pub fn check(&self) {
        self.check_on(learner::trainer);
    }

    /// On what `open` opens.
    pub fn check_on(&self, open: fn(&TrainingSetup) -> anyhow::Result<Box<dyn Trainer>>) {
        let Architecture { graph, logits, .. } =
            self.config.architecture(&Request { kwargs: self.kwargs, ..Request::new(self.classes, 3) }).unwrap();
        let weights = VarBuilder::from_backend(Box::new(Weights), DType::F32, Device::Cpu);
        let mut cpu = Trainable::new(graph.clone(), &weights, &MEAN, &STD, Isa::detect()).unwrap();
        cpu.set_drops(self.drops).unwrap();
        let count = graph.parameters().len();
        let scale = if self.element == Element::F16 { 1024.0 } else { 1.0 };
        let (smoothing, on_device) = (SMOOTHING, SMOOTHING as f32);
        let (criterion, rule) = match self.splits {
            None => (Criterion::CrossEntropy { smoothing }, LossRule::CrossEntropy { smoothing: on_device }),
            Some(splits) => (
                Criterion::JensenShannon { splits, smoothing },
                LossRule::JensenShannon { splits, smoothing: on_device },
            ),
        };
        let training = DeviceTraining {
            graph: graph.clone(),
            logits,
            frozen: vec![false; count],
            drops: self.drops,
            options: TrainingOptions {
                element: self.element,
                norms: self.norms,
                loss: rule,
                targets: self.targets,
                bytes: !self.floats,
                checkpointing: self.checkpointing,
            },
            norms: NormChoice::Always(self.norms),
            rules: UpdateRules {
                // Its buffer is then the gradient.
                stepper: Stepper::Sgd { momentum: 0.0, nesterov: false },
                clip: None,
                scaling: None,
                groups: vec![[1.0, 0.0]; graph.parameters().iter().filter(|own| own.trainable).count()],
                averages: false,
            },
            mean: MEAN.to_vec(),
            std: STD.to_vec(),
            // Else a device's clock decides which sums are rounded where.
            deterministic: true,
            scale,
        };
        let shape = Shape::new(self.batch, self.side, self.side, 3);
        let mut device = DeviceTrainable::new(training, shape, cpu.parameters(), open).unwrap();

        let pixels = formula::pixels(self.batch, self.side, 3);
        let normalised: Vec<f32> = pixels
            .iter()
            .enumerate()
            .map(|(at, &byte)| (f32::from(byte) / 255.0 - MEAN[at % 3]) / STD[at % 3])
            .collect();
        let images = if self.floats { Images::Floats(&normalised) } else { Images::Bytes(&pixels) };
        let labels: Vec<usize> = (0..self.batch).map(|image| (3 * image + 1) % self.classes).collect();
        let partners: Vec<usize> = labels.iter().rev().copied().collect();
        let soft = mixed_targets(&labels, &partners, &vec![0.7; self.batch], self.classes, SMOOTHING).unwrap();
        let (targets, values) = match self.targets {
            TargetKind::Classes => (Targets::Classes(&labels), TargetValues::Classes(&labels)),
            TargetKind::Soft => (Targets::Soft(&soft), TargetValues::Soft(&soft)),
        };
        cpu.set_batch(7);
        let tape = cpu.forward(images, shape, logits).unwrap();
        let loss = criterion.loss(tape.output(), self.classes, targets).unwrap();
        cpu.backward(tape, loss.gradient).unwrap();

        device.begin().unwrap();
        let control = Control { share: 1.0, lr: 0.0, ema_weight: 0.0 };
        device.add(images, shape, values, 7, control).unwrap();
        device.end().unwrap();
        let outcomes = device.outcomes(true).unwrap();
        assert!(outcomes.len() == 1 && outcomes[0].finite());
        let difference = (f64::from(outcomes[0].loss()) / loss.value - 1.0).abs();
        assert!(
            difference < f64::from(self.tolerance) / 10.0,
            "a loss of {} and not {}",
            outcomes[0].loss(),
            loss.value
        );
        let state = device.state().unwrap();
        let gradients = cpu.parameters_mut().1.to_vec();
        self.compare(graph.parameters(), true, &state.buffers[0].1, &gradients);
        self.compare(graph.parameters(), false, &state.values, cpu.parameters());
    }

    /// Of gradients, or of running statistics.
    fn compare(&self, parameters: &[Parameter], trainable: bool, ours: &[Vec<f32>], expected: &[Vec<f32>]) {
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
        // What rounding leaves of a gradient that is 0, such as that of a shift whose next norm takes it out again.
        let all = norm(&mut expected.iter().flatten().copied());
        let mut distances = Vec::new();
        for (at, parameter) in parameters.iter().enumerate().filter(|(_, own)| own.trainable == trainable) {
            assert_eq!(ours[at].len(), expected[at].len(), "{}", parameter.name);
            let size = norm(&mut expected[at].iter().copied());
            let apart = norm(&mut ours[at].iter().zip(&expected[at]).map(|(ours, expected)| ours - expected));
            let distance = apart / (size + 1e-3 * all);
            assert!(distance <= self.tolerance, "{} is {distance} of its norm away", parameter.name);
            distances.push(distance);
        }
        let mean = distances.iter().sum::<f32>() / distances.len() as f32;
        assert!(mean <= self.tolerance / 4.0, "tensors are {mean} of their norms away");
    }
}
