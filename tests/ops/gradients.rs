//! Every op's gradient against finite differences of a plain f64 form of the op.

use tresnet::ops::{
    Activation, BatchStatistics, ConvSpec, Isa, LinearGradients, Saved, Shape, SqueezeExcite, Subsample, Window,
    activation_gradient, average_pool_2x2_gradient, average_pool_2x2_shape, batch_norm, batch_norm_gradient,
    batch_norm_into, batch_statistics, blur_pool_gradient, blur_pool_shape, conv2d_input_gradient,
    conv2d_weight_gradient, global_average_pool_gradient, linear_gradient, max_pool_3x3_gradient, max_pool_3x3_shape,
    silu_gradient, subsample_gradient,
};

use crate::{reference, values, wide};

/// Compares `analytic`, the gradient at `point` of `sum(weights * op(point))`, with central differences at up to 60
/// places.
fn assert_gradient(what: &str, analytic: &[f32], point: &[f32], weights: &[f32], op: impl Fn(&[f64]) -> Vec<f64>) {
    assert_eq!(analytic.len(), point.len(), "{what}");
    let loss = |point: &[f64]| op(point).iter().zip(weights).map(|(y, w)| y * f64::from(*w)).sum::<f64>();
    let mut point = wide(point);
    let scale = analytic.iter().fold(0.0, |max: f64, g| max.max(f64::from(g.abs())));
    assert!(scale > 0.0, "{what}: every gradient is zero");
    let step = 1e-6;
    for at in (0..point.len()).step_by(point.len().div_ceil(60)) {
        let x = point[at];
        point[at] = x + step;
        let above = loss(&point);
        point[at] = x - step;
        let below = loss(&point);
        point[at] = x;
        let numeric = (above - below) / (2.0 * step);
        let difference = (numeric - f64::from(analytic[at])).abs();
        assert!(difference <= 1e-4 * scale, "{what}: at {at} {} is given, {numeric} is true", analytic[at]);
    }
}

fn conv_case(shape: Shape, out_channels: usize, kernel: usize, stride: usize) {
    spec_case(shape, ConvSpec::new(shape.channels, out_channels, kernel, stride));
}

fn spec_case(shape: Shape, spec: ConvSpec) {
    let out = spec.output(shape).unwrap();
    let (input, weight) = (values("input", shape.len()), values("weight", spec.weight_shape().iter().product()));
    let gradient = values("gradient", out.len());
    for isa in Isa::available() {
        let what = format!("{isa:?} {spec:?} of {shape}");
        // Channels that the convolution does not see keep what they have.
        let mut ours = vec![0.0; shape.len()];
        conv2d_input_gradient(&spec, &weight, &gradient, shape, None, &mut ours, isa).unwrap();
        let op = |input: &[f64]| reference::conv2d(&spec, input, shape, &wide(&weight));
        assert_gradient(&format!("input of {what}"), &ours, &input, &gradient, op);
        let mut ours = vec![0.0; weight.len()];
        conv2d_weight_gradient(&spec, &input, shape, &gradient, &mut ours, isa).unwrap();
        let op = |weight: &[f64]| reference::conv2d(&spec, &wide(&input), shape, weight);
        assert_gradient(&format!("weight of {what}"), &ours, &weight, &gradient, op);
    }
}

#[test]
fn convolutions_have_their_gradients() {
    conv_case(Shape::new(2, 7, 5, 3), 10, 3, 1);
    conv_case(Shape::new(2, 7, 8, 13), 70, 3, 2);
    conv_case(Shape::new(3, 5, 5, 17), 64, 1, 1);
    conv_case(Shape::new(1, 6, 7, 8), 33, 1, 2);
    conv_case(Shape::new(1, 9, 4, 5), 6, 5, 3);
}

#[test]
fn wide_convolutions_of_few_products_have_their_gradients() {
    // 2x2 tiles, the last row and column of them partly outside.
    conv_case(Shape::new(2, 3, 5, 33), 40, 3, 1);
    conv_case(Shape::new(1, 1, 2, 32), 32, 3, 1);
}

#[test]
fn grouped_and_depthwise_convolutions_have_their_gradients() {
    let spec = |channels: [usize; 2], groups, kernel, stride| ConvSpec {
        groups,
        ..ConvSpec::new(channels[0], channels[1], kernel, stride)
    };
    spec_case(Shape::new(2, 6, 5, 64), spec([64, 64], 16, 3, 1));
    spec_case(Shape::new(2, 6, 5, 20), spec([20, 30], 5, 3, 2));
    spec_case(Shape::new(2, 7, 5, 37), spec([37, 37], 37, 3, 1));
    spec_case(Shape::new(2, 7, 6, 20), spec([20, 20], 20, 5, 2));
    spec_case(Shape::new(1, 20, 21, 5), spec([5, 5], 5, 7, 1));
    // Rows of several tiles, pixels that no tap reads, and a window of the channels.
    spec_case(Shape::new(2, 15, 17, 9), spec([9, 9], 9, 3, 2));
    spec_case(Shape::new(1, 7, 8, 6), spec([6, 6], 6, 1, 3));
    let [input, output] = [Window { first: 3, of: 20 }, Window { first: 1, of: 18 }];
    for (groups, outputs) in [(1, 16), (4, 16), (12, 12)] {
        spec_case(Shape::new(2, 5, 4, 20), ConvSpec { input, output, ..spec([12, outputs], groups, 3, 1) });
        spec_case(Shape::new(2, 5, 4, 20), ConvSpec { input, output, ..spec([12, outputs], groups, 3, 2) });
    }
}

#[test]
fn silu_after_a_norm_has_its_gradient() {
    let input = values("input", 1000);
    let mut ours = values("gradient", 1000);
    silu_gradient(&mut ours, &input);
    assert_gradient("silu", &ours, &input, &values("gradient", 1000), |x| reference::silu(x.to_vec()));
}

#[test]
fn max_pool_and_subsample_have_their_gradients() {
    for (height, width) in [(1, 2), (5, 4), (8, 7)] {
        let shape = Shape::new(2, height, width, 5);
        let input = values("input", shape.len());
        let mut ours = vec![f32::NAN; shape.len()];
        let gradient = values("gradient", max_pool_3x3_shape(shape).unwrap().len());
        max_pool_3x3_gradient(&gradient, &input, shape, &mut ours).unwrap();
        assert_gradient(&format!("max of {shape}"), &ours, &input, &gradient, |x| reference::max_pool(x, shape));
        let op = Subsample { stride: 2, channels: 8 };
        let gradient = values("gradient", op.output(shape).len());
        subsample_gradient(op, &gradient, shape, &mut ours);
        assert_gradient(&format!("{op:?}"), &ours, &input, &gradient, |x| reference::subsample(op, x, shape));
    }
}

#[test]
fn a_maximum_that_stands_twice_gives_its_gradient_to_the_first() {
    let shape = Shape::new(1, 2, 2, 1);
    let mut ours = [f32::NAN; 4];
    max_pool_3x3_gradient(&[3.0], &[0.0, 1.0, 1.0, 1.0], shape, &mut ours).unwrap();
    assert_eq!(ours, [0.0, 3.0, 0.0, 0.0]);
}

#[test]
fn a_weight_gradient_of_many_pixels_is_summed_over_all_of_them() {
    conv_case(Shape::new(2, 20, 21, 4), 5, 3, 1);
}

#[test]
fn an_input_gradient_can_be_added_to_another() {
    let spec = ConvSpec::new(3, 4, 3, 1);
    let shape = Shape::new(1, 5, 5, 3);
    let (weight, gradient) = (values("weight", 108), values("gradient", 100));
    let (mut alone, mut added) = (vec![0.0; 75], vec![0.0; 75]);
    let ones = vec![1.0; 75];
    conv2d_input_gradient(&spec, &weight, &gradient, shape, None, &mut alone, Isa::detect()).unwrap();
    conv2d_input_gradient(&spec, &weight, &gradient, shape, Some(&ones), &mut added, Isa::detect()).unwrap();
    assert!(alone.iter().zip(&added).all(|(alone, added)| alone + 1.0 == *added));
}

const EPSILON: f32 = 1e-5;

struct Norm {
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    statistics: BatchStatistics,
    gradient: Vec<f32>,
}

/// 700 pixels: more than one chunk of partial sums.
fn norm(channels: usize) -> Norm {
    let input = values("input", 700 * channels);
    // Weights of both signs, none so small that a value could not be recovered.
    let weight = values("weight", channels).iter().map(|w| w + 0.2 * w.signum()).collect();
    let statistics = batch_statistics(&input, channels, EPSILON);
    Norm { weight, bias: values("bias", channels), statistics, gradient: values("gradient", input.len()), input }
}

impl Norm {
    /// Checks input's, weight's and bias's gradients of `activation(norm(input))` for the saved value.
    fn check(&self, what: &str, slope: f64, mut gradient: Vec<f32>, saved: Saved) {
        let Self { input, weight, bias, statistics, .. } = self;
        let (mut dw, mut db) = (vec![0.0; weight.len()], vec![0.0; bias.len()]);
        batch_norm_gradient(&mut gradient, saved, statistics, [weight, bias], [&mut dw, &mut db]);
        let op = |input: &[f64], weight: &[f64], bias: &[f64]| {
            reference::leaky(reference::batch_norm(input, weight, bias, f64::from(EPSILON)), slope)
        };
        let (x, w, b) = (wide(input), wide(weight), wide(bias));
        assert_gradient(&format!("input of {what}"), &gradient, input, &self.gradient, |x| op(x, &w, &b));
        assert_gradient(&format!("weight of {what}"), &dw, weight, &self.gradient, |w| op(&x, w, &b));
        assert_gradient(&format!("bias of {what}"), &db, bias, &self.gradient, |b| op(&x, &w, b));
    }
}

#[test]
fn batch_norm_in_place_recovers_what_its_gradient_needs() {
    let norm = norm(5);
    for activation in [Activation::Identity, Activation::LeakyRelu(0.01), Activation::LeakyRelu(0.001)] {
        let mut output = norm.input.clone();
        batch_norm(&mut output, &norm.statistics, &norm.weight, &norm.bias, activation);
        let what = format!("in-place norm with {activation:?}");
        norm.check(&what, f64::from(activation.slope()), norm.gradient.clone(), Saved::Output(&output, activation));
    }
}

#[test]
fn batch_norm_with_relu_uses_its_stored_input() {
    let norm = norm(5);
    let mut output = vec![0.0; norm.input.len()];
    let Norm { input, statistics, weight, bias, .. } = &norm;
    batch_norm_into(input, statistics, weight, bias, None, Activation::Relu, &mut output);
    let mut gradient = norm.gradient.clone();
    activation_gradient(&mut gradient, &output, Activation::Relu);
    norm.check("stored norm with ReLU", 0.0, gradient, Saved::Input(&norm.input));
}

#[test]
fn statistics_of_large_means_keep_their_small_variance() {
    let input: Vec<f32> = values("input", 5000).iter().map(|x| 1000.0 + x).collect();
    let statistics = batch_statistics(&input, 1, EPSILON);
    let wide = wide(&input);
    let mean = wide.iter().sum::<f64>() / 5000.0;
    let variance = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5000.0;
    assert!((f64::from(statistics.variance[0]) / variance - 1.0).abs() < 1e-3, "{statistics:?}, true {variance}");
}

#[test]
fn pools_have_their_gradients() {
    for (height, width) in [(2, 2), (5, 4), (7, 7), (8, 3)] {
        let shape = Shape::new(2, height, width, 3);
        let input = values("input", shape.len());
        let mut ours = vec![f32::NAN; shape.len()];
        let gradient = values("gradient", blur_pool_shape(shape).unwrap().len());
        blur_pool_gradient(&gradient, shape, &mut ours).unwrap();
        assert_gradient(&format!("blur of {shape}"), &ours, &input, &gradient, |x| reference::blur_pool(x, shape));
        let gradient = values("gradient", average_pool_2x2_shape(shape).len());
        average_pool_2x2_gradient(&gradient, shape, &mut ours);
        let op = |x: &[f64]| reference::average_pool_2x2(x, shape);
        assert_gradient(&format!("average of {shape}"), &ours, &input, &gradient, op);
        let gradient = values("gradient", shape.batch * shape.channels);
        global_average_pool_gradient(&gradient, shape, &mut ours);
        let op = |x: &[f64]| reference::global_average_pool(x, shape);
        assert_gradient(&format!("mean of {shape}"), &ours, &input, &gradient, op);
    }
}

#[test]
fn linear_layers_have_their_gradients() {
    let (batch, inputs, outputs) = (3, 10, 7);
    let (input, weight) = (values("input", batch * inputs), values("weight", inputs * outputs));
    let (bias, gradient) = (values("bias", outputs), values("gradient", batch * outputs));
    let (mut dw, mut db, mut dx) = (vec![0.0; weight.len()], vec![0.0; outputs], vec![0.0; input.len()]);
    let out = LinearGradients { weight: &mut dw, bias: &mut db, input: &mut dx };
    linear_gradient(&weight, &input, &gradient, batch, out, Isa::detect()).unwrap();
    let (x, w, b) = (wide(&input), wide(&weight), wide(&bias));
    assert_gradient("input", &dx, &input, &gradient, |x| reference::linear(x, batch, &w, &b));
    assert_gradient("weight", &dw, &weight, &gradient, |w| reference::linear(&x, batch, w, &b));
    assert_gradient("bias", &db, &bias, &gradient, |b| reference::linear(&x, batch, &w, b));
}

#[test]
fn squeeze_excite_has_its_gradients() {
    squeeze_excite_case(Activation::Relu, |x| reference::leaky(x, 0.0));
    squeeze_excite_case(Activation::Silu, reference::silu);
}

fn squeeze_excite_case(between: Activation, reference_of_it: fn(Vec<f64>) -> Vec<f64>) {
    let (channels, hidden) = (9, 6);
    let shape = Shape::new(2, 3, 4, channels);
    let input: Vec<f32> = values("input", shape.len()).iter().map(|x| x + 0.3).collect();
    let weights = [("w1", 54), ("b1", 6), ("w2", 54), ("b2", 9)].map(|(name, len)| values(name, len));
    let gradient = values("gradient", shape.len());
    let isa = Isa::detect();
    let op =
        SqueezeExcite::new([channels, hidden], [&weights[0], &weights[1]], [&weights[2], &weights[3]], between, isa);
    let mut out = vec![0.0; shape.len()];
    let gate = op.forward(&input, shape, None, Activation::Identity, &mut out).unwrap();
    let mut dx = gradient.clone();
    let mut sums = weights.each_ref().map(|weights| vec![0.0; weights.len()]);
    let [w1, b1, w2, b2] = sums.each_mut().map(|sums| &mut sums[..]);
    gate.gradient(&mut dx, &input, shape, [&weights[0], &weights[2]], [[w1, b1], [w2, b2]], isa).unwrap();
    let wides = weights.each_ref().map(|weights| wide(weights));
    let with = |input: &[f64], place: usize, values: &[f64]| {
        let mut all = wides.each_ref().map(|weights| &weights[..]);
        if place < 4 {
            all[place] = values;
        }
        reference::squeeze_excite(input, shape, all, reference_of_it)
    };
    assert_gradient("input", &dx, &input, &gradient, |x| with(x, 4, &[]));
    for (place, (ours, weights)) in sums.iter().zip(&weights).enumerate() {
        assert_gradient(&format!("parameter {place}"), ours, weights, &gradient, |w| with(&wide(&input), place, w));
    }
}
