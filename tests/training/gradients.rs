//! One step's gradients against PyTorch's in f64 (`scripts/fixtures/gradients.py`), for a network of each family.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use tresnet::loss::{Criterion, Targets};
use tresnet::models::{Architecture, ModelKwargs, Request, find};
use tresnet::nn::{Images, Parameter, Trainable};
use tresnet::ops::{Isa, Shape};

use super::formula;
use super::run::{Weights, label};

/// How far a gradient may be from PyTorch's in f64, relative to its norm: PyTorch in f32 is up to 9e-3 from itself,
/// where a value crosses ReLU's kink.
const TOLERANCE: f32 = 3e-2;
/// How far nine tenths of them may be; a crossing moves all gradients of the layers before it.
const USUAL_TOLERANCE: f32 = 5e-3;
/// What rounding leaves of gradients that are zero, such as that of a shift whose next norm takes it out again.
const ROUNDING: f32 = 1e-5;

fn fixture(name: &str) -> Tensor {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/training/gradients.safetensors");
    let mut fixtures: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    fixtures.remove(name).unwrap_or_else(|| panic!("the fixtures hold no {name}"))
}

/// The greater of how far the norm and the first values are from those of the row, relative to the norm.
fn distance(values: &[f32], row: &[f32]) -> f32 {
    let norm = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    let differences = values.iter().zip(&row[..8]).map(|(ours, theirs)| (ours - theirs).abs());
    let most = differences.fold((norm - row[8]).abs(), f32::max);
    (most - ROUNDING).max(0.0) / row[8].max(ROUNDING)
}

fn assert_rows(what: &str, parameters: &[Parameter], values: &[Vec<f32>], trainable: bool, usual: f32) {
    let rows: Vec<Vec<f32>> = fixture(what).to_vec2().unwrap();
    let mut own: Vec<usize> = (0..parameters.len()).filter(|&at| parameters[at].trainable == trainable).collect();
    own.sort_by_key(|&at| &parameters[at].name);
    assert_eq!(own.len(), rows.len(), "tensors of {what}");
    let mut distances = Vec::new();
    for (at, row) in own.into_iter().zip(rows) {
        let distance = distance(&values[at], &row);
        assert!(distance <= TOLERANCE, "{what}: {} is {distance} of its norm away", parameters[at].name);
        distances.push(distance);
    }
    distances.sort_by(f32::total_cmp);
    let most = distances[distances.len() * 9 / 10];
    assert!(most <= usual, "{what}: a tenth of the tensors is {most} of their norms away, or more");
}

fn assert_step_agrees(name: &str, side: usize) {
    let mut words = name.split(' ');
    let variant = find(words.next().unwrap()).unwrap();
    let kwargs = ModelKwargs::parse(words).unwrap();
    let Architecture { graph, logits, .. } = variant.architecture(&Request { kwargs, ..Request::new(10, 3) }).unwrap();
    let weights = VarBuilder::from_backend(Box::new(Weights { gentle: false }), DType::F32, Device::Cpu);
    let parameters = graph.parameters().to_vec();
    let mut network = Trainable::new(graph, &weights, &[0.0; 3], &[1.0; 3], Isa::detect()).unwrap();
    let pixels = formula::pixels(8, side, 3);
    let labels: Vec<usize> = (0..8).map(|image| label(image, 10)).collect();
    let tape = network.forward(Images::Bytes(&pixels), Shape::new(8, side, side, 3), logits).unwrap();
    let criterion = Criterion::CrossEntropy { smoothing: 0.0 };
    let loss = criterion.loss(tape.output(), 10, Targets::Classes(&labels)).unwrap();
    let expected = f64::from(fixture(&format!("{name}.loss")).to_vec1::<f32>().unwrap()[0]);
    assert!((loss.value / expected - 1.0).abs() < 1e-4, "the loss of {name} is {}, not {expected}", loss.value);
    network.backward(tape, loss.gradient).unwrap();
    assert_rows(&format!("{name}.statistics"), &parameters, network.parameters(), false, 1e-4);
    let gradients = network.parameters_mut().1.to_vec();
    assert_rows(&format!("{name}.gradients"), &parameters, &gradients, true, USUAL_TOLERANCE);
}

#[test]
fn a_resnet_with_a_deep_stem_has_pytorchs_gradients() {
    assert_step_agrees("resnet26d", 64);
}

#[test]
fn grouped_and_gated_blocks_have_pytorchs_gradients() {
    assert_step_agrees("seresnext50_32x4d", 64);
}

#[test]
fn an_efficientnet_has_pytorchs_gradients() {
    assert_step_agrees("efficientnet_b0", 64);
}

#[test]
fn a_mixnet_has_pytorchs_gradients() {
    assert_step_agrees("mixnet_s", 64);
}

#[test]
fn preactivated_blocks_have_pytorchs_gradients_with_and_without_projections() {
    assert_step_agrees("PreActResNet20", 32);
    assert_step_agrees("PreActResNet20 shortcut=A", 32);
}

#[test]
fn a_wide_resnet_has_pytorchs_gradients() {
    assert_step_agrees("WideResNet16 width=2 drop_rate=0", 32);
}
