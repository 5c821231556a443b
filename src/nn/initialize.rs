//! Fresh weights: each value a function of the seed, the parameter's name and its place, whatever the thread count or
//! the order in which parameters are asked for.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use rayon::prelude::*;

use crate::random::{fnv1a, mix, normal, unit};

/// Initial weights for a `VarBuilder`.
pub struct Initializer {
    pub seed: u64,
}

impl Initializer {
    /// The values of parameter `name`.
    pub fn values(&self, name: &str, shape: &Shape, init: Init) -> Vec<f32> {
        let stream = mix(self.seed ^ fnv1a(name));
        (0..shape.elem_count() as u64)
            .into_par_iter()
            .map(|at| draw(init, shape, mix(stream.wrapping_add(at))) as f32)
            .collect()
    }
}

impl SimpleBackend for Initializer {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.values(name, &shape, init), shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the initial values of {name} need its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// One value out of 64 random bits.
fn draw(init: Init, shape: &Shape, bits: u64) -> f64 {
    match init {
        Init::Const(value) => value,
        Init::Randn { mean, stdev } => mean + stdev * normal(bits),
        Init::Uniform { lo, up } => lo + (up - lo) * unit(bits),
        Init::Kaiming { dist, fan, non_linearity } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => stdev * normal(bits),
                NormalOrUniform::Uniform => 3f64.sqrt() * stdev * (2.0 * unit(bits) - 1.0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::init::{FanInOut, NonLinearity};

    #[test]
    fn kaiming_normal_has_the_fan_outs_variance() {
        let init = Init::Kaiming {
            dist: NormalOrUniform::Normal,
            fan: FanInOut::FanOut,
            non_linearity: NonLinearity::ExplicitGain(2f64.sqrt()),
        };
        let values = Initializer { seed: 1 }.values("conv.weight", &Shape::from((64, 16, 3, 3)), init);
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
        let expected: f64 = 2.0 / (64.0 * 9.0);
        assert!(mean.abs() < 0.05 * expected.sqrt(), "mean {mean}");
        assert!((variance / expected - 1.0).abs() < 0.05, "variance {variance}, expected {expected}");
    }

    #[test]
    fn another_seed_or_name_gives_other_values() {
        let values =
            |seed, name| Initializer { seed }.values(name, &Shape::from(8), Init::Randn { mean: 0.0, stdev: 1.0 });
        assert_eq!(values(1, "a"), values(1, "a"));
        assert_ne!(values(1, "a"), values(2, "a"));
        assert_ne!(values(1, "a"), values(1, "b"));
    }
}
