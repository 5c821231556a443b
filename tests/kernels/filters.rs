//! Depthwise convolutions, plain and mixed, and convolutions in groups.

use tresnet::ops::cuda::{self, Element, padded};
use tresnet::ops::{Activation, Bands, Conv2d, ConvSpec, Isa, Shape, Window, padded_vector};

use crate::compare::{ELEMENTS, assert_near, pad, padded_shape, round, unpad, values};
use crate::memory::{Memory, run};

/// A depthwise convolution of shares of a map: channels and the side of their kernel.
pub fn shares(shares: &[(usize, usize)], stride: usize) -> Vec<ConvSpec> {
    let of = shares.iter().map(|(channels, _)| channels).sum();
    let mut first = 0;
    let spec = |&(channels, kernel): &(usize, usize)| {
        let window = Window { first, of };
        first += channels;
        ConvSpec {
            groups: channels,
            input: window,
            output: window,
            ..ConvSpec::new(channels, channels, kernel, stride)
        }
    };
    shares.iter().map(spec).collect()
}

pub fn depthwise_convolutions_are_the_cpus_also_mixed_ones() {
    let channels: [&[(usize, usize)]; 5] =
        [&[(83, 3)], &[(8, 5)], &[(10, 3), (9, 5)], &[(20, 3), (20, 7)], &[(16, 3), (12, 9), (5, 11)]];
    let sides = [(7, 13), (1, 1), (13, 6)];
    for (own, (height, width)) in channels.iter().flat_map(|own| sides.map(|side| (own, side))) {
        for (stride, element) in [1, 2].into_iter().flat_map(|stride| ELEMENTS.map(|element| (stride, element))) {
            check_depthwise(&shares(own, stride), [height, width], element);
        }
    }
}

fn check_depthwise(specs: &[ConvSpec], [height, width]: [usize; 2], element: Element) {
    let channels = specs[0].input.of;
    let shape = Shape::new(2, height, width, channels);
    let bands = Bands::new(specs).unwrap();
    let out_shape = bands.output(shape);
    let [input, residual] =
        [("input", shape), ("residual", out_shape)].map(|(name, shape)| values(name, shape.len(), element));
    let weights: Vec<Vec<f32>> =
        specs.iter().map(|spec| values("weight", spec.out_channels * spec.kernel * spec.kernel, element)).collect();
    let bias = values("bias", channels, Element::F32);
    let parts: Vec<(ConvSpec, &[f32])> = specs.iter().zip(&weights).map(|(spec, own)| (*spec, &own[..])).collect();
    let device_weight = Memory::values(element, &bands.weight(&parts, None));
    let device_bias = Memory::floats(&padded_vector(&bias, padded(channels)));
    let map = |values: &[f32]| Memory::values(element, &pad(values, channels));
    for (has_residual, activation) in [(false, Activation::Silu), (true, Activation::Relu)] {
        let added = has_residual.then_some(&residual[..]);
        let mut expected = vec![0.0; out_shape.len()];
        for (spec, weight) in &parts {
            let own = &bias[spec.output.first..][..spec.out_channels];
            let conv = Conv2d::new(*spec, weight, None, Some(own), Isa::detect().exact());
            assert_eq!(conv.spec().output(shape).unwrap(), out_shape);
            conv.forward(&input, shape, added, activation, &mut expected).unwrap();
        }
        let (device_input, device_residual) = (map(&input), added.map(map));
        let out = Memory::fresh(padded_shape(out_shape).len() * element.size());
        let launches = cuda::depthwise::depthwise(
            element,
            &bands,
            padded_shape(shape),
            [&device_input, &device_weight],
            [Some(&device_bias), device_residual.as_deref()],
            activation,
            &out,
        );
        launches.unwrap().into_iter().for_each(|launch| run(Ok(launch)));
        assert_near(&format!("{specs:?} of {shape}"), element, &unpad(&out.read_values(element), channels), &expected);
    }
}

pub fn a_depthwise_kernel_that_is_not_compiled_is_refused_by_its_side() {
    let memory = Memory::fresh(1 << 13);
    for (kernel, stride) in [(13, 1), (3, 3)] {
        let bands = Bands::new(&shares(&[(8, kernel)], stride)).unwrap();
        let shape = Shape::new(1, 2, 2, 8);
        let operands = [&*memory, &*memory];
        let refused =
            cuda::depthwise::depthwise(Element::F32, &bands, shape, operands, [None; 2], Activation::Identity, &memory);
        let refused = format!("{:#}", refused.err().unwrap());
        assert!(refused.contains(&format!("no kernel of side {kernel} and stride {stride}")), "{refused}");
    }
}

/// Convolutions in groups, each with the shape of an input.
pub fn in_groups() -> impl Iterator<Item = (ConvSpec, Shape)> {
    // channels in, out, groups, kernel, stride, sides
    let sizes = [(32, 32, 8, 3, 1, 7, 13), (16, 32, 4, 3, 2, 13, 6), (24, 16, 2, 1, 1, 5, 3), (16, 16, 16, 5, 2, 7, 7)];
    sizes.into_iter().map(|(inputs, outputs, groups, kernel, stride, height, width)| {
        let spec = ConvSpec { groups, ..ConvSpec::new(inputs, outputs, kernel, stride) };
        (spec, Shape::new(2, height, width, inputs))
    })
}

pub fn convolutions_in_groups_are_the_cpus_with_every_epilogue() {
    for (spec, shape) in in_groups() {
        let out_shape = spec.output(shape).unwrap();
        for element in ELEMENTS {
            let weight = values("weight", spec.weight_shape().iter().product(), element);
            let input = values("input", shape.len(), element);
            let (bias, residual) =
                (values("bias", spec.out_channels, Element::F32), values("r", out_shape.len(), element));
            let device = [
                Memory::values(element, &input),
                Memory::values(element, &cuda::conv2d::filter_for_device(&spec, &weight, padded)),
            ];
            for (shift, added, activation) in [
                (None, None, Activation::Identity),
                (Some(&bias[..]), None, Activation::Silu),
                (Some(&bias[..]), Some(&residual[..]), Activation::Relu),
            ] {
                let mut expected = vec![0.0; out_shape.len()];
                let conv = Conv2d::new(spec, &weight, None, shift, Isa::detect().exact());
                conv.forward(&input, shape, added, activation, &mut expected).unwrap();
                let (bias, residual) = (shift.map(Memory::floats), added.map(|added| Memory::values(element, added)));
                let out = Memory::fresh(expected.len() * element.size());
                run(cuda::conv2d::conv2d(
                    element,
                    &spec,
                    shape,
                    [&device[0], &device[1]],
                    [bias.as_deref(), residual.as_deref()],
                    activation,
                    &out,
                ));
                let expected: Vec<f32> = expected.iter().map(|&value| round(value, element)).collect();
                assert_near(&format!("{spec:?} of {shape}"), element, &out.read_values(element), &expected);
            }
        }
    }
}
