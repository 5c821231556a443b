//! A network with weights, ready for images.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use candle_nn::VarBuilder;

use super::{Request, Variant};
use crate::metrics::Verdict;
use crate::nn::{CudaPlace, DeviceNetwork, Graph, Network, OpProfile, Recorder, Value};
use crate::ops::squares::Pixels;
use crate::ops::{Isa, Shape};

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

    /// Whether [`Self::submit`] works here: on a GPU, which ranks its logits itself.
    pub fn judges_itself(&self) -> bool {
        matches!(self.execution, Execution::Device(_))
    }

    /// Starts on images as bytes, `[labels.len(), height, width, channels]`, here or on the device, of which the `kept` best classes are wanted, and
    /// returns while they are computed.
    ///
    /// # Errors
    /// On the CPU, and what the device says.
    pub fn submit<'a>(
        &self,
        pixels: impl Into<Pixels<'a>>,
        [height, width]: [usize; 2],
        labels: &[usize],
        kept: usize,
    ) -> Result<()> {
        let shape = Shape::new(labels.len(), height, width, self.in_chans());
        self.device()?.submit(pixels.into(), shape, self.logits, labels, kept)
    }

    /// What the network answers for the earliest images that were submitted and not collected.
    ///
    /// # Errors
    /// On the CPU, and what the device says.
    pub fn collect(&self) -> Result<Vec<Verdict>> {
        self.device()?.collect()
    }

    /// Time that a device took for what was collected; none on the CPU.
    pub fn computed(&self) -> Option<Duration> {
        self.device().ok().map(DeviceNetwork::computed)
    }

    fn device(&self) -> Result<&DeviceNetwork> {
        match &self.execution {
            Execution::Cpu(_) => bail!("a network on the CPU answers at once: call its forward"),
            Execution::Device(network) => Ok(network),
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
