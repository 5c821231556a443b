//! Convolutions whose products are in bf16, on every instruction set that has such.

use tresnet::ops::{Activation, Conv2d, ConvSpec, Isa, Shape, conv2d_input_gradient};

use crate::forward::assert_close;
use crate::{bf16_sets, reference, values};

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
