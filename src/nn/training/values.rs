//! A learner's values as weights that a network can be built from.

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::nn::graph::Parameter;

/// Hands `values`, in the order of `parameters`, to whoever builds a network from them; each is copied when it is asked
/// for.
pub fn weights_of<'a>(parameters: &'a [Parameter], values: &'a [Vec<f32>]) -> VarBuilder<'a> {
    VarBuilder::from_backend(Box::new(Values { parameters, values }), DType::F32, Device::Cpu)
}

struct Values<'a> {
    parameters: &'a [Parameter],
    values: &'a [Vec<f32>],
}

impl SimpleBackend for Values<'_> {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self.parameters.iter().position(|parameter| parameter.name == name) {
            Some(at) => Tensor::from_slice(&self.values[at], shape, device)?.to_dtype(dtype),
            None => candle_core::bail!("the network has no parameter {name}"),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the values of {name} need its shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
    }
}
