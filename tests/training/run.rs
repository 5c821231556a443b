//! A short training, as the fixtures' script runs it.

use candle_core::{DType, Device, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tresnet::loss::{Criterion, Targets, mixed_targets};
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Architecture, Config, Request, find};
use tresnet::nn::{Drops, Images, Parameter, Trainable};
use tresnet::ops::{Isa, Shape};
use tresnet::optim::{Clip, Ema, GroupOptions, Groups, OptimizerSettings};

use super::formula;
use super::random::{fnv1a64, splitmix64};

/// One block a stage and four channels: small, yet with every kind of layer.
pub const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 4, basic_stages: 2 };

/// What the fixtures' script is told of a run.
#[derive(Clone)]
pub struct Run {
    pub network: &'static str,
    pub steps: usize,
    pub opt: &'static str,
    pub lr: f64,
    pub weight_decay: f64,
    pub layer_decay: Option<f64>,
    pub criterion: Criterion,
    pub clip: Option<Clip>,
    pub accumulate: usize,
    /// Decay, and whether it warms up.
    pub ema: Option<(f64, bool)>,
    pub mix: Option<Mix>,
    pub checkpointing: bool,
    pub drops: Drops,
}

/// How a batch is mixed with itself in reverse order.
#[derive(Clone, Copy)]
pub enum Mix {
    Mixup(f32),
    /// Rows and columns of the box, each from and to.
    Cutmix([usize; 4]),
}

/// What is left of a run.
pub struct Outcome {
    pub losses: Vec<f64>,
    pub parameters: Vec<Parameter>,
    pub start: Vec<Vec<f32>>,
    /// The parameters, or their moving average.
    pub end: Vec<Vec<f32>>,
}

/// Weights of the norms that end a residual branch: they start at a tenth of the formula, so that rounding does not
/// grow from step to step.
const LAST_NORMS: [&str; 4] = ["bn2.weight", "bn3.weight", "conv2.bn.weight", "conv3.bn.weight"];

/// The formula's values.
pub struct Weights {
    /// Whether the last norms start small.
    pub gentle: bool,
}

impl SimpleBackend for Weights {
    fn get(
        &self,
        shape: candle_core::Shape,
        name: &str,
        _: Init,
        _: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut values = formula::value(name, shape.dims());
        if self.gentle && LAST_NORMS.iter().any(|norm| name.ends_with(norm)) {
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

fn named(name: &str, classes: usize) -> Architecture {
    find(name).unwrap().architecture(&Request::new(classes, 3)).unwrap()
}

impl Run {
    pub fn new(network: &'static str) -> Self {
        Self {
            network,
            steps: 5,
            opt: "sgd",
            lr: 0.005,
            weight_decay: 1e-4,
            layer_decay: None,
            criterion: Criterion::CrossEntropy { smoothing: 0.0 },
            clip: None,
            accumulate: 1,
            ema: None,
            mix: None,
            checkpointing: false,
            drops: Drops::default(),
        }
    }

    pub fn train(&self) -> Outcome {
        let (Architecture { graph, logits, .. }, side, batch, classes) = match self.network {
            "tresnet_m" => (named("tresnet_m", 1000), 64, 4, 1000),
            "tresnet_tiny" => (TINY.architecture(&Request::new(5, 3)).unwrap(), 64, 8, 5),
            name => (named(name, 10), 32, 8, 10),
        };
        let weights = VarBuilder::from_backend(Box::new(Weights { gentle: true }), DType::F32, Device::Cpu);
        let parameters = graph.parameters().to_vec();
        let mut network = Trainable::new(graph, &weights, &[0.0; 3], &[1.0; 3], Isa::detect()).unwrap();
        network.set_checkpointing(self.checkpointing);
        network.set_drops(self.drops).unwrap();
        let options =
            GroupOptions { weight_decay: self.weight_decay, layer_decay: self.layer_decay, layer_decay_min_scale: 0.0 };
        let groups = Groups::new(&parameters, &vec![false; parameters.len()], &options).unwrap();
        let settings = OptimizerSettings { name: self.opt.into(), momentum: 0.9, epsilon: None, betas: None };
        let mut optimizer = settings.build(groups).unwrap();
        let start = network.parameters().to_vec();
        let mut ema = self.ema.map(|(decay, warmup)| Ema::new(start.clone(), decay, warmup).unwrap());

        let image_len = side * side * 3;
        let pixels = formula::pixels(self.steps * batch, side, 3);
        let part = batch / self.accumulate;
        let mut losses = Vec::new();
        for step in 0..self.steps {
            network.parameters_mut().1.iter_mut().for_each(|gradient| gradient.fill(0.0));
            let mut sum = 0.0;
            for first in (step * batch..(step + 1) * batch).step_by(part) {
                let pixels = &pixels[first * image_len..][..part * image_len];
                let labels: Vec<usize> = (first..first + part).map(|image| label(image, classes)).collect();
                let shape = Shape { batch: part, height: side, width: side, channels: 3 };
                let mixed = self.mix.map(|mix| mix.apply(pixels, &labels, side, classes));
                let (images, targets) = match &mixed {
                    Some((images, targets)) => (Images::Floats(images), Targets::Soft(targets)),
                    None => (Images::Bytes(pixels), Targets::Classes(&labels)),
                };
                let tape = network.forward(images, shape, logits).unwrap();
                let mut loss = self.criterion.loss(tape.output(), classes, targets).unwrap();
                loss.gradient.iter_mut().for_each(|g| *g /= self.accumulate as f32);
                sum += loss.value / self.accumulate as f64;
                network.backward(tape, loss.gradient).unwrap();
            }
            losses.push(sum);
            let (values, gradients) = network.parameters_mut();
            if let Some(clip) = self.clip {
                clip.apply(values, gradients, optimizer.groups());
            }
            optimizer.step(values, gradients, self.lr).unwrap();
            if let Some(ema) = &mut ema {
                ema.update(values, step as u64 + 1);
            }
        }
        let end = ema.as_ref().map_or(network.parameters(), Ema::values).to_vec();
        Outcome { losses, parameters, start, end }
    }
}

pub fn label(image: usize, classes: usize) -> usize {
    (splitmix64(fnv1a64("labels").wrapping_add(image as u64)) >> 40) as usize % classes
}

impl Mix {
    fn apply(self, pixels: &[u8], labels: &[usize], side: usize, classes: usize) -> (Vec<f32>, Vec<f32>) {
        let batch = labels.len();
        let partners: Vec<usize> = labels.iter().rev().copied().collect();
        let image_len = pixels.len() / batch;
        let value = |image: usize, at: usize| f32::from(pixels[image * image_len + at]) / 255.0;
        let share = match self {
            Self::Mixup(share) => f64::from(share),
            Self::Cutmix([top, bottom, left, right]) => {
                1.0 - ((bottom - top) * (right - left)) as f64 / (side * side) as f64
            }
        };
        let mix = |image: usize, at: usize| {
            let (own, other) = (value(image, at), value(batch - 1 - image, at));
            match self {
                Self::Mixup(share) => own * share + other * (1.0 - share),
                Self::Cutmix([top, bottom, left, right]) => {
                    let (y, x) = (at / 3 / side, at / 3 % side);
                    if (top..bottom).contains(&y) && (left..right).contains(&x) { other } else { own }
                }
            }
        };
        let images = (0..pixels.len()).map(|at| mix(at / image_len, at % image_len)).collect();
        (images, mixed_targets(labels, &partners, &vec![share; batch], classes, 0.1).unwrap())
    }
}
