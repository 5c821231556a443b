//! Drop-out and stochastic depth within a network.

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use tresnet::loss::{Criterion, Targets};
use tresnet::models::{Architecture, Config, Request, find};
use tresnet::nn::{Drops, Images, Initializer, Trainable, Value};
use tresnet::ops::{Isa, Shape};

use super::run::TINY;
use super::{formula, random};

const SIDE: usize = 64;
const BATCH: usize = 4;

fn network(drops: Drops) -> (Trainable, Value) {
    trainable(TINY.architecture(&Request::new(5, 3)).unwrap(), drops)
}

type Build = fn(Drops) -> (Trainable, Value);

/// A network with dropout of its own, and with branches that end in convolutions.
fn preactivated(drops: Drops) -> (Trainable, Value) {
    let variant = find("PreActWideResNet16").unwrap();
    trainable(variant.architecture(&Request::new(5, 3)).unwrap(), drops)
}

fn trainable(Architecture { graph, logits, .. }: Architecture, drops: Drops) -> (Trainable, Value) {
    let weights = VarBuilder::from_backend(Box::new(Initializer { seed: 3 }), DType::F32, Device::Cpu);
    let mut network = Trainable::new(graph, &weights, &[0.0; 3], &[1.0; 3], Isa::detect()).unwrap();
    // Branches end in norms whose weight starts at 0: from 1 they matter.
    for (parameter, values) in network.graph().parameters().to_vec().iter().zip(network.parameters_mut().0) {
        if parameter.name.ends_with("bn.weight") {
            values.fill(1.0);
        }
    }
    network.set_drops(drops).unwrap();
    (network, logits)
}

fn loss(network: &mut Trainable, logits: Value) -> (f64, Vec<f32>) {
    let pixels = formula::pixels(BATCH, SIDE, 3);
    let labels: Vec<usize> = (0..BATCH).map(|image| random::splitmix64(image as u64) as usize % 5).collect();
    let tape = network.forward(Images::Bytes(&pixels), Shape::new(BATCH, SIDE, SIDE, 3), logits).unwrap();
    let criterion = Criterion::CrossEntropy { smoothing: 0.0 };
    let loss = criterion.loss(tape.output(), 5, Targets::Classes(&labels)).unwrap();
    network.backward(tape, loss.gradient.clone()).unwrap();
    (loss.value, loss.gradient)
}

#[test]
fn gradients_are_those_of_the_network_that_is_left() {
    let none = Drops::default();
    let networks: [(Build, Drops); 4] = [
        (network, Drops { path: 0.6, ..none }),
        (network, Drops { features: 0.5, ..none }),
        (preactivated, none),
        (preactivated, Drops { path: 0.6, ..none }),
    ];
    for (network, drops) in networks {
        let (mut trainable, logits) = network(Drops { seed: 2, ..drops });
        loss(&mut trainable, logits);
        let (_, gradients) = trainable.parameters_mut();
        let gradients = gradients.to_vec();
        let squared: f64 = gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum();
        // A step along the gradient changes the loss by the step times the gradient's square.
        let step = 1e-3 / squared.sqrt();
        let shifted = |sign: f64| {
            let (mut trainable, logits) = network(Drops { seed: 2, ..drops });
            for (values, gradient) in trainable.parameters_mut().0.iter_mut().zip(&gradients) {
                for (value, g) in values.iter_mut().zip(gradient) {
                    *value = (f64::from(*value) + sign * step * f64::from(*g)) as f32;
                }
            }
            loss(&mut trainable, logits).0
        };
        let slope = (shifted(1.0) - shifted(-1.0)) / (2.0 * step);
        assert!((slope / squared - 1.0).abs() < 1e-2, "{drops:?}: the loss changes by {slope}, not by {squared}");
    }
}

#[test]
fn a_batch_drops_other_values_than_the_next_and_a_network_without_drops_none() {
    let outcome = |drops, batch| {
        let (mut trainable, logits) = network(drops);
        trainable.set_batch(batch);
        loss(&mut trainable, logits).1
    };
    let drops = Drops { features: 0.3, path: 0.5, seed: 1 };
    assert_eq!(outcome(drops, 7), outcome(drops, 7));
    assert_ne!(outcome(drops, 7), outcome(drops, 8));
    assert_ne!(outcome(drops, 7), outcome(Drops { seed: 2, ..drops }, 7));
    assert_eq!(outcome(Drops::default(), 7), outcome(Drops::default(), 8));
    let own = |batch| {
        let (mut trainable, logits) = preactivated(Drops::default());
        trainable.set_batch(batch);
        loss(&mut trainable, logits).1
    };
    assert_eq!(own(7), own(7));
    assert_ne!(own(7), own(8));
}
