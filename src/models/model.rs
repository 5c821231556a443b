//! A network with weights, ready for images.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::{Request, Variant};
use crate::nn::{Network, Value};
use crate::ops::Isa;

/// A network for evaluation.
pub struct Model {
    variant: &'static Variant,
    network: Network,
    features: Value,
    logits: Value,
}

impl Model {
    /// Builds `variant` as `request` asks, with the parameters that `weights` hands out, on `isa`. `mean` and `std`
    /// normalise RGB in [0, 1]; images of other than three channels take their averages.
    pub fn new(
        variant: &'static Variant,
        request: &Request,
        mean: [f32; 3],
        std: [f32; 3],
        weights: &VarBuilder,
        isa: Isa,
    ) -> Result<Self> {
        let &Request { num_classes, in_chans, .. } = request;
        ensure!(num_classes > 0, "a classifier needs at least one class");
        ensure!(in_chans > 0, "a network needs at least one input channel");
        ensure!(std.iter().all(|std| *std > 0.0), "every standard deviation must be positive, got {std:?}");
        let architecture = variant.architecture(request)?;
        let channels = |values: [f32; 3]| match in_chans {
            3 => values.to_vec(),
            _ => vec![values.iter().sum::<f32>() / 3.0; in_chans],
        };
        let network = Network::bind(architecture.graph, weights, &channels(mean), &channels(std), isa)?;
        Ok(Self { variant, network, features: architecture.features, logits: architecture.logits })
    }

    /// Class scores before any softmax, `[batch, num_classes]` f32, of images `[batch, height, width, channels]`: u8
    /// as decoded, or f32 already normalised.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.network.run(images, self.logits)
    }

    /// The pooled embedding that the classifier sees, `[batch, features]` f32, of the same images.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.network.run(images, self.features)
    }

    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    pub fn num_classes(&self) -> usize {
        self.network.graph().channels(self.logits)
    }

    /// Width of the embedding.
    pub fn num_features(&self) -> usize {
        self.network.graph().channels(self.features)
    }

    pub fn in_chans(&self) -> usize {
        self.network.graph().in_channels()
    }

    /// Trainable values.
    pub fn param_count(&self) -> usize {
        self.network.graph().param_count()
    }

    /// Multiplications with accumulation for one image of `input_size` by `input_size` pixels.
    pub fn macs(&self, input_size: usize) -> Result<u64> {
        self.network.graph().macs(input_size)
    }
}
