//! Normalising, blur-pool, average pools, activations and sums.

use tresnet::ops::cuda::{self, padded};
use tresnet::ops::{self, Activation, Dropout, Normalize, Shape, Subsample};

use crate::compare::{CHANNELS, ELEMENTS, activated, assert_near, pad, padded_shape, round, unpad, values};
use crate::memory::{Memory, run};

/// Sides that are odd, even, the least and more than a strip.
const SIDES: [(usize, usize); 4] = [(7, 13), (13, 7), (2, 3), (4, 30)];

fn shapes() -> impl Iterator<Item = Shape> {
    CHANNELS.into_iter().flat_map(|channels| SIDES.map(|(height, width)| Shape::new(2, height, width, channels)))
}

pub fn bytes_become_cells_of_padded_channels() {
    let normalisation = [[0.485, 0.456, 0.406, 0.5], [0.229, 0.224, 0.225, 0.3]];
    let [mean, std] = normalisation.map(|numbers| Memory::floats(&numbers));
    for (colours, cell) in [(3, 4), (3, 1), (1, 4), (4, 2)] {
        let shape = Shape::new(2, 3 * cell, 5 * cell, colours);
        let bytes: Vec<u8> = (0..shape.len()).map(|at| (at * 37 % 256) as u8).collect();
        let mut expected = vec![0.0; shape.len()];
        let [mean_values, std_values] = normalisation.map(|numbers| numbers[..colours].to_vec());
        Normalize::new(&mean_values, &std_values).forward(&bytes, shape, cell, &mut expected);
        let images = Memory::of_bytes(&bytes);
        let channels = cell * cell * colours;
        for element in ELEMENTS {
            let out = Memory::fresh(shape.batch * 15 * padded(channels) * element.size());
            run(cuda::normalize::normalize(element, shape, cell, &images, [&mean, &std], &out));
            // The same f32 operations in the same order: not a bit may differ.
            let rounded: Vec<f32> = expected.iter().map(|&value| round(value, element)).collect();
            assert_eq!(unpad(&out.read_values(element), channels), rounded, "{shape} by {cell}");
        }
    }
}

pub fn numbers_become_cells_of_padded_channels() {
    for (colours, cell) in [(3, 4), (1, 2)] {
        let shape = Shape::new(2, 2 * cell, 3 * cell, colours);
        for element in ELEMENTS {
            let input = values("images", shape.len(), element);
            let mut expected = vec![0.0; shape.len()];
            ops::space_to_depth(&input, shape, cell, &mut expected);
            let channels = cell * cell * colours;
            let out = Memory::fresh(shape.batch * 6 * padded(channels) * element.size());
            run(cuda::normalize::space_to_depth(element, shape, cell, &Memory::floats(&input), &out));
            assert_eq!(unpad(&out.read_values(element), channels), expected, "{shape} by {cell}");
        }
    }
}

pub fn blur_pool_is_the_cpus() {
    for shape in shapes() {
        for element in ELEMENTS {
            let input = values("input", shape.len(), element);
            let bias = values("bias", shape.channels, element);
            let out_shape = ops::blur_pool_shape(shape).unwrap();
            for producer in [None, Some(Activation::LeakyRelu(0.01)), Some(Activation::Relu)] {
                let act =
                    |(at, &x): (usize, &f32)| producer.map_or(x, |act| activated(act, x + bias[at % shape.channels]));
                let produced: Vec<f32> = input.iter().enumerate().map(act).collect();
                let mut expected = vec![0.0; out_shape.len()];
                ops::blur_pool(&produced, shape, &mut expected).unwrap();
                let device = Memory::values(element, &pad(&input, shape.channels));
                let device_bias = Memory::floats(&pad(&bias, shape.channels));
                let out = Memory::fresh(padded_shape(out_shape).len() * element.size());
                let producer = producer.map(|activation| (&*device_bias, activation));
                run(cuda::blur_pool::blur_pool(element, padded_shape(shape), &device, producer, &out));
                let ours = unpad(&out.read_values(element), shape.channels);
                assert_near(&format!("blur-pool of {shape}"), element, &ours, &expected);
            }
        }
    }
    let flat = Shape::new(1, 1, 8, 8);
    let memory = Memory::fresh(flat.len() * 4);
    assert!(cuda::blur_pool::blur_pool(ELEMENTS[0], flat, &memory, None, &memory).is_err());
}

/// A pool's CPU code: input or gradient, the input's shape, the result.
type OnCpu = fn(&[f32], Shape, &mut [f32]);
/// Its launch: element, the input's shape, input or gradient, the result.
type OnDevice = fn(cuda::Element, Shape, &cuda::Region, &cuda::Region) -> anyhow::Result<cuda::Launch>;

/// Holds a pool of `sides`, from a map of `from` to a map of `to`, against the CPU's.
fn check_pool(sides: &[(usize, usize)], [from, to]: [fn(Shape) -> Shape; 2], on_cpu: OnCpu, on_device: OnDevice) {
    for (channels, &(height, width)) in CHANNELS.iter().flat_map(|&c| sides.iter().map(move |side| (c, side))) {
        let shape = Shape::new(2, height, width, channels);
        for element in ELEMENTS {
            let input = values("input", from(shape).len(), element);
            let mut expected = vec![0.0; to(shape).len()];
            on_cpu(&input, shape, &mut expected);
            let device = Memory::values(element, &pad(&input, channels));
            let out = Memory::fresh(padded_shape(to(shape)).len() * element.size());
            run(on_device(element, padded_shape(shape), &device, &out));
            assert_near(&format!("{shape}"), element, &unpad(&out.read_values(element), channels), &expected);
        }
    }
}

pub fn blur_pool_goes_back_as_the_cpus() {
    let half = |shape| ops::blur_pool_shape(shape).unwrap();
    let on_cpu: OnCpu = |gradient, shape, out| ops::blur_pool_gradient(gradient, shape, out).unwrap();
    check_pool(&SIDES, [half, |shape| shape], on_cpu, cuda::blur_pool::blur_pool_gradient);
}

pub fn average_pool_counts_what_lies_inside_and_goes_back() {
    let sides = [(7, 13), (1, 1), (1, 6), (4, 1)];
    check_pool(
        &sides,
        [|shape| shape, ops::average_pool_2x2_shape],
        ops::average_pool_2x2,
        cuda::pool::average_pool_2x2,
    );
    check_pool(
        &sides,
        [ops::average_pool_2x2_shape, |shape| shape],
        ops::average_pool_2x2_gradient,
        cuda::pool::average_pool_2x2_gradient,
    );
}

pub fn the_max_pool_takes_what_lies_inside_and_keeps_a_nan() {
    let half = |shape| ops::max_pool_3x3_shape(shape).unwrap();
    let sides = [(7, 13), (1, 1), (1, 6), (4, 30)];
    let on_cpu: OnCpu = |input, shape, out| ops::max_pool_3x3(input, shape, out).unwrap();
    check_pool(&sides, [|shape| shape, half], on_cpu, cuda::max_pool::max_pool_3x3);

    let shape = Shape::new(1, 4, 4, 8);
    let mut input = values("input", shape.len(), ELEMENTS[0]);
    input[5 * 8] = f32::NAN;
    let out = Memory::fresh(half(shape).len() * 4);
    run(cuda::max_pool::max_pool_3x3(ELEMENTS[0], shape, &Memory::floats(&input), &out));
    let mut expected = vec![0.0; half(shape).len()];
    ops::max_pool_3x3(&input, shape, &mut expected).unwrap();
    let bits = |values: &[f32]| {
        values.iter().map(|value| if value.is_nan() { 0 } else { value.to_bits() }).collect::<Vec<_>>()
    };
    assert_eq!(bits(&out.read_floats()), bits(&expected));
}

pub fn the_max_pools_gradient_goes_to_the_first_maximum() {
    for (height, width) in [(7, 13), (1, 1), (1, 6), (4, 30)] {
        for (element, channels) in ELEMENTS.into_iter().zip([3, 83, 100]) {
            let shape = Shape::new(2, height, width, channels);
            let small = ops::max_pool_3x3_shape(shape).unwrap();
            // Steps of a quarter: some places hold the same.
            let input: Vec<f32> =
                values("input", shape.len(), element).iter().map(|value| (4.0 * value).round() / 4.0).collect();
            let gradient = values("gradient", small.len(), element);
            let mut expected = vec![0.0; shape.len()];
            ops::max_pool_3x3_gradient(&gradient, &input, shape, &mut expected).unwrap();
            let maps = [(&gradient, channels), (&input, channels)];
            let [dy, x] = maps.map(|(values, channels)| Memory::values(element, &pad(values, channels)));
            let out = Memory::fresh(padded_shape(shape).len() * element.size());
            run(cuda::max_pool::max_pool_3x3_gradient(element, padded_shape(shape), [&dy, &x], &out));
            assert_near("max-pool's gradient", element, &unpad(&out.read_values(element), channels), &expected);
        }
    }
}

pub fn a_shortcut_takes_some_pixels_and_fills_the_further_channels_with_zeros() {
    for (shape, stride, channels) in [
        (Shape::new(2, 7, 13, 3), 2, 6),
        (Shape::new(2, 4, 4, 16), 2, 76),
        (Shape::new(1, 5, 3, 83), 1, 100),
        (Shape::new(1, 8, 7, 8), 3, 8),
    ] {
        let op = Subsample { stride, channels };
        for element in ELEMENTS {
            let input = values("input", shape.len(), element);
            let mut expected = vec![0.0; op.output(shape).len()];
            ops::subsample(op, &input, shape, &mut expected);
            let device = Memory::values(element, &pad(&input, shape.channels));
            let out = Memory::fresh(padded_shape(op.output(shape)).len() * element.size());
            let wide = Subsample { channels: padded(channels), ..op };
            run(cuda::subsample::subsample(element, wide, padded_shape(shape), &device, &out));
            assert_eq!(unpad(&out.read_values(element), channels), expected, "{op:?} of {shape}");
        }
    }
}

pub fn global_means_add_up_from_any_number_of_parts() {
    for (channels, (height, width)) in CHANNELS.into_iter().flat_map(|c| [(c, (1, 1)), (c, (7, 7)), (c, (13, 20))]) {
        let shape = Shape::new(3, height, width, channels);
        let row = shape.batch * padded(channels);
        for element in ELEMENTS {
            let input = values("input", shape.len(), element);
            let mut expected = vec![0.0; shape.batch * channels];
            ops::global_average_pool(&input, shape, &mut expected).unwrap();
            let device = Memory::values(element, &pad(&input, channels));
            for splits in [1, 3, cuda::image_splits(padded_shape(shape))] {
                let parts = Memory::fresh(splits * row * 4);
                run(cuda::pool::global_average_pool(element, padded_shape(shape), &device, splits, &parts));
                let parts = parts.read_floats();
                let sums: Vec<f32> = (0..row).map(|at| parts.iter().skip(at).step_by(row).sum()).collect();
                assert_near(&format!("means of {shape}"), cuda::Element::F32, &unpad(&sums, channels), &expected);
            }
        }
    }
}

pub fn a_global_means_gradient_spreads_evenly() {
    for (channels, (height, width)) in CHANNELS.into_iter().flat_map(|c| [(c, (1, 1)), (c, (7, 3))]) {
        let shape = Shape::new(2, height, width, channels);
        for element in ELEMENTS {
            let gradient = values("gradient", shape.batch * channels, element);
            let mut expected = vec![0.0; shape.len()];
            ops::global_average_pool_gradient(&gradient, shape, &mut expected);
            let out = Memory::fresh(padded_shape(shape).len() * element.size());
            let device = Memory::floats(&pad(&gradient, channels));
            run(cuda::pool::global_average_pool_gradient(element, padded_shape(shape), &device, &out));
            assert_near(&format!("{shape}"), element, &unpad(&out.read_values(element), channels), &expected);
        }
    }
}

pub fn a_dropout_drops_what_the_cpus_drops() {
    for shape in shapes() {
        for element in ELEMENTS {
            let input = values("input", shape.len(), element);
            let dropout = Dropout { rate: 0.3, stream: 0x9e37_79b9_7f4a_7c15 };
            let expected: Vec<f32> = dropout.applied(&input).iter().map(|&value| round(value, element)).collect();
            let map = Memory::values(element, &pad(&input, shape.channels));
            let draw: Vec<u8> = [dropout.stream, dropout.bound()].iter().flat_map(|word| word.to_le_bytes()).collect();
            let draw = Memory::of_bytes(&draw);
            let (wide, scale) = (padded_shape(shape), dropout.scale());
            run(cuda::drop::dropout(element, wide, shape.channels, &map, &draw, scale, &map));
            assert_eq!(unpad(&map.read_values(element), shape.channels), expected, "{shape}");
        }
    }
}

pub fn sums_and_gradients_go_through_activations() {
    let shape = Shape::new(1, 7, 13, 24);
    for element in ELEMENTS {
        for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01), Activation::Silu] {
            let [left, right] = ["left", "right"].map(|name| values(name, shape.len(), element));
            let expected: Vec<f32> =
                left.iter().zip(&right).map(|(left, right)| activated(activation, left + right)).collect();
            let [device_left, device_right] = [&left, &right].map(|side| Memory::values(element, side));
            run(cuda::activation::add(element, shape, [&device_left, &device_right], activation, &device_left));
            assert_near("sum", element, &device_left.read_values(element), &expected);

            // SiLU goes back by its input, which a sum does not keep.
            if activation.is_curved() {
                continue;
            }
            // A zero counts as the negative side.
            let mut gradient = left.clone();
            let output: Vec<f32> = right.iter().enumerate().map(|(at, x)| if at % 5 == 0 { 0.0 } else { *x }).collect();
            let (device, result) = (Memory::values(element, &gradient), Memory::values(element, &output));
            run(cuda::activation::activation_gradient(element, shape, &device, &result, activation));
            ops::activation_gradient(&mut gradient, &output, activation);
            assert_near("gradient", element, &device.read_values(element), &gradient);
        }
    }
}
