//! Convolutions whose products are in bf16, on every instruction set that has such.

use tresnet::ops::{Activation, Conv2d, ConvSpec, Shape, Window, conv2d_input_gradient, conv2d_weight_gradient};

use crate::forward::assert_close;
use crate::{bf16_sets, reference, values, wide};

/// What the rounded numbers are, in f64.
fn rounded(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| half::bf16::from_f32(x).to_f64()).collect()
}

/// Holds the forward pass and the input's gradient against the plain sum of rounded numbers.
fn check_direct(spec: ConvSpec, shape: Shape) {
    let out_shape = spec.output(shape).unwrap();
    let (input, weight) = (values("input", shape.len()), values("weight", spec.weight_shape().iter().product()));
    let (shift, residual) = (values("shift", spec.out_channels), values("residual", out_shape.len()));
    let sums = reference::conv2d(&spec, &rounded(&input), shape, &rounded(&weight));
    let epilogue = |(at, sum): (usize, f64)| sum + f64::from(shift[at % spec.out_channels]) + f64::from(residual[at]);
    let expected = reference::leaky(sums.into_iter().enumerate().map(epilogue).collect(), 0.25);
    for isa in bf16_sets() {
        let mut ours = vec![f32::NAN; out_shape.len()];
        let conv = Conv2d::new(spec, &weight, None, Some(&shift), isa);
        conv.forward(&input, shape, Some(&residual), Activation::LeakyRelu(0.25), &mut ours).unwrap();
        assert_close(&ours, &expected, &format!("{isa:?} {spec:?} of {shape}"));
    }
}

#[test]
fn direct_products_are_those_of_the_rounded_numbers() {
    for channels in [[64, 64], [17, 10], [3, 83], [1, 100], [76, 33], [83, 1], [100, 76]] {
        for size in [[1, 1], [7, 5], [13, 13]] {
            let shape = Shape::new(2, size[0], size[1], channels[0]);
            check_direct(ConvSpec::new(channels[0], channels[1], 1, 1), shape);
            check_direct(ConvSpec::new(channels[0], channels[1], 3, 2), shape);
        }
    }
    // Nine taps of narrow channels, which no tiles of pixels take.
    check_direct(ConvSpec::new(24, 40, 3, 1), Shape::new(1, 13, 7, 24));
    check_direct(ConvSpec::new(5, 40, 5, 3), Shape::new(1, 13, 7, 5));
}

#[test]
fn grouped_products_are_those_of_the_rounded_numbers() {
    for (channels, groups) in [([128, 128], 32), ([20, 30], 5), ([64, 32], 2)] {
        let spec = ConvSpec { groups, ..ConvSpec::new(channels[0], channels[1], 3, 1) };
        check_direct(spec, Shape::new(2, 7, 5, channels[0]));
    }
}

#[test]
fn a_sum_of_rounded_numbers_too_long_for_one_pass_is_taken_in_several() {
    check_direct(ConvSpec::new(700, 70, 3, 2), Shape::new(1, 5, 5, 700));
}

#[test]
fn tiles_of_sixteen_outputs_stay_near_the_plain_sum() {
    for (channels, size) in [([64, 64], [7, 7]), ([33, 70], [13, 14]), ([100, 83], [8, 5]), ([76, 32], [1, 1])] {
        let spec = ConvSpec::new(channels[0], channels[1], 3, 1);
        let shape = Shape::new(2, size[0], size[1], channels[0]);
        let (input, weight) = (values("input", shape.len()), values("weight", channels[0] * channels[1] * 9));
        let expected = reference::conv2d(&spec, &wide(&input), shape, &wide(&weight));
        let scale = expected.iter().fold(0.0, |max: f64, value| max.max(value.abs()));
        for isa in bf16_sets() {
            let mut ours = vec![f32::NAN; expected.len()];
            let conv = Conv2d::new(spec, &weight, None, None, isa);
            conv.forward(&input, shape, None, Activation::Identity, &mut ours).unwrap();
            for (ours, expected) in ours.iter().zip(&expected) {
                assert!((f64::from(*ours) - expected).abs() <= 2e-2 * scale, "{isa:?} {spec:?}: {ours}, {expected}");
            }
        }
    }
}

/// Whole numbers below 8, which bf16 holds, as it does their sums of 9.
fn whole(name: &str, len: usize) -> Vec<f32> {
    values(name, len).iter().map(|x| (8.0 * x).floor()).collect()
}

/// Holds training's forward pass and both gradients against plain sums, with numbers of which bf16 rounds none.
fn check_training(spec: ConvSpec, shape: Shape) {
    let out_shape = spec.output(shape).unwrap();
    let (input, gradient) = (whole("input", shape.len()), whole("gradient", out_shape.len()));
    // Divisible by the four of a tile of four outputs.
    let weight: Vec<f32> = whole("weight", spec.weight_shape().iter().product()).iter().map(|x| 4.0 * x).collect();
    let dot = |out: Vec<f64>| out.iter().zip(&gradient).map(|(y, g)| y * f64::from(*g)).sum::<f64>();
    let units = |len: usize| {
        (0..len).step_by(len.div_ceil(10)).map(move |at| {
            let mut unit = vec![0.0; len];
            unit[at] = 1.0;
            (at, unit)
        })
    };
    for isa in bf16_sets() {
        let what = format!("{isa:?} {spec:?} of {shape}");
        let mut ours = vec![0.0; out_shape.len()];
        let conv = Conv2d::exact(spec, &weight, isa);
        conv.forward(&input, shape, None, Activation::Identity, &mut ours).unwrap();
        assert_close(&ours, &reference::conv2d(&spec, &wide(&input), shape, &wide(&weight)), &what);
        let mut ours = vec![0.0; shape.len()];
        conv2d_input_gradient(&spec, &weight, &gradient, shape, None, &mut ours, isa).unwrap();
        for (at, unit) in units(ours.len()) {
            let expected = dot(reference::conv2d(&spec, &unit, shape, &wide(&weight)));
            assert_eq!(f64::from(ours[at]), expected, "input {at} of {what}");
        }
        // What the gradient is added to.
        let mut ours = vec![1.0; weight.len()];
        conv2d_weight_gradient(&spec, &input, shape, &gradient, &mut ours, isa).unwrap();
        for (at, unit) in units(ours.len()) {
            let expected = 1.0 + dot(reference::conv2d(&spec, &wide(&input), shape, &unit));
            assert_eq!(f64::from(ours[at]), expected, "weight {at} of {what}");
        }
    }
}

#[test]
fn training_rounds_what_is_multiplied_alone() {
    for channels in [[3, 10], [17, 64], [76, 100], [83, 1], [1, 33]] {
        check_training(ConvSpec::new(channels[0], channels[1], 1, 1), Shape::new(3, 7, 5, channels[0]));
        check_training(ConvSpec::new(channels[0], channels[1], 3, 2), Shape::new(1, 7, 13, channels[0]));
    }
    check_training(ConvSpec::new(20, 24, 1, 1), Shape::new(1, 1, 1, 20));
    // More pixels than a block of rows.
    check_training(ConvSpec::new(3, 5, 3, 2), Shape::new(3, 39, 27, 3));
}

#[test]
fn training_by_tiles_rounds_what_is_multiplied_alone() {
    check_training(ConvSpec::new(33, 40, 3, 1), Shape::new(3, 3, 5, 33));
    check_training(ConvSpec::new(83, 76, 3, 1), Shape::new(1, 7, 13, 83));
    check_training(ConvSpec::new(32, 32, 3, 1), Shape::new(1, 1, 2, 32));
}

#[test]
fn training_of_grouped_and_depthwise_convolutions_rounds_what_is_multiplied_alone() {
    let spec = |channels: [usize; 2], groups| ConvSpec { groups, ..ConvSpec::new(channels[0], channels[1], 3, 1) };
    check_training(spec([64, 64], 16), Shape::new(2, 6, 5, 64));
    check_training(spec([20, 30], 5), Shape::new(2, 6, 5, 20));
    check_training(spec([37, 37], 37), Shape::new(1, 6, 5, 37));
    let [input, output] = [Window { first: 3, of: 20 }, Window { first: 1, of: 18 }];
    check_training(ConvSpec { input, output, ..spec([12, 16], 1) }, Shape::new(2, 5, 4, 20));
}
