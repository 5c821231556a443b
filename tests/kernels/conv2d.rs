//! The direct convolution and the linear layer, forward and backward.

use tresnet::ops::cuda::{self, Element};
use tresnet::ops::{
    Activation, Conv2d, ConvSpec, Isa, Linear, LinearGradients, Shape, conv2d_input_gradient, conv2d_weight_gradient,
    linear_gradient,
};

use crate::compare::{ELEMENTS, assert_near, values};
use crate::memory::{Memory, run};

struct Case {
    spec: ConvSpec,
    shape: Shape,
    out_shape: Shape,
    element: Element,
    input: Vec<f32>,
    weight: Vec<f32>,
    gradient: Vec<f32>,
}

/// Kernels, strides and sides of these networks, and some that none has; channels of every kind.
fn cases() -> impl Iterator<Item = Case> {
    let geometries = [
        // in, out, kernel, stride, padding, height, width
        (3, 83, 3, 1, 1, 7, 13),
        (76, 1, 1, 1, 0, 1, 1),
        (1, 100, 3, 2, 1, 13, 7),
        (8, 5, 1, 2, 0, 7, 7),
        (5, 66, 7, 2, 3, 13, 9),
        (4, 3, 2, 3, 0, 7, 8),
    ];
    let case = |((in_channels, out_channels, kernel, stride, padding, height, width), element)| {
        let spec = ConvSpec { padding, ..ConvSpec::new(in_channels, out_channels, kernel, stride) };
        let shape = Shape::new(2, height, width, in_channels);
        let out_shape = spec.output(shape).unwrap();
        Case {
            input: values("input", shape.len(), element),
            weight: values("weight", spec.weight_shape().iter().product(), element),
            gradient: values("gradient", out_shape.len(), element),
            spec,
            shape,
            out_shape,
            element,
        }
    };
    geometries.into_iter().flat_map(|geometry| ELEMENTS.map(|element| (geometry, element))).map(case)
}

impl Case {
    fn device_weight(&self) -> Memory {
        Memory::values(self.element, &cuda::conv2d::filter_for_device(&self.spec, &self.weight, |channels| channels))
    }

    fn what(&self) -> String {
        format!("{:?} of {} in {:?}", self.spec, self.shape, self.element)
    }
}

pub fn the_direct_convolution_is_the_cpus_with_every_epilogue() {
    for case in cases() {
        let bias = values("bias", case.spec.out_channels, Element::F32);
        let residual = values("residual", case.out_shape.len(), case.element);
        let input = Memory::values(case.element, &case.input);
        for (has_bias, has_residual, activation) in [
            (false, false, Activation::Identity),
            (true, false, Activation::LeakyRelu(0.01)),
            (true, true, Activation::Relu),
        ] {
            let shift = has_bias.then_some(&bias[..]);
            let added = has_residual.then_some(&residual[..]);
            let mut expected = vec![0.0; case.out_shape.len()];
            let conv = Conv2d::new(case.spec, &case.weight, None, shift, Isa::detect().exact());
            conv.forward(&case.input, case.shape, added, activation, &mut expected).unwrap();
            let (bias, residual) = (shift.map(Memory::floats), added.map(|added| Memory::values(case.element, added)));
            let out = Memory::fresh(expected.len() * case.element.size());
            run(cuda::conv2d::conv2d(
                case.element,
                &case.spec,
                case.shape,
                [&input, &case.device_weight()],
                [bias.as_deref(), residual.as_deref()],
                activation,
                &out,
            ));
            assert_near(&case.what(), case.element, &out.read_values(case.element), &expected);
        }
    }
}

pub fn the_direct_convolutions_gradients_are_the_cpus() {
    for case in cases() {
        let Case { spec, shape, element, .. } = &case;
        let [input, gradient] = [&case.input, &case.gradient].map(|map| Memory::values(*element, map));
        let isa = Isa::detect().exact();
        let earlier = values("earlier", shape.len(), *element);
        for add in [None, Some(&earlier[..])] {
            let mut expected = vec![0.0; shape.len()];
            conv2d_input_gradient(spec, &case.weight, &case.gradient, *shape, add, &mut expected, isa).unwrap();
            let out = Memory::values(*element, add.unwrap_or(&vec![0.0; shape.len()]));
            let add = add.map(|_| &*out);
            let operands = [&*gradient, &*case.device_weight()];
            run(cuda::conv2d::conv2d_input_gradient(*element, spec, *shape, operands, add, &out));
            assert_near(&case.what(), *element, &out.read_values(*element), &expected);
        }
        let mut expected = values("weight so far", case.weight.len(), Element::F32);
        let out = Memory::floats(&cuda::conv2d::filter_for_device(spec, &expected, |channels| channels));
        conv2d_weight_gradient(spec, &case.input, *shape, &case.gradient, &mut expected, isa).unwrap();
        run(cuda::conv2d::conv2d_weight_gradient(*element, spec, *shape, [&input, &gradient], &out));
        let expected = cuda::conv2d::filter_for_device(spec, &expected, |channels| channels);
        assert_near(&case.what(), Element::F32, &out.read_floats(), &expected);
    }
}

pub fn filters_are_padded_where_they_are_laid_out() {
    let spec = ConvSpec { padding: 0, ..ConvSpec::new(2, 1, 2, 1) };
    let filter =
        cuda::conv2d::filter_for_device(&spec, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], |channels| channels + 1);
    let own = [1.0, 5.0, 0.0, 2.0, 6.0, 0.0, 3.0, 7.0, 0.0, 4.0, 8.0, 0.0];
    assert_eq!(filter, [own, [0.0; 12]].concat());
}

pub fn linear_layers_are_the_cpus_both_ways() {
    for (batch, inputs, outputs) in [(1, 1, 1), (3, 76, 100), (70, 83, 5), (2, 100, 130), (16, 40, 9), (17, 9, 12)] {
        let shape = cuda::linear::LinearShape { batch, inputs, outputs };
        let lens = [("x", batch * inputs), ("w", outputs * inputs), ("b", outputs), ("g", batch * outputs)];
        let [x, w, b, g] = lens.map(|(name, len)| values(name, len, Element::F32));
        let [dx, dw, db, dg] = [&x, &w, &b, &g].map(|values| Memory::floats(values));
        let what = format!("{shape:?}");

        let mut expected = vec![0.0; batch * outputs];
        let isa = Isa::detect();
        let layer = Linear::new(inputs, outputs, &w, Some(&b), isa);
        layer.forward(&x, batch, Activation::Relu, &mut expected).unwrap();
        let out = Memory::fresh(expected.len() * 4);
        run(cuda::linear::linear(shape, &dx, [&dw, &db], Activation::Relu, &out));
        assert_near(&what, Element::F32, &out.read_floats(), &expected);

        let mut input = vec![0.0; batch * inputs];
        let (mut weight, mut bias) = (values("so far", w.len(), Element::F32), vec![0.5; outputs]);
        let into = [Memory::floats(&weight), Memory::floats(&bias)];
        let gradients = LinearGradients { weight: &mut weight, bias: &mut bias, input: &mut input };
        linear_gradient(&w, &x, &g, batch, gradients, isa).unwrap();
        let out = Memory::fresh(input.len() * 4);
        run(cuda::linear::linear_input_gradient(shape, &dg, &dw, &out));
        assert_near(&what, Element::F32, &out.read_floats(), &input);
        run(cuda::linear::linear_weight_gradient(shape, &dg, &dx, [&into[0], &into[1]]));
        assert_near(&what, Element::F32, &into[0].read_floats(), &weight);
        assert_near(&what, Element::F32, &into[1].read_floats(), &bias);
    }
}
