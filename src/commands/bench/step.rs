//! A training step on random pixels and labels: forward, loss, backward, and SGD with Nesterov's momentum.

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::infer::noise;
use crate::loss::{Criterion, Targets};
use crate::models::{Architecture, Variant};
use crate::nn::{Images, Initializer, Trainable, Value};
use crate::ops::{Isa, Shape};
use crate::optim::{GroupOptions, Groups, Optimizer, OptimizerSettings};

/// Small, so that random labels drive nothing to infinity.
const LEARNING_RATE: f64 = 1e-3;

/// A network that learns nothing worth knowing.
pub struct Step {
    pub network: Trainable,
    optimizer: Optimizer,
    logits: Value,
    pixels: Vec<u8>,
    shape: Shape,
    labels: Vec<usize>,
    classes: usize,
    criterion: Criterion,
}

impl Step {
    /// Of `variant`'s `architecture`, on batches of `shape`.
    pub fn new(variant: &Variant, architecture: Architecture, shape: Shape, isa: Isa) -> Result<Self> {
        let Architecture { graph, logits, .. } = architecture;
        let classes = graph.channels(logits);
        let weights = VarBuilder::from_backend(Box::new(Initializer { seed: 0 }), DType::F32, Device::Cpu);
        let network = Trainable::new(graph, &weights, &variant.mean, &variant.std, isa)?;
        let decay = GroupOptions { weight_decay: 1e-4, layer_decay: None, layer_decay_min_scale: 0.0 };
        let parameters = network.graph().parameters();
        let groups = Groups::new(parameters, &vec![false; parameters.len()], &decay)?;
        let sgd = OptimizerSettings { name: "sgd".into(), momentum: 0.9, epsilon: None, betas: None };
        Ok(Self {
            optimizer: sgd.build(groups)?,
            network,
            logits,
            pixels: noise(shape.len()),
            shape,
            labels: noise(shape.batch).into_iter().map(|byte| usize::from(byte) % classes).collect(),
            classes,
            criterion: Criterion::CrossEntropy { smoothing: 0.0 },
        })
    }

    /// Adds a batch's gradients.
    pub fn learn(&mut self) -> Result<()> {
        let tape = self.network.forward(Images::Bytes(&self.pixels), self.shape, self.logits)?;
        let loss = self.criterion.loss(tape.output(), self.classes, Targets::Classes(&self.labels))?;
        self.network.backward(tape, loss.gradient)
    }

    /// Steps along the gradients and forgets them.
    pub fn update(&mut self) -> Result<()> {
        let (values, gradients) = self.network.parameters_mut();
        self.optimizer.step(values, gradients, LEARNING_RATE)?;
        self.network.zero_gradients();
        Ok(())
    }
}
