//! Networks with their channels padded to a multiple of 8, as a GPU takes them, give what they give as they are, and
//! nothing in the padding.

use half::f16;
use tresnet::ops::cuda::padded as padded_to_eight;
use tresnet::ops::{
    Activation, Conv2d, ConvSpec, Isa, Linear, PaddedConv, PaddedLinear, Shape, blur_pool, blur_pool_shape,
};

/// Values in [-1, 1) that f16 holds.
fn values(name: &str, len: usize) -> Vec<f32> {
    crate::values(name, len).into_iter().map(|value| f16::from_f32(value).to_f32()).collect()
}

/// A map with its channels padded.
fn padded(map: &[f32], channels: usize) -> Vec<f32> {
    let pixels = map.chunks_exact(channels);
    pixels.flat_map(|pixel| pixel.iter().copied().chain(vec![0.0; padded_to_eight(channels) - channels])).collect()
}

/// A device's weight in a checkpoint's order.
fn oihw(conv: &PaddedConv) -> Vec<f32> {
    let [outputs, inputs, kernel, _] = conv.spec.weight_shape();
    let taps = kernel * kernel;
    let place = |at: usize| (at / (inputs * taps), at / taps % inputs, at % taps);
    let value = |(output, input, tap): (usize, usize, usize)| conv.weight[(output * taps + tap) * inputs + input];
    (0..outputs * inputs * taps).map(|at| value(place(at))).collect()
}

/// Compares the network's own channels and finds the others zero.
fn assert_same(padded: &[f32], plain: &[f32], channels: usize, what: &str) {
    for (padded, plain) in padded.chunks_exact(padded_to_eight(channels)).zip(plain.chunks_exact(channels)) {
        for (a, b) in padded.iter().zip(plain) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{what}: {a} and {b}");
        }
        assert!(padded[channels..].iter().all(|&value| value == 0.0), "{what}: {:?}", &padded[channels..]);
    }
}

#[test]
fn published_widths_are_padded_to_the_next_eight() {
    let widths = [48, 64, 76, 83, 152, 166, 332];
    assert_eq!(widths.map(padded_to_eight), [48, 64, 80, 88, 152, 168, 336]);
}

#[test]
fn padded_convolutions_with_bias_residual_leaky_and_blur_are_the_plain_ones() {
    for (inputs, outputs, kernel, stride) in [(83, 76, 3, 1), (3, 12, 3, 2), (48, 83, 1, 1), (16, 8, 3, 1)] {
        let what = format!("{inputs} to {outputs} channels, {kernel}x{kernel}/{stride}");
        let spec = ConvSpec::new(inputs, outputs, kernel, stride);
        let shape = Shape::new(2, 7, 9, inputs);
        let out_shape = spec.output(shape).unwrap();
        let weight = values("weight", outputs * inputs * kernel * kernel);
        // Powers of two, so that folding them in rounds nothing.
        let scale: Vec<f32> = (0..outputs).map(|at| [0.25, 0.5, 2.0][at % 3]).collect();
        let shift = values("shift", outputs);
        let (input, residual) = (values("input", shape.len()), values("residual", out_shape.len()));
        let activation = Activation::LeakyRelu(0.01);

        let plain = Conv2d::new(spec, &weight, Some(&scale), Some(&shift), Isa::detect());
        let mut out = vec![0.0; out_shape.len()];
        plain.forward(&input, shape, Some(&residual), activation, &mut out).unwrap();

        let device = PaddedConv::new(&spec, &weight, Some(&scale), Some(&shift));
        let conv = Conv2d::new(device.spec, &oihw(&device), None, Some(&device.bias), Isa::detect());
        let wide = Shape { channels: padded_to_eight(inputs), ..shape };
        let wide_out = device.spec.output(wide).unwrap();
        let mut padded_out = vec![f32::NAN; wide_out.len()];
        let residual = padded(&residual, outputs);
        conv.forward(&padded(&input, inputs), wide, Some(&residual), activation, &mut padded_out).unwrap();
        assert_same(&padded_out, &out, outputs, &what);

        let blurred = blur_pool_shape(out_shape).unwrap();
        let (mut plain, mut wide) = (vec![0.0; blurred.len()], vec![f32::NAN; blurred.pixels() * wide_out.channels]);
        blur_pool(&out, out_shape, &mut plain).unwrap();
        blur_pool(&padded_out, wide_out, &mut wide).unwrap();
        assert_same(&wide, &plain, outputs, &format!("{what}, blurred"));
    }
}

#[test]
fn a_padded_linear_layer_reads_nothing_of_the_padding() {
    let (inputs, outputs) = (83, 5);
    let (weight, bias, input) =
        (values("weight", inputs * outputs), values("bias", outputs), values("input", 2 * inputs));
    let wide = padded_to_eight(inputs);
    let device = PaddedLinear::new([outputs, inputs], &weight, &bias, [outputs, wide]);
    let run = |inputs, weight: &[f32], bias: &[f32], input: &[f32]| {
        let mut out = vec![0.0; 2 * outputs];
        let linear = Linear::new(inputs, outputs, weight, Some(bias), Isa::detect());
        linear.forward(input, 2, Activation::Identity, &mut out).unwrap();
        out
    };
    let plain = run(inputs, &weight, &bias, &input);
    let padded = run(wide, &device.weight, &device.bias, &padded(&input, inputs));
    for (a, b) in padded.iter().zip(&plain) {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{a} and {b}");
    }
    let widened = PaddedLinear::new([outputs, inputs], &weight, &bias, [8, wide]);
    assert!(widened.weight[outputs * wide..].iter().chain(&widened.bias[outputs..]).all(|&value| value == 0.0));
}
