//! The ops against plain loops in f64, on every instruction set that this processor has, over odd shapes.

#[path = "common/random.rs"]
mod random;

use tresnet::ops::{
    Activation, Conv2d, ConvSpec, Isa, Normalize, Shape, SqueezeExcite, average_pool_2x2, average_pool_2x2_shape,
    blur_pool, blur_pool_shape, space_to_depth,
};

/// Values in [-1, 1), the same at each call with the same name.
fn values(name: &str, len: usize) -> Vec<f32> {
    let stream = random::fnv1a64(name);
    let unit = |at: u64| (random::splitmix64(stream.wrapping_add(at)) >> 40) as f32 / (1u64 << 23) as f32;
    (0..len as u64).map(|at| unit(at) - 1.0).collect()
}

fn assert_close(ours: &[f32], expected: &[f64], what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0, |max: f64, value| max.max(value.abs()));
    for (at, (&ours, expected)) in ours.iter().zip(expected).enumerate() {
        let difference = (f64::from(ours) - expected).abs();
        assert!(difference <= 1e-5 * scale, "{what}: value {at} is {ours}, expected {expected}");
    }
}

/// The value at a position that may lie outside the map, where it is zero.
fn padded(input: &[f32], shape: Shape, at: [isize; 4]) -> f64 {
    let [image, y, x, channel] = at;
    if y < 0 || x < 0 || y >= shape.height as isize || x >= shape.width as isize {
        return 0.0;
    }
    let pixel = (image as usize * shape.height + y as usize) * shape.width + x as usize;
    f64::from(input[pixel * shape.channels + channel as usize])
}

struct Case {
    spec: ConvSpec,
    shape: Shape,
    residual: bool,
    activation: Activation,
}

fn case(batch: usize, size: [usize; 2], channels: [usize; 2], kernel: usize, stride: usize) -> Case {
    let [in_channels, out_channels] = channels;
    let spec = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
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
        let mut expected = Vec::with_capacity(out.len());
        for pixel in 0..out.pixels() {
            let (image, y, x) = (pixel / out.area(), pixel % out.area() / out.width, pixel % out.width);
            for channel in 0..out.channels {
                let mut sum = 0.0;
                for (at, w) in weight.chunks_exact(weight.len() / out.channels).nth(channel).unwrap().iter().enumerate()
                {
                    let (from, tap) = (at / spec.kernel.pow(2), at % spec.kernel.pow(2));
                    let row = (y * spec.stride + tap / spec.kernel) as isize - spec.padding as isize;
                    let column = (x * spec.stride + tap % spec.kernel) as isize - spec.padding as isize;
                    sum += f64::from(*w) * padded(&input, shape, [image as isize, row, column, from as isize]);
                }
                sum = sum * f64::from(scale[channel]) + f64::from(shift[channel]);
                sum += residual.as_ref().map_or(0.0, |residual| f64::from(residual[expected.len()]));
                expected.push(if sum < 0.0 { sum * f64::from(activation.slope()) } else { sum });
            }
        }
        for isa in Isa::available() {
            let conv = Conv2d::new(spec, &weight, Some(&scale), Some(&shift), isa);
            let mut ours = vec![f32::NAN; out.len()];
            conv.forward(&input, shape, residual.as_deref(), activation, &mut ours).unwrap();
            assert_close(&ours, &expected, &format!("{isa:?} {spec:?} of {shape}"));
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
fn a_sum_too_long_for_one_pass_is_taken_in_several() {
    // 9 taps of 700 channels into panels of 64: well over the weights of one pass.
    case(1, [5, 5], [700, 64], 3, 1).check();
    Case { residual: true, activation: Activation::Relu, ..case(1, [5, 5], [700, 70], 3, 1) }.check();
}

#[test]
fn residual_and_activation_follow_the_sum() {
    for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.01)] {
        for residual in [false, true] {
            Case { residual, activation, ..case(2, [7, 9], [16, 48], 3, 1) }.check();
            Case { residual, activation, ..case(2, [7, 9], [16, 83], 1, 1) }.check();
        }
    }
}

#[test]
fn a_convolution_refuses_other_channels_and_maps_smaller_than_its_kernel() {
    let spec = ConvSpec { in_channels: 4, out_channels: 4, kernel: 3, stride: 1, padding: 0 };
    assert!(spec.output(Shape::new(1, 8, 8, 3)).unwrap_err().to_string().contains("4 input channels"));
    assert!(spec.output(Shape::new(1, 2, 8, 4)).unwrap_err().to_string().contains("smaller than its kernel"));
}

#[test]
fn blur_pool_reflects_the_border() {
    for (height, width) in [(2, 2), (2, 7), (13, 8), (5, 5)] {
        let shape = Shape::new(2, height, width, 19);
        let input = values("input", shape.len());
        let out = blur_pool_shape(shape).unwrap();
        let mut expected = Vec::with_capacity(out.len());
        let reflect = |at: isize, size: usize| (size as isize - 1) - ((size as isize - 1) - at.abs()).abs();
        for pixel in 0..out.pixels() {
            let (image, y, x) = (pixel / out.area(), 2 * (pixel % out.area() / out.width), 2 * (pixel % out.width));
            for channel in 0..out.channels {
                let mut sum = 0.0;
                for (dy, dx) in (0..9).map(|tap| (tap / 3 - 1, tap % 3 - 1)) {
                    let row = reflect(y as isize + dy, height);
                    let column = reflect(x as isize + dx, width);
                    let weight = f64::from((2 - dy.abs()) as i32 * (2 - dx.abs()) as i32) / 16.0;
                    sum += weight * padded(&input, shape, [image as isize, row, column, channel as isize]);
                }
                expected.push(sum);
            }
        }
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
        let mut expected = Vec::with_capacity(out.len());
        for pixel in 0..out.pixels() {
            let (image, y, x) = (pixel / out.area(), 2 * (pixel % out.area() / out.width), 2 * (pixel % out.width));
            let window: Vec<(usize, usize)> = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)]
                .into_iter()
                .filter(|&(y, x)| y < height && x < width)
                .collect();
            for channel in 0..out.channels {
                let at = |&(y, x): &(usize, usize)| {
                    padded(&input, shape, [image as isize, y as isize, x as isize, channel as isize])
                };
                expected.push(window.iter().map(at).sum::<f64>() / window.len() as f64);
            }
        }
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
    let layer = |input: &[f64], [weight, bias]: &[Vec<f32>; 2]| -> Vec<f64> {
        let dot = |row: &[f32]| row.iter().zip(input).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        weight.chunks_exact(input.len()).zip(bias).map(|(row, bias)| dot(row) + f64::from(*bias)).collect()
    };
    let mut expected = Vec::with_capacity(shape.len());
    for image in 0..shape.batch {
        let plane = &input[image * shape.image_len()..][..shape.image_len()];
        let mean = |channel: usize| {
            plane.iter().skip(channel).step_by(channels).map(|&x| f64::from(x)).sum::<f64>() / shape.area() as f64
        };
        let hidden: Vec<f64> =
            layer(&(0..channels).map(mean).collect::<Vec<_>>(), &reduce).into_iter().map(|x| x.max(0.0)).collect();
        let gate: Vec<f64> = layer(&hidden, &expand).into_iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        for (at, x) in plane.iter().enumerate() {
            let residual = f64::from(residual[image * shape.image_len() + at]);
            expected.push((f64::from(*x) * gate[at % channels] + residual).max(0.0));
        }
    }
    for isa in Isa::available() {
        let [reduce, expand] = [&reduce, &expand].map(|[weight, bias]| [&weight[..], &bias[..]]);
        let op = SqueezeExcite::new(channels, hidden, reduce, expand, isa);
        let mut ours = vec![f32::NAN; shape.len()];
        op.forward(&input, shape, Some(&residual), Activation::Relu, &mut ours).unwrap();
        assert_close(&ours, &expected, &format!("{isa:?}"));
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
