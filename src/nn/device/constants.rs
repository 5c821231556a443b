//! A network's parameters as a device takes them: folded, laid out and padded, once, at load.

use anyhow::Result;
use candle_nn::VarBuilder;

use super::supported::{DeviceConv, conv};
use crate::nn::fold::fold;
use crate::nn::graph::{Affine, Graph, Op};
use crate::ops::cuda::padded;
use crate::ops::{Constant, PaddedConv, PaddedLinear};

impl Graph {
    /// The constants that a schedule's steps refer to, in their order.
    ///
    /// # Errors
    /// If `weights` lacks a parameter, or a device has no kernels for a convolution.
    pub fn constants(&self, weights: &VarBuilder) -> Result<Vec<Constant>> {
        let get = |id: usize| -> Result<Vec<f32>> {
            let parameter = &self.parameters()[id];
            let tensor = weights.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
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
            if let Some(DeviceConv { spec, weight, norm, .. }) = conv(&node.op)? {
                let folded = match norm {
                    Some(norm) => {
                        let [gamma, beta] = [get(norm.weight)?, get(norm.bias)?];
                        let [mean, variance] = [get(norm.mean)?, get(norm.variance)?];
                        Some(fold([&gamma, &beta, &mean, &variance], self.norm_epsilon()))
                    }
                    None => None,
                };
                let [scale, shift] = [0, 1].map(|which| folded.as_ref().map(|folded| &folded[which][..]));
                let conv = PaddedConv::new(&spec, &get(weight)?, scale, shift);
                constants.extend([Constant::Weight(conv.weight), Constant::Exact(conv.bias)]);
            }
            match node.op {
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
