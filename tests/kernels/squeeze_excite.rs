//! Squeeze-and-excitation forward and backward, as the sequence of launches that makes it up.

use tresnet::ops::cuda::linear::{LinearShape, linear_weight_gradient};
use tresnet::ops::cuda::pool::global_average_pool;
use tresnet::ops::cuda::squeeze_excite::{
    Gate, GateGradient, Layers, apply, gate, gate_gradient, gradient_apply, gradient_sums,
};
use tresnet::ops::cuda::{Element, padded};
use tresnet::ops::{Activation, Isa, Shape, SqueezeExcite, activation_gradient};

use crate::compare::{ELEMENTS, assert_within, pad, padded_shape, unpad, values};
use crate::memory::{Memory, run};

/// Weights of the two layers on both sides.
struct Weights {
    /// reduce, its bias, expand, its bias
    cpu: [Vec<f32>; 4],
    device: [Memory; 4],
}

impl Weights {
    fn new(channels: usize, hidden: usize) -> Self {
        let lens = [("w1", hidden * channels), ("b1", hidden), ("w2", channels * hidden), ("b2", channels)];
        let cpu = lens.map(|(name, len)| values(name, len, Element::F32));
        let device = [
            Memory::floats(&pad(&cpu[0], channels)),
            Memory::floats(&cpu[1]),
            Memory::floats(&rows(&cpu[2], padded(channels) * hidden)),
            Memory::floats(&pad(&cpu[3], channels)),
        ];
        Self { cpu, device }
    }

    fn layers(&self, hidden: usize, between: Activation) -> Layers {
        let [w1, b1, w2, b2] = self.device.each_ref().map(|memory| (**memory).clone());
        Layers { reduce: [w1, b1], expand: [w2, b2], hidden, between }
    }
}

/// Zeros behind all of it: rows for the padding channels.
fn rows(values: &[f32], len: usize) -> Vec<f32> {
    let mut all = values.to_vec();
    all.resize(len, 0.0);
    all
}

pub fn squeeze_and_excitation_is_the_cpus_both_ways() {
    for (channels, hidden, height, width, activations) in [
        (3, 2, 1, 1, [Activation::Relu, Activation::Silu]),
        (76, 64, 7, 13, [Activation::Relu; 2]),
        (24, 70, 3, 5, [Activation::Relu; 2]),
        (83, 33, 13, 7, [Activation::Identity, Activation::Silu]),
        (100, 1, 20, 13, [Activation::LeakyRelu(0.01), Activation::LeakyRelu(0.1)]),
    ] {
        let shape = Shape::new(2, height, width, channels);
        let weights = Weights::new(channels, hidden);
        for element in ELEMENTS {
            for (has_residual, splits) in [(false, 1), (true, 3)] {
                check(shape, hidden, activations, &weights, element, has_residual, splits);
            }
        }
    }
}

fn check(
    shape: Shape,
    hidden: usize,
    [activation, between]: [Activation; 2],
    weights: &Weights,
    element: Element,
    has_residual: bool,
    splits: usize,
) {
    let what = format!("{shape} in {element:?}");
    let (isa, channels) = (Isa::detect(), shape.channels);
    let [input, residual, gradient] = ["x", "r", "g"].map(|name| values(name, shape.len(), element));
    let added = has_residual.then_some(&residual[..]);
    let [w1, b1, w2, b2] = weights.cpu.each_ref().map(|weights| &weights[..]);
    let op = SqueezeExcite::new([channels, hidden], [w1, b1], [w2, b2], between, isa);
    let mut expected = vec![0.0; shape.len()];
    let cpu_gate = op.forward(&input, shape, added, activation, &mut expected).unwrap();

    let on_device = padded_shape(shape);
    let row = on_device.batch * on_device.channels;
    let map = |values: &[f32]| Memory::values(element, &pad(values, channels));
    let fresh = |floats: usize| Memory::fresh(floats * 4);
    let (layers, device_input) = (weights.layers(hidden, between), map(&input));
    let parts = fresh(splits * row);
    let kept = [fresh(row), fresh(shape.batch * hidden), fresh(row), fresh(shape.batch * hidden)];
    let reduced = between.is_curved().then(|| kept[3].clone());
    let own = Gate { mean: kept[0].clone(), reduced, hidden: kept[1].clone(), gates: kept[2].clone() };
    run(global_average_pool(element, on_device, &device_input, splits, &parts));
    run(gate(on_device, &parts, splits, &layers, &own));
    let out = Memory::fresh(on_device.len() * element.size());
    let device_residual = added.map(map);
    run(apply(element, on_device, &device_input, &own.gates, device_residual.as_deref(), activation, &out));
    let digits = match element {
        Element::F32 => 1e-5,
        Element::F16 => 2e-3,
        Element::Bf16 => 1.6e-2,
    };
    assert_within(&what, &unpad(&out.read_values(element), channels), &expected, digits);

    // Back, by way of the same output, so that no sign near 0 differs.
    let mut dx = gradient.clone();
    activation_gradient(&mut dx, &expected, activation);
    let through = dx.clone();
    let mut sums = weights.cpu.each_ref().map(|weights| vec![0.5; weights.len()]);
    let [g1, gb1, g2, gb2] = sums.each_mut().map(|sums| &mut sums[..]);
    cpu_gate.gradient(&mut dx, &input, shape, [w1, w2], [[g1, gb1], [g2, gb2]], isa).unwrap();

    let (dy, result) = (map(&gradient), map(&expected));
    run(gradient_sums(element, on_device, &dy, [&result, &device_input], activation, splits, &parts));
    assert_within(&what, &unpad(&dy.read_values(element), channels), &through, digits);
    let back = [fresh(row), fresh(shape.batch * hidden), fresh(row)];
    let own_back = GateGradient { expanded: back[0].clone(), hidden: back[1].clone(), position: back[2].clone() };
    run(gate_gradient(on_device, &parts, splits, &own, &layers, &own_back));
    run(gradient_apply(element, on_device, &dy, &own.gates, &own_back.position, &dy));
    assert_within(&format!("input's gradient of {what}"), &unpad(&dy.read_values(element), channels), &dx, digits);

    let half = |len: usize| Memory::floats(&vec![0.5; len]);
    let wide = on_device.channels;
    let device_sums = [half(wide * hidden), half(hidden), half(wide * hidden), half(wide)];
    let expand = LinearShape { batch: shape.batch, inputs: hidden, outputs: wide };
    run(linear_weight_gradient(expand, &own_back.expanded, &own.hidden, [&device_sums[2], &device_sums[3]]));
    let reduce = LinearShape { batch: shape.batch, inputs: wide, outputs: hidden };
    run(linear_weight_gradient(reduce, &own_back.hidden, &own.mean, [&device_sums[0], &device_sums[1]]));
    let [d1, db1, d2, db2] = device_sums.each_ref().map(Memory::read_floats);
    let reduced: Vec<f32> = d1.chunks_exact(wide).flat_map(|row| row[..channels].to_vec()).collect();
    for (ours, expected) in [(&reduced[..], &sums[0]), (&db1, &sums[1]), (&d2[..channels * hidden], &sums[2])] {
        assert_within(&format!("weights' gradient of {what}"), ours, expected, digits);
    }
    assert_within(&format!("bias's gradient of {what}"), &db2[..channels], &sums[3], digits);
}

pub fn a_gate_without_what_silu_was_given_is_refused() {
    let memory = Memory::fresh(1 << 10);
    let region = || (*memory).clone();
    let layers = Weights::new(8, 2).layers(2, Activation::Silu);
    let own = Gate { mean: region(), reduced: None, hidden: region(), gates: region() };
    let out = GateGradient { expanded: region(), hidden: region(), position: region() };
    let refused = gate_gradient(Shape::new(1, 1, 1, 8), &memory, 1, &own, &layers, &out).err().unwrap();
    assert!(format!("{refused:#}").contains("Silu does not go back by what it gave"), "{refused:#}");
}

pub fn more_channels_than_a_block_can_hold_are_refused() {
    let memory = Memory::fresh(1 << 20);
    let region = || (*memory).clone();
    let layers =
        Layers { reduce: [region(), region()], expand: [region(), region()], hidden: 1, between: Activation::Relu };
    let own = Gate { mean: region(), reduced: None, hidden: region(), gates: region() };
    let refused = gate(Shape::new(1, 1, 1, 4104), &memory, 1, &layers, &own).err().unwrap();
    assert!(format!("{refused:#}").contains("4104 channels"), "{refused:#}");
}
