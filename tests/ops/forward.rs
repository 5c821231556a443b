//! The ops against plain loops in f64, on every instruction set that this processor has, over odd shapes.

use tresnet::ops::{
    Activation, Conv2d, ConvSpec, Isa, Normalize, Shape, SqueezeExcite, Subsample, Window, average_pool_2x2,
    average_pool_2x2_shape, blur_pool, blur_pool_shape, max_pool_3x3, max_pool_3x3_shape, space_to_depth, subsample,
};

use crate::{reference, values, wide};

fn activated(values: Vec<f64>, activation: Activation) -> Vec<f64> {
    match activation {
        Activation::Silu => reference::silu(values),
        sloped => reference::leaky(values, f64::from(sloped.slope())),
    }
}

pub fn assert_close(ours: &[f32], expected: &[f64], what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0, |max: f64, value| max.max(value.abs()));
    for (at, (&ours, expected)) in ours.iter().zip(expected).enumerate() {
        let difference = (f64::from(ours) - expected).abs();
        assert!(difference <= 1e-5 * scale, "{what}: value {at} is {ours}, expected {expected}");
    }
}

struct Case {
    spec: ConvSpec,
    shape: Shape,
    residual: bool,
    activation: Activation,
}

fn case(batch: usize, size: [usize; 2], channels: [usize; 2], kernel: usize, stride: usize) -> Case {
    let [in_channels, out_channels] = channels;
    let spec = ConvSpec::new(in_channels, out_channels, kernel, stride);
    let shape = Shape::new(batch, size[0], size[1], in_channels);
    Case { spec, shape, residual: false, activation: Activation::Identity }
}

impl Case {
    fn check(&self) {
        let Self { spec, shape, activation, .. } = *self;
        let out = spec.output(shape).unwrap();
        let input = values("input", shape.len());
        let weight = values("weight", spec.weight_shape().iter().product());
        let (scale, shift) = (values("scale", spec.out_channels), values("shift", spec.out_channels));
        let residual = self.residual.then(|| values("residual", out.len()));
        let sums = reference::conv2d(&spec, &wide(&input), shape, &wide(&weight));
        let epilogue = |(at, sum): (usize, f64)| {
            let channel = at % spec.out_channels;
            let residual = residual.as_ref().map_or(0.0, |residual| f64::from(residual[at]));
            sum * f64::from(scale[channel]) + f64::from(shift[channel]) + residual
        };
        let expected = sums.iter().copied().enumerate().map(epilogue).collect();
        let expected = activated(expected, activation);
        for isa in Isa::available() {
            let conv = Conv2d::new(spec, &weight, Some(&scale), Some(&shift), isa);
            let mut ours = vec![f32::NAN; out.len()];
            conv.forward(&input, shape, residual.as_deref(), activation, &mut ours).unwrap();
            assert_close(&ours, &expected, &format!("{isa:?} {spec:?} of {shape}"));
            let mut ours = vec![f32::NAN; out.len()];
            let exact = Conv2d::exact(spec, &weight, isa);
            exact.forward(&input, shape, None, Activation::Identity, &mut ours).unwrap();
            assert_close(&ours, &sums, &format!("exact {isa:?} {spec:?} of {shape}"));
        }
    }
}

#[test]
fn convolutions_of_odd_channel_counts_are_exact() {
    for in_channels in [1, 3, 76, 83, 100] {
        for out_channels in [1, 3, 64, 76, 83, 100] {
            case(2, [7, 7], [in_channels, out_channels], 3, 1).check();
        }
    }
}

#[test]
fn convolutions_of_odd_sizes_and_strides_are_exact() {
    for size in [[1, 1], [1, 7], [7, 1], [13, 13], [8, 5]] {
        for stride in [1, 2, 3] {
            case(3, size, [5, 17], 3, stride).check();
            case(3, size, [5, 17], 1, stride).check();
            case(1, size, [5, 17], 5, stride).check();
        }
    }
}

#[test]
fn convolutions_by_tiles_are_exact_where_tiles_reach_beyond_the_map() {
    for size in [[1, 1], [1, 7], [2, 3], [13, 14], [8, 5]] {
        case(3, size, [33, 70], 3, 1).check();
        Case { residual: true, activation: Activation::Relu, ..case(2, size, [40, 32], 3, 1) }.check();
    }
    // Too wide for the larger tiles.
    case(1, [5, 6], [400, 33], 3, 1).check();
}

#[test]
fn a_sum_too_long_for_one_pass_is_taken_in_several() {
    // 9 taps of 700 channels into panels of 64: well over the weights of one pass.
    case(1, [5, 5], [700, 64], 3, 1).check();
    Case { residual: true, activation: Activation::Relu, ..case(1, [5, 5], [700, 70], 3, 1) }.check();
}

#[test]
fn residual_and_activation_follow_the_sum() {
    for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01), Activation::Silu] {
        for residual in [false, true] {
            Case { residual, activation, ..case(2, [7, 9], [16, 48], 3, 1) }.check();
            Case { residual, activation, ..case(2, [7, 9], [16, 83], 1, 1) }.check();
            Case { residual, activation, ..grouped(case(2, [7, 9], [37, 37], 3, 1), 37) }.check();
            Case { residual, activation, ..grouped(case(2, [7, 9], [24, 48], 3, 1), 6) }.check();
        }
    }
}

fn grouped(case: Case, groups: usize) -> Case {
    Case { spec: ConvSpec { groups, ..case.spec }, ..case }
}

#[test]
fn grouped_convolutions_see_their_own_channels_alone() {
    for (channels, groups) in [([128, 128], 32), ([20, 30], 5), ([64, 32], 2), ([6, 18], 3), ([34, 51], 17)] {
        grouped(case(2, [7, 6], channels, 3, 1), groups).check();
        grouped(case(1, [9, 8], channels, 3, 2), groups).check();
        grouped(case(1, [3, 5], channels, 1, 1), groups).check();
    }
}

#[test]
fn depthwise_convolutions_of_all_kernels_strides_and_widths_are_exact() {
    for channels in [1, 7, 16, 40, 83] {
        for kernel in [3, 5, 7, 9, 11] {
            for stride in [1, 2] {
                grouped(case(2, [9, 7], [channels; 2], kernel, stride), channels).check();
            }
        }
    }
    grouped(case(1, [1, 2], [48; 2], 5, 2), 48).check();
}

/// A convolution of 12 channels from the third of 20, to 16 from the second of 18.
fn within(groups: usize) -> Case {
    let [input, output] = [Window { first: 3, of: 20 }, Window { first: 1, of: 18 }];
    let spec = ConvSpec { groups, input, output, ..ConvSpec::new(12, if groups == 12 { 12 } else { 16 }, 3, 1) };
    Case { spec, ..case(2, [6, 5], [20, 18], 3, 1) }
}

#[test]
fn a_convolution_within_wider_maps_touches_its_own_channels_alone() {
    for groups in [1, 2, 4, 12] {
        let Case { spec, shape, .. } = within(groups);
        let (input, weight) = (values("input", shape.len()), values("weight", spec.weight_shape().iter().product()));
        let expected = reference::conv2d(&spec, &wide(&input), shape, &wide(&weight));
        for isa in Isa::available() {
            let mut ours = vec![0.0; expected.len()];
            let conv = Conv2d::new(spec, &weight, None, None, isa);
            conv.forward(&input, shape, None, Activation::Identity, &mut ours).unwrap();
            assert_close(&ours, &expected, &format!("{isa:?} {spec:?}"));
        }
    }
}

#[test]
fn max_pool_sees_only_what_lies_inside() {
    for (height, width) in [(1, 1), (1, 4), (7, 7), (6, 5)] {
        let shape = Shape::new(2, height, width, 19);
        let input: Vec<f32> = values("input", shape.len()).iter().map(|x| x - 2.0).collect();
        let expected = reference::max_pool(&wide(&input), shape);
        let mut ours = vec![f32::NAN; max_pool_3x3_shape(shape).unwrap().len()];
        max_pool_3x3(&input, shape, &mut ours).unwrap();
        assert_close(&ours, &expected, &format!("{shape}"));
    }
}

#[test]
fn a_subsample_leaves_out_pixels_and_appends_zeros() {
    for (stride, channels) in [(2, 19), (2, 32), (1, 32), (3, 20)] {
        let shape = Shape::new(2, 7, 6, 19);
        let (op, input) = (Subsample { stride, channels }, values("input", shape.len()));
        let mut ours = vec![f32::NAN; op.output(shape).len()];
        subsample(op, &input, shape, &mut ours);
        assert_close(&ours, &reference::subsample(op, &wide(&input), shape), &format!("{op:?}"));
    }
}

#[test]
fn a_convolution_refuses_other_channels_and_maps_smaller_than_its_kernel() {
    let spec = ConvSpec { padding: 0, ..ConvSpec::new(4, 4, 3, 1) };
    assert!(spec.output(Shape::new(1, 8, 8, 3)).unwrap_err().to_string().contains("4 input channels"));
    assert!(spec.output(Shape::new(1, 2, 8, 4)).unwrap_err().to_string().contains("smaller than its kernel"));
}

#[test]
fn blur_pool_reflects_the_border() {
    for (height, width) in [(2, 2), (2, 7), (13, 8), (5, 5)] {
        let shape = Shape::new(2, height, width, 19);
        let input = values("input", shape.len());
        let out = blur_pool_shape(shape).unwrap();
        let expected = reference::blur_pool(&wide(&input), shape);
        let mut ours = vec![f32::NAN; out.len()];
        blur_pool(&input, shape, &mut ours).unwrap();
        assert_close(&ours, &expected, &format!("{shape}"));
    }
}

#[test]
fn a_side_of_one_cannot_be_blurred() {
    assert!(blur_pool_shape(Shape::new(1, 1, 7, 3)).is_err());
}

#[test]
fn average_pool_counts_only_what_lies_inside() {
    for (height, width) in [(1, 1), (1, 4), (7, 7), (6, 5)] {
        let shape = Shape::new(2, height, width, 5);
        let input = values("input", shape.len());
        let out = average_pool_2x2_shape(shape);
        let expected = reference::average_pool_2x2(&wide(&input), shape);
        let mut ours = vec![f32::NAN; out.len()];
        average_pool_2x2(&input, shape, &mut ours);
        assert_close(&ours, &expected, &format!("{shape}"));
    }
}

#[test]
fn squeeze_excite_weights_channels_by_their_images_means() {
    let (channels, hidden) = (19, 7);
    let shape = Shape::new(3, 5, 4, channels);
    let input = values("input", shape.len());
    let residual = values("residual", shape.len());
    let reduce = [values("w1", channels * hidden), values("b1", hidden)];
    let expand = [values("w2", channels * hidden), values("b2", channels)];
    let weights = [&reduce[0], &reduce[1], &expand[0], &expand[1]].map(|values| wide(values));
    for between in [Activation::Relu, Activation::Silu] {
        let weights = weights.each_ref().map(|values| &values[..]);
        let scaled = reference::squeeze_excite(&wide(&input), shape, weights, |x| activated(x, between));
        let sum = scaled.iter().zip(&residual).map(|(x, residual)| x + f64::from(*residual)).collect();
        let expected = reference::leaky(sum, 0.0);
        for isa in Isa::available() {
            let [reduce, expand] = [&reduce, &expand].map(|[weight, bias]| [&weight[..], &bias[..]]);
            let op = SqueezeExcite::new([channels, hidden], reduce, expand, between, isa);
            let mut ours = vec![f32::NAN; shape.len()];
            op.forward(&input, shape, Some(&residual), Activation::Relu, &mut ours).unwrap();
            assert_close(&ours, &expected, &format!("{isa:?} {between:?}"));
        }
    }
}

#[test]
fn space_to_depth_orders_rows_then_columns_then_channels() {
    let shape = Shape::new(2, 4, 8, 3);
    let input = values("input", shape.len());
    let mut ours = vec![f32::NAN; shape.len()];
    space_to_depth(&input, shape, 4, &mut ours);
    for (at, value) in ours.iter().enumerate() {
        let (image, cell, channel) = (at / 96, at % 96 / 48, at % 48);
        let (i, j, c) = (channel / 12, channel / 3 % 4, channel % 3);
        assert_eq!(*value, input[image * 96 + i * 24 + (cell * 4 + j) * 3 + c], "value {at}");
    }
}

#[test]
fn bytes_are_normalised_in_the_order_of_torchvision() {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut ours = vec![f32::NAN; 256];
    Normalize::new(&[0.485], &[0.229]).forward(&bytes, Shape::new(1, 16, 16, 1), 1, &mut ours);
    for (byte, value) in bytes.into_iter().zip(ours) {
        assert_eq!(value, (f32::from(byte) / 255.0 - 0.485) / 0.229);
    }
}
