//! A network with weights, ready for images.

use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::{Request, Variant};
use crate::nn::{CudaPlace, DeviceNetwork, Graph, Network, OpProfile, Recorder, Value};
use crate::ops::Isa;

/// What a network runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The CPU, with these instructions.
    Cpu(Isa),
    Cuda(CudaPlace),
}

impl From<Isa> for Place {
    fn from(isa: Isa) -> Self {
        Self::Cpu(isa)
    }
}

enum Execution {
    Cpu(Network),
    Device(DeviceNetwork),
}

/// A network for evaluation.
pub struct Model {
    variant: &'static Variant,
    execution: Execution,
    features: Value,
    logits: Value,
}

impl Model {
    /// Builds `variant` as `request` asks, with the parameters that `weights` hands out, on `place`. `mean` and `std`
    /// normalise RGB in [0, 1]; images of other than three channels take their averages.
    pub fn new(
        variant: &'static Variant,
        request: &Request,
        mean: [f32; 3],
        std: [f32; 3],
        weights: &VarBuilder,
        place: impl Into<Place>,
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
        let (mean, std) = (channels(mean), channels(std));
        let execution = match place.into() {
            Place::Cpu(isa) => Execution::Cpu(Network::bind(architecture.graph, weights, &mean, &std, isa)?),
            Place::Cuda(place) => {
                Execution::Device(DeviceNetwork::bind(architecture.graph, weights, [&mean, &std], place)?)
            }
        };
        Ok(Self { variant, execution, features: architecture.features, logits: architecture.logits })
    }

    /// Class scores before any softmax, `[batch, num_classes]` f32, of images `[batch, height, width, channels]`: u8
    /// as decoded, or, on the CPU, f32 already normalised.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.run(images, self.logits)
    }

    /// The pooled embedding that the classifier sees, `[batch, features]` f32, of the same images.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.run(images, self.features)
    }

    /// As [`Self::forward`], with each op's time added to `recorder`.
    ///
    /// # Errors
    ///
    /// On a CUDA device, too: only the CPU's ops are timed one by one.
    pub fn forward_recorded(&self, images: &Tensor, recorder: &mut Recorder) -> Result<Tensor> {
        self.on_cpu()?.run_recorded(images, self.logits, recorder)
    }

    /// What `recorder` counted of this network's runs, op by op.
    ///
    /// # Errors
    ///
    /// Those of [`Self::forward_recorded`].
    pub fn recorded(&self, recorder: &Recorder) -> Result<Vec<OpProfile>> {
        self.on_cpu()?.recorded(recorder)
    }

    fn on_cpu(&self) -> Result<&Network> {
        match &self.execution {
            Execution::Cpu(network) => Ok(network),
            Execution::Device(_) => bail!("the ops of a device are not recorded one by one"),
        }
    }

    fn run(&self, images: &Tensor, value: Value) -> Result<Tensor> {
        match &self.execution {
            Execution::Cpu(network) => network.run(images, value),
            Execution::Device(network) => network.run(images, value),
        }
    }

    /// On a GPU the network there, which ranks its logits itself, and the value that they are.
    pub fn on_device(&self) -> Option<(&DeviceNetwork, Value)> {
        match &self.execution {
            Execution::Cpu(_) => None,
            Execution::Device(network) => Some((network, self.logits)),
        }
    }

    fn graph(&self) -> &Graph {
        match &self.execution {
            Execution::Cpu(network) => network.graph(),
            Execution::Device(network) => network.graph(),
        }
    }

    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    pub fn num_classes(&self) -> usize {
        self.graph().channels(self.logits)
    }

    /// Width of the embedding.
    pub fn num_features(&self) -> usize {
        self.graph().channels(self.features)
    }

    pub fn in_chans(&self) -> usize {
        self.graph().in_channels()
    }

    /// Trainable values.
    pub fn param_count(&self) -> usize {
        self.graph().param_count()
    }

    /// Multiplications with accumulation for one image of `input_size` by `input_size` pixels.
    pub fn macs(&self, input_size: usize) -> Result<u64> {
        self.graph().macs(input_size)
    }
}
