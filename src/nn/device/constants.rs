//! A network's parameters as a device takes them: folded, laid out and padded, once, at load.

use anyhow::Result;
use candle_nn::VarBuilder;

use super::form::{DeviceConv, Form, conv};
use crate::nn::fold::fold;
use crate::nn::graph::{Affine, Graph, Norm, Op};
use crate::ops::cuda::padded;
use crate::ops::{Constant, ConvSpec, PaddedConv, PaddedLinear, padded_vector};

impl Graph {
    /// The constants that a schedule's steps refer to, in their order.
    ///
    /// # Errors
    /// If `weights` lacks a parameter, or the parts of a convolution do not make up one.
    pub fn constants(&self, weights: &VarBuilder) -> Result<Vec<Constant>> {
        let get = |id: usize| -> Result<Vec<f32>> {
            let parameter = &self.parameters()[id];
            let tensor = weights.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let folded = |norm: Norm| -> Result<[Vec<f32>; 2]> {
            let [gamma, beta] = [get(norm.weight)?, get(norm.bias)?];
            let [mean, variance] = [get(norm.mean)?, get(norm.variance)?];
            Ok(fold([&gamma, &beta, &mean, &variance], self.norm_epsilon()))
        };
        let linear = |Affine { weight, bias }: Affine, pad: [fn(usize) -> usize; 2]| -> Result<[Constant; 2]> {
            let (weight, bias) = (get(weight)?, get(bias)?);
            let [outputs, inputs] = [bias.len(), weight.len() / bias.len().max(1)];
            let padded = [pad[0](outputs), pad[1](inputs)];
            let PaddedLinear { weight, bias } = PaddedLinear::new([outputs, inputs], &weight, &bias, padded);
            Ok([Constant::Exact(weight), Constant::Exact(bias)])
        };
        let mut constants = Vec::new();
        for node in &self.nodes {
            if let Some(DeviceConv { form, convs, norm, .. }) = conv(&node.op)? {
                let folded = norm.map(folded).transpose()?;
                let [scale, shift] = [0, 1].map(|which| folded.as_ref().map(|folded| &folded[which][..]));
                let weights = convs.iter().map(|conv| get(conv.weight)).collect::<Result<Vec<_>>>()?;
                let parts: Vec<(ConvSpec, &[f32])> =
                    convs.iter().zip(&weights).map(|(conv, weight)| (conv.spec, &weight[..])).collect();
                let (weight, bias) = match form {
                    Form::Product(spec) => {
                        let joined = if spec.groups > 1 { weights.concat() } else { spec.joined_weight(&parts) };
                        let conv = PaddedConv::new(&spec, &joined, scale, shift);
                        (conv.weight, conv.bias)
                    }
                    Form::Depthwise(bands) => {
                        let bias = padded_vector(shift.unwrap_or_default(), bands.channels());
                        (bands.weight(&parts, scale), bias)
                    }
                };
                constants.extend([Constant::Weight(weight), Constant::Exact(bias)]);
            }
            match node.op {
                Op::Norm { norm, .. } => {
                    let channels = padded(node.channels);
                    constants.extend(folded(norm)?.map(|values| Constant::Exact(padded_vector(&values, channels))));
                }
                Op::SqueezeExcite { reduce, expand, .. } => {
                    constants.extend(linear(reduce, [as_is, padded])?);
                    constants.extend(linear(expand, [padded, as_is])?);
                }
                Op::Linear { affine } => constants.extend(linear(affine, [as_is, padded])?),
                _ => {}
            }
        }
        Ok(constants)
    }
}

fn as_is(size: usize) -> usize {
    size
}
