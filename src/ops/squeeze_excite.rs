//! Squeeze-and-excitation: each channel of an image is weighted by what the whole image says (Hu, arXiv 1709.01507).

use anyhow::Result;
use rayon::prelude::*;

use super::{Activation, Isa, Linear, Shape, global_average_pool};

/// The gate's two linear layers.
pub struct SqueezeExcite {
    reduce: Linear,
    expand: Linear,
    hidden: usize,
}

impl SqueezeExcite {
    /// `reduce` is `[hidden, channels]` with a bias `[hidden]`, `expand` `[channels, hidden]` with a bias `[channels]`.
    pub fn new(channels: usize, hidden: usize, reduce: [&[f32]; 2], expand: [&[f32]; 2], isa: Isa) -> Self {
        Self {
            reduce: Linear::new(channels, hidden, reduce[0], Some(reduce[1]), isa),
            expand: Linear::new(hidden, channels, expand[0], Some(expand[1]), isa),
            hidden,
        }
    }

    /// `out = activation(input * gate + residual)`, `gate = sigmoid(expand(relu(reduce(mean(input)))))`.
    pub fn forward(
        &self,
        input: &[f32],
        shape: Shape,
        residual: Option<&[f32]>,
        activation: Activation,
        out: &mut [f32],
    ) -> Result<()> {
        let gates = self.gates(input, shape)?;
        let row = shape.width * shape.channels;
        out.par_chunks_exact_mut(row).zip(input.par_chunks_exact(row)).enumerate().for_each(|(index, (out, input))| {
            let gate = &gates[index / shape.height * shape.channels..][..shape.channels];
            let residual = residual.map(|residual| &residual[index * row..][..row]);
            for (x, (out, input)) in
                out.chunks_exact_mut(shape.channels).zip(input.chunks_exact(shape.channels)).enumerate()
            {
                match residual.map(|residual| &residual[x * shape.channels..][..shape.channels]) {
                    Some(residual) => {
                        for (((out, x), gate), residual) in out.iter_mut().zip(input).zip(gate).zip(residual) {
                            *out = activation.apply(x * gate + residual);
                        }
                    }
                    None => {
                        for ((out, x), gate) in out.iter_mut().zip(input).zip(gate) {
                            *out = activation.apply(x * gate);
                        }
                    }
                }
            }
        });
        Ok(())
    }

    /// `[batch, channels]`
    fn gates(&self, input: &[f32], shape: Shape) -> Result<Vec<f32>> {
        let mut mean = vec![0.0; shape.batch * shape.channels];
        global_average_pool(input, shape, &mut mean)?;
        let mut hidden = vec![0.0; shape.batch * self.hidden];
        self.reduce.forward(&mean, shape.batch, Activation::Relu, &mut hidden)?;
        let mut gates = mean;
        self.expand.forward(&hidden, shape.batch, Activation::Identity, &mut gates)?;
        for gate in &mut gates {
            *gate = 1.0 / (1.0 + (-*gate).exp());
        }
        Ok(gates)
    }
}
