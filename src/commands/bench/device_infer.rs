//! The network alone, in evaluation, on a GPU: a batch in one piece, however large. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::infer::noise;
use crate::models::{Architecture, Variant};
use crate::nn::{Graph, Initializer, Value};
use crate::ops::cuda::Element;
use crate::ops::{Constant, DeviceProfile, Loaded, Parameters, Run, Schedule, Shape, load};

/// Classes that are ranked of each image: what top-5 takes.
const KEPT: usize = 5;

/// A network with random parameters on a device.
pub struct DeviceInference {
    graph: Graph,
    logits: Value,
    element: Element,
    loaded: Arc<dyn Loaded>,
    /// Bytes on the device that the parameters take.
    parameters: usize,
}

impl DeviceInference {
    /// On CUDA device `number`.
    pub fn new(variant: &Variant, architecture: Architecture, number: usize, element: Element) -> Result<Self> {
        let Architecture { graph, logits, .. } = architecture;
        let fresh = VarBuilder::from_backend(Box::new(Initializer { seed: 0 }), DType::F32, Device::Cpu);
        let constants = graph.constants(&fresh)?;
        let (mean, std) = (&variant.mean, &variant.std);
        let loaded = load(number, &Parameters { element, deterministic: false, constants: &constants, mean, std })?;
        Ok(Self { parameters: bytes(&constants, element), graph, logits, element, loaded })
    }

    /// Bytes on the device that a batch of `image` takes, parameters included.
    pub fn bytes(&self, image: Shape) -> Result<usize> {
        Ok(self.parameters + self.loaded.footprint(&self.schedule(image)?))
    }

    /// A batch of random pixels, ready to be computed and ranked as often as wanted, each time as many images as
    /// returned. The next batch travels while one is computed, as in `infer`; a single image is waited for, so that its
    /// time is a latency.
    pub fn prepare(&self, image: Shape) -> Result<impl FnMut() -> Result<usize> + use<>> {
        let mut run: Box<dyn Run> = self.loaded.prepare(&self.schedule(image)?)?;
        let (pixels, labels) = (noise(image.len()), vec![0; image.batch]);
        let mut ahead = if image.batch > 1 { 1 } else { 0 };
        Ok(move || {
            for _ in 0..=std::mem::take(&mut ahead) {
                run.submit(&pixels, &labels, KEPT)?;
            }
            run.collect().map(|verdicts| verdicts.len())
        })
    }

    /// A batch of `image` ready to be profiled as often as wanted: what one takes, op by op.
    pub fn profiles(&self, image: Shape) -> Result<impl FnMut() -> Result<DeviceProfile> + use<>> {
        let mut run = self.loaded.prepare(&self.schedule(image)?)?;
        run.run(&noise(image.len()))?;
        Ok(move || run.profile())
    }

    fn schedule(&self, image: Shape) -> Result<Schedule> {
        self.graph.schedule(image, self.logits, self.element)
    }
}

/// Bytes on the device that parameters take; biases lie there twice.
fn bytes(constants: &[Constant], element: Element) -> usize {
    let one = |constant: &Constant| match constant {
        Constant::Weight(values) => values.len() * element.size(),
        Constant::Exact(values) => values.len() * (size_of::<f32>() + element.size()),
    };
    constants.iter().map(one).sum()
}
