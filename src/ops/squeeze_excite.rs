//! Squeeze-and-excitation: each channel of an image is weighted by what the whole image says (Hu, arXiv 1709.01507).

use anyhow::Result;
use rayon::prelude::*;

use super::simd::vectorized;
use super::{
    Activation, Isa, Linear, LinearGradients, Shape, activation_gradient, global_average_pool, linear_gradient,
    silu_gradient,
};

/// The gate's two linear layers.
pub struct SqueezeExcite {
    reduce: Linear,
    expand: Linear,
    hidden: usize,
    activation: Activation,
}

/// What a gate computed on the way, for its gradient.
pub struct Gate {
    /// `[batch, channels]`, the input's means.
    mean: Vec<f32>,
    /// `[batch, hidden]`, before and after the activation between the layers.
    reduced: Vec<f32>,
    hidden: Vec<f32>,
    activation: Activation,
    /// `[batch, channels]`, in (0, 1).
    gates: Vec<f32>,
}

impl SqueezeExcite {
    /// `reduce` is `[hidden, channels]` with a bias `[hidden]`, `expand` `[channels, hidden]` with a bias `[channels]`;
    /// `activation` stands between them.
    pub fn new(
        [channels, hidden]: [usize; 2],
        reduce: [&[f32]; 2],
        expand: [&[f32]; 2],
        activation: Activation,
        isa: Isa,
    ) -> Self {
        Self {
            activation,
            reduce: Linear::new(channels, hidden, reduce[0], Some(reduce[1]), isa),
            expand: Linear::new(hidden, channels, expand[0], Some(expand[1]), isa),
            hidden,
        }
    }

    /// `out = activation(input * gate + residual)`, `gate = sigmoid(expand(between(reduce(mean(input)))))`.
    pub fn forward(
        &self,
        input: &[f32],
        shape: Shape,
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) -> Result<Gate> {
        let gate = self.gate(input, shape)?;
        let row = shape.width * shape.channels;
        out.par_chunks_exact_mut(row).zip(input.par_chunks_exact(row)).enumerate().for_each(|(index, (out, input))| {
            let gates = &gate.gates[index / shape.height * shape.channels..][..shape.channels];
            apply(input, residual.map(|residual| &residual[index * row..][..row]), gates, activation, out);
        });
        Ok(gate)
    }

    fn gate(&self, input: &[f32], shape: Shape) -> Result<Gate> {
        let mut mean = vec![0.0; shape.batch * shape.channels];
        global_average_pool(input, shape, &mut mean)?;
        let mut reduced = vec![0.0; shape.batch * self.hidden];
        self.reduce.forward(&mean, shape.batch, Activation::Identity, &mut reduced)?;
        let mut hidden: Vec<f32> = reduced.iter().map(|&x| self.activation.lean(x)).collect();
        self.activation.bend(&mut hidden);
        let mut gates = vec![0.0; mean.len()];
        self.expand.forward(&hidden, shape.batch, Activation::Identity, &mut gates)?;
        for gate in &mut gates {
            *gate = 1.0 / (1.0 + (-*gate).exp());
        }
        Ok(Gate { mean, reduced, hidden, activation: self.activation, gates })
    }
}

vectorized! {
    fn apply(input: &[f32], residual: Option<&[f32]>, gates: &[f32], activation: Activation, out: &mut [f32]) {
        let channels = gates.len();
        for (at, (out, input)) in out.chunks_exact_mut(channels).zip(input.chunks_exact(channels)).enumerate() {
            let terms = out.iter_mut().zip(input).zip(gates);
            match residual {
                Some(residual) => {
                    for (((out, x), gate), residual) in terms.zip(&residual[at * channels..]) {
                        *out = activation.lean(x * gate + residual);
                    }
                }
                None => {
                    for ((out, x), gate) in terms {
                        *out = activation.lean(x * gate);
                    }
                }
            }
        }
        activation.bend(out);
    }
}

impl Gate {
    /// Turns the gradient of `input * gate` into the input's, in place; adds to those of the layers' weights and
    /// biases. `weights` are those of `reduce` and `expand`, and so are the gradients.
    pub fn gradient(
        &self,
        gradient: &mut [f32],
        input: &[f32],
        shape: Shape,
        weights: [&[f32]; 2],
        [reduce, expand]: [[&mut [f32]; 2]; 2],
        isa: Isa,
    ) -> Result<()> {
        let (image, channels) = (shape.image_len(), shape.channels);
        let mut gates: Vec<f32> = vec![0.0; self.gates.len()];
        gates
            .par_chunks_exact_mut(channels)
            .zip(gradient.par_chunks_exact(image).zip(input.par_chunks_exact(image)))
            .for_each(|(sums, (gradient, input))| products(gradient, input, sums));
        for (g, gate) in gates.iter_mut().zip(&self.gates) {
            *g *= gate * (1.0 - gate);
        }
        let mut hidden = vec![0.0; self.hidden.len()];
        let [weight, bias] = expand;
        let out = LinearGradients { weight, bias, input: &mut hidden };
        linear_gradient(weights[1], &self.hidden, &gates, shape.batch, out, isa)?;
        match self.activation {
            Activation::Silu => silu_gradient(&mut hidden, &self.reduced),
            sloped => activation_gradient(&mut hidden, &self.hidden, sloped),
        }
        let mut mean = gates;
        let [weight, bias] = reduce;
        let out = LinearGradients { weight, bias, input: &mut mean };
        linear_gradient(weights[0], &self.mean, &hidden, shape.batch, out, isa)?;
        let scale = 1.0 / shape.area() as f32;
        gradient.par_chunks_exact_mut(channels).enumerate().for_each(|(pixel, gradient)| {
            let at = pixel / shape.area() * channels;
            for ((g, gate), mean) in gradient.iter_mut().zip(&self.gates[at..]).zip(&mean[at..]) {
                *g = *g * gate + mean * scale;
            }
        });
        Ok(())
    }
}

vectorized! {
    /// Each channel's sum of products over an image.
    fn products(gradient: &[f32], input: &[f32], sums: &mut [f32]) {
        let channels = sums.len();
        for (gradient, input) in gradient.chunks_exact(channels).zip(input.chunks_exact(channels)) {
            for ((sum, g), x) in sums.iter_mut().zip(gradient).zip(input) {
                *sum += g * x;
            }
        }
    }
}
