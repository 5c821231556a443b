//! Several convolutions as one: what a mixed one comes to on a device, where one product over all channels beats several
//! over windows of them.

use anyhow::{Result, ensure};

use super::ConvSpec;

impl ConvSpec {
    /// The dense convolution that computes what `parts` compute side by side, each for its window of the output. A
    /// smaller kernel lies in the middle of the largest.
    ///
    /// # Errors
    /// If the parts are not of one map, one stride, and the padding that keeps the size at stride 1.
    pub fn joined(parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else { anyhow::bail!("a convolution without a kernel") };
        if let [only] = parts
            && only.is_dense()
        {
            return Ok(*only);
        }
        let alike = |spec: &Self| {
            spec.kernel % 2 == 1
                && spec.padding == spec.kernel / 2
                && spec.stride == first.stride
                && (spec.input.of, spec.output.of) == (first.input.of, first.output.of)
        };
        ensure!(parts.iter().all(alike), "{parts:?} do not make up one convolution");
        let kernel = parts.iter().map(|spec| spec.kernel).max().unwrap_or(1);
        Ok(Self::new(first.input.of, first.output.of, kernel, first.stride))
    }

    /// The weight of [`Self::joined`] in a checkpoint's order, out of those of the parts: zeros wherever an output does not
    /// see an input.
    pub fn joined_weight(&self, parts: &[(Self, &[f32])]) -> Vec<f32> {
        let mut out = vec![0.0; self.weight_shape().iter().product()];
        for (spec, weight) in parts {
            let [outputs, inputs, ..] = spec.weight_shape();
            assert_eq!(weight.len(), outputs * inputs * spec.taps(), "weight of {spec:?}");
            let margin = (self.kernel - spec.kernel) / 2;
            for (at, &value) in weight.iter().enumerate() {
                let (tap, input, output) = (at % spec.taps(), at / spec.taps() % inputs, at / spec.taps() / inputs);
                let group = output / (outputs / spec.groups);
                let (row, column) = (spec.output.first + output, spec.input.first + group * inputs + input);
                let (y, x) = (tap / spec.kernel + margin, tap % spec.kernel + margin);
                out[((row * self.in_channels + column) * self.kernel + y) * self.kernel + x] = value;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Activation, Conv2d, Isa, Shape, Window};

    /// Two shares of a map of 5 channels, to 6: 2 channels by a 3x3 in two groups, and 3 by a 1x1.
    fn parts() -> [ConvSpec; 2] {
        let window = |first, of| Window { first, of };
        [
            ConvSpec { groups: 2, input: window(0, 5), output: window(0, 6), ..ConvSpec::new(2, 4, 3, 2) },
            ConvSpec { input: window(2, 5), output: window(4, 6), ..ConvSpec::new(3, 2, 1, 2) },
        ]
    }

    #[test]
    fn one_convolution_computes_what_its_parts_do() {
        let specs = parts();
        let numbers =
            |len: usize, from: usize| (0..len).map(|at| ((at * 7 + from) % 11) as f32 - 5.0).collect::<Vec<_>>();
        let weights = specs.map(|spec| numbers(spec.weight_shape().iter().product(), spec.kernel));
        let shape = Shape::new(2, 5, 4, 5);
        let input = numbers(shape.len(), 3);
        let isa = Isa::detect();
        let joined = ConvSpec::joined(&specs).unwrap();
        let out_shape = joined.output(shape).unwrap();
        let mut expected = vec![0.0; out_shape.len()];
        for (spec, weight) in specs.iter().zip(&weights) {
            let conv = Conv2d::exact(*spec, weight, isa);
            conv.forward(&input, shape, None, Activation::Identity, &mut expected).unwrap();
        }
        let weight = joined.joined_weight(&[(specs[0], &weights[0]), (specs[1], &weights[1])]);
        let mut ours = vec![0.0; out_shape.len()];
        Conv2d::exact(joined, &weight, isa).forward(&input, shape, None, Activation::Identity, &mut ours).unwrap();
        // Whole numbers, so that the order of the sums does not matter.
        assert_eq!(ours, expected);
    }

    #[test]
    fn parts_of_different_strides_are_no_convolution() {
        let [one, other] = parts();
        assert!(ConvSpec::joined(&[one, ConvSpec { stride: 1, ..other }]).is_err());
        assert!(ConvSpec::joined(&[]).is_err());
    }
}
