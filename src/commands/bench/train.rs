//! A training step: forward, loss, backward and SGD with Nesterov's momentum, on random pixels and labels.

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::Bench;
use super::infer::noise;
use super::measure::Figure;
use crate::config::Subject;
use crate::loss::{Criterion, Targets};
use crate::models::{Architecture, Request};
use crate::nn::{Images, Initializer, Trainable};
use crate::ops::{Isa, Shape};
use crate::optim::{GroupOptions, Groups, OptimizerSettings};

/// Small, so that random labels drive nothing to infinity.
const LEARNING_RATE: f64 = 1e-3;

pub fn measure(bench: &Bench<'_>, subject: &Subject) -> Result<Figure> {
    let (batch, side) = (bench.settings.batch_size, subject.preprocessing.input_size);
    let (variant, classes) = (subject.variant, subject.variant.num_classes);
    let Architecture { graph, logits, .. } = variant.architecture(&Request::new(classes, 3))?;
    let weights = VarBuilder::from_backend(Box::new(Initializer { seed: 0 }), DType::F32, Device::Cpu);
    let half = bench.settings.runtime.dtype == DType::BF16;
    let isa = Isa::bf16().filter(|_| half).unwrap_or_else(Isa::detect);
    let mut network = Trainable::new(graph, &weights, &variant.mean, &variant.std, isa)?;
    let decay = GroupOptions { weight_decay: 1e-4, layer_decay: None, layer_decay_min_scale: 0.0 };
    let parameters = network.graph().parameters();
    let groups = Groups::new(parameters, &vec![false; parameters.len()], &decay)?;
    let sgd = OptimizerSettings { name: "sgd".into(), momentum: 0.9, epsilon: None, betas: None };
    let mut optimizer = sgd.build(groups)?;
    let shape = Shape::new(batch, side, side, 3);
    let pixels = noise(shape.len());
    let labels: Vec<usize> = noise(batch).into_iter().map(|byte| usize::from(byte) % classes).collect();
    let criterion = Criterion::CrossEntropy { smoothing: 0.0 };
    bench.time(|| {
        let tape = network.forward(Images::Bytes(&pixels), shape, logits)?;
        let loss = criterion.loss(tape.output(), classes, Targets::Classes(&labels))?;
        network.backward(tape, loss.gradient)?;
        let (values, gradients) = network.parameters_mut();
        optimizer.step(values, gradients, LEARNING_RATE)?;
        network.zero_gradients();
        Ok(batch)
    })
}
