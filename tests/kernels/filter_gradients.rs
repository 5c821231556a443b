//! Gradients of depthwise convolutions and of those in groups, and filters that are joined of parts.

use tresnet::ops::cuda::{self, Element, filter_parts, padded};
use tresnet::ops::{
    Bands, ConvSpec, Isa, PaddedConv, Piece, Shape, Window, conv2d_input_gradient, conv2d_weight_gradient,
};

use crate::compare::{ELEMENTS, assert_near, pad, padded_shape, unpad, values};
use crate::filters::{in_groups, shares};
use crate::memory::{Memory, run};

/// Shares of a map's channels and the sides of their kernels: plain, with a border within eight channels, more than a
/// block takes.
const SHARES: [&[(usize, usize)]; 5] =
    [&[(83, 3)], &[(8, 5)], &[(10, 3), (9, 5)], &[(20, 3), (20, 7)], &[(16, 3), (12, 9), (5, 11)]];

pub fn depthwise_gradients_are_the_cpus_also_of_mixed_ones() {
    // Odd, the least, even, and more strips than a block sums up.
    let sides = [(7, 13), (1, 1), (13, 6), (40, 37)];
    for (own, (height, width)) in SHARES.iter().flat_map(|own| sides.map(|side| (own, side))) {
        for (stride, element) in [1, 2].into_iter().flat_map(|stride| ELEMENTS.map(|element| (stride, element))) {
            if height * width < 1000 || element == Element::F32 {
                check_depthwise(&shares(own, stride), [height, width], element);
            }
        }
    }
}

fn check_depthwise(specs: &[ConvSpec], [height, width]: [usize; 2], element: Element) {
    let (isa, channels) = (Isa::detect().exact(), specs[0].input.of);
    let shape = Shape::new(2, height, width, channels);
    let bands = Bands::new(specs).unwrap();
    let out_shape = bands.output(shape);
    let weights = weights(specs, element);
    let parts: Vec<(ConvSpec, &[f32])> = specs.iter().zip(&weights).map(|(spec, own)| (*spec, &own[..])).collect();
    let (input, earlier) = (values("input", shape.len(), element), values("earlier", shape.len(), element));
    let gradient = values("gradient", out_shape.len(), element);
    let map = |values: &[f32]| Memory::values(element, &pad(values, channels));
    let (device_input, device_gradient) = (map(&input), map(&gradient));
    let device_weight = Memory::values(element, &bands.weight(&parts, None));
    let wide = padded_shape(shape);
    let what = format!("{specs:?} of {shape} in {element:?}");

    for add in [None, Some(&earlier[..])] {
        let mut expected = vec![0.0; shape.len()];
        for (spec, weight) in &parts {
            conv2d_input_gradient(spec, weight, &gradient, shape, add, &mut expected, isa).unwrap();
        }
        let out = Memory::values(element, &pad(add.unwrap_or(&vec![f32::NAN; shape.len()]), channels));
        let operands = [&*device_gradient, &*device_weight];
        let add = add.map(|_| &*out);
        let launches = cuda::depthwise::depthwise_input_gradient(element, &bands, wide, operands, add, &out);
        launches.unwrap().into_iter().for_each(|launch| run(Ok(launch)));
        assert_near(&what, element, &unpad(&out.read_values(element), channels), &expected);
    }

    let sums = Memory::fresh(cuda::depthwise::weight_gradient_len(&bands, wide) * 4);
    let maps = [&*device_input, &*device_gradient];
    let launches = cuda::depthwise::depthwise_weight_gradient(element, &bands, wide, maps, &sums);
    launches.unwrap().into_iter().for_each(|launch| run(Ok(launch)));
    let so_far: Vec<Memory> = weights.iter().map(|own| Memory::floats(&vec![0.25; own.len()])).collect();
    for piece in bands.pieces(specs) {
        run(cuda::depthwise::split_weight_gradient(&bands, wide, &piece, &sums, &so_far[piece.part]));
    }
    for (spec, ours) in specs.iter().zip(&so_far) {
        let mut expected = vec![0.25; spec.weight_shape().iter().product()];
        conv2d_weight_gradient(spec, &input, shape, &gradient, &mut expected, isa).unwrap();
        assert_near(&what, Element::F32, &ours.read_floats(), &expected);
    }
}

fn weights(specs: &[ConvSpec], element: Element) -> Vec<Vec<f32>> {
    let weight =
        |(at, spec): (usize, &ConvSpec)| values(&format!("weight {at}"), spec.weight_shape().iter().product(), element);
    specs.iter().enumerate().map(weight).collect()
}

pub fn gradients_of_convolutions_in_groups_are_the_cpus() {
    for (spec, shape) in in_groups() {
        let out_shape = spec.output(shape).unwrap();
        for element in ELEMENTS {
            let isa = Isa::detect().exact();
            let what = format!("{spec:?} of {shape} in {element:?}");
            let weight = values("weight", spec.weight_shape().iter().product(), element);
            let (input, gradient) =
                (values("input", shape.len(), element), values("gradient", out_shape.len(), element));
            let earlier = values("earlier", shape.len(), element);
            let laid_out = |values: &[f32]| cuda::conv2d::filter_for_device(&spec, values, padded);
            let device = [&input, &gradient, &laid_out(&weight)].map(|values| Memory::values(element, values));
            for add in [None, Some(&earlier[..])] {
                let mut expected = vec![0.0; shape.len()];
                conv2d_input_gradient(&spec, &weight, &gradient, shape, add, &mut expected, isa).unwrap();
                let out = Memory::values(element, add.unwrap_or(&vec![0.0; shape.len()]));
                let add = add.map(|_| &*out);
                let operands = [&*device[1], &*device[2]];
                run(cuda::conv2d::conv2d_input_gradient(element, &spec, shape, operands, add, &out));
                assert_near(&what, element, &out.read_values(element), &expected);
            }
            let mut expected = values("so far", weight.len(), Element::F32);
            let out = Memory::floats(&laid_out(&expected));
            conv2d_weight_gradient(&spec, &input, shape, &gradient, &mut expected, isa).unwrap();
            run(cuda::conv2d::conv2d_weight_gradient(element, &spec, shape, [&device[0], &device[1]], &out));
            assert_near(&what, Element::F32, &out.read_floats(), &laid_out(&expected));
        }
    }
}

/// Two shares of a map, a smaller kernel beside a larger, the first in groups.
fn mixed() -> Vec<ConvSpec> {
    let window = |first, of| Window { first, of };
    vec![
        ConvSpec { groups: 2, input: window(0, 13), output: window(0, 11), ..ConvSpec::new(8, 4, 3, 1) },
        ConvSpec { input: window(8, 13), output: window(4, 11), ..ConvSpec::new(5, 7, 1, 1) },
    ]
}

/// Joins weights on the device, over memory that holds NaN.
fn joined(pieces: &[Piece], weights: &[Vec<f32>], len: usize, element: Element) -> Memory {
    let whole = Memory::fresh(len * element.size());
    for piece in pieces {
        run(filter_parts::join(element, piece, &Memory::values(element, &weights[piece.part]), &whole));
    }
    whole
}

pub fn parts_are_joined_as_evaluation_joins_them_and_get_their_gradients_back() {
    // Mixed, and one whose groups are no multiples of eight.
    for specs in [mixed(), vec![ConvSpec { groups: 3, ..ConvSpec::new(6, 9, 3, 2) }]] {
        let spec = ConvSpec::joined(&specs).unwrap();
        let pieces = spec.pieces(&specs).unwrap();
        for element in ELEMENTS {
            let weights = weights(&specs, element);
            let parts: Vec<_> = specs.iter().zip(&weights).map(|(spec, own)| (*spec, &own[..])).collect();
            let expected = PaddedConv::new(&spec, &spec.joined_weight(&parts), None, None).weight;
            let whole = joined(&pieces, &weights, expected.len(), element);
            assert_eq!(whole.read_values(element), expected, "{specs:?}");
            // A gradient that is 1 more between the parts too: of that nothing may come back.
            let gradient: Vec<f32> = expected.iter().map(|value| value + 1.0).collect();
            let gradient = Memory::values(element, &gradient);
            for (part, own) in weights.iter().enumerate() {
                let out = Memory::floats(&vec![0.5; own.len()]);
                let of_part = pieces.iter().filter(|piece| piece.part == part);
                of_part.for_each(|piece| run(filter_parts::split(element, piece, &gradient, [1, 0], &out)));
                let expected: Vec<f32> = own.iter().map(|value| value + 1.5).collect();
                assert_near(&format!("{specs:?}"), element, &out.read_floats(), &expected);
            }
        }
    }
}

pub fn parts_of_depthwise_bands_are_joined_as_evaluation_joins_them() {
    for own in SHARES {
        let specs = shares(own, 1);
        let bands = Bands::new(&specs).unwrap();
        for element in ELEMENTS {
            let weights = weights(&specs, element);
            let parts: Vec<_> = specs.iter().zip(&weights).map(|(spec, own)| (*spec, &own[..])).collect();
            let whole = joined(&bands.pieces(&specs), &weights, bands.weight_len(), element);
            assert_eq!(whole.read_values(element), bands.weight(&parts, None), "{specs:?}");
        }
    }
}
