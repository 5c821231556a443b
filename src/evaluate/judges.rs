//! Who judges batches: a network as a function of images, or one on a GPU, which answers while the next batch travels.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use crate::data::loader::Batch;
use crate::metrics::Verdict;
use crate::models::Model;
use crate::nn::{DeviceNetwork, Value};
use crate::ops::Shape;

/// What answers for batches, in their order.
pub trait Judge {
    /// Starts on a batch that has images; its pixels are not needed afterwards.
    ///
    /// # Errors
    /// What the network or its device says.
    fn submit(&mut self, batch: &Batch) -> Result<()>;

    /// What it answers for the earliest batch that was submitted and not collected, an image after the other.
    ///
    /// # Errors
    /// What the network or its device says.
    fn collect(&mut self) -> Result<Vec<Verdict>>;

    /// Batches that should be on their way at a time.
    fn depth(&self) -> usize;

    /// Time that a device computed for what was collected, where it says so: beside what its caller does.
    fn computed(&self) -> Option<Duration> {
        None
    }
}

/// How images reach the network, and what is wanted of them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Side of the square images, in pixels.
    pub side: usize,
    /// Average the logits of each image and of its mirror image.
    pub mirror: bool,
    /// Best classes to keep of each image.
    pub kept: usize,
    /// Where images and logits are.
    pub device: Device,
}

/// A network that maps u8 `[batch, side, side, 3]` to f32 `[batch, classes]`.
pub struct Forward<F> {
    network: F,
    options: Options,
    answers: VecDeque<Vec<Verdict>>,
}

impl<F: Fn(&Tensor) -> Result<Tensor>> Forward<F> {
    pub fn new(network: F, options: Options) -> Self {
        Self { network, options, answers: VecDeque::new() }
    }

    fn logits(&self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let shape = (batch.size, self.options.side, self.options.side, CHANNELS);
        let forward = |pixels: &[u8]| -> Result<Vec<Vec<f32>>> {
            let images = Tensor::from_slice(pixels, shape, &self.options.device)
                .context("cannot hand a batch to the network")?;
            let logits = (self.network)(&images)?.to_vec2()?;
            ensure!(logits.len() == batch.size, "the network gave {} rows for {} images", logits.len(), batch.size);
            Ok(logits)
        };
        let pixels = batch.host_pixels()?;
        let mut logits = forward(&pixels)?;
        if self.options.mirror {
            let mirrored = forward(&mirror(&pixels, self.options.side))?;
            for (own, other) in logits.iter_mut().flatten().zip(mirrored.into_iter().flatten()) {
                *own = 0.5 * (*own + other);
            }
        }
        Ok(logits)
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor>> Judge for Forward<F> {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        let logits = self.logits(batch)?;
        let judged = logits.iter().zip(&batch.labels);
        self.answers.push_back(judged.map(|(logits, &label)| Verdict::of(logits, label, self.options.kept)).collect());
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Verdict>> {
        self.answers.pop_front().context("no batch was submitted")
    }

    fn depth(&self) -> usize {
        1
    }
}

/// A network on a GPU, which ranks its logits there. Not yet run on a GPU.
pub struct DeviceJudge<'a> {
    network: &'a DeviceNetwork,
    logits: Value,
    options: Options,
    /// What the network had computed before.
    before: Duration,
}

impl<'a> DeviceJudge<'a> {
    /// Of a network without batches on their way. Mirror images are averaged on the CPU, by [`Forward`].
    pub fn new(network: &'a DeviceNetwork, logits: Value, options: Options) -> Self {
        Self { network, logits, options, before: network.computed() }
    }
}

impl Judge for DeviceJudge<'_> {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        let Options { side, kept, .. } = self.options;
        let shape = Shape::new(batch.size, side, side, CHANNELS);
        self.network.submit(batch.images()?, shape, self.logits, &batch.labels, kept)
    }

    fn collect(&mut self) -> Result<Vec<Verdict>> {
        self.network.collect()
    }

    fn depth(&self) -> usize {
        2
    }

    fn computed(&self) -> Option<Duration> {
        Some(self.network.computed() - self.before)
    }
}

/// The judge that suits where the model runs and what is wanted.
pub fn judge(model: &Model, options: Options) -> Box<dyn Judge + '_> {
    match model.on_device().filter(|_| !options.mirror) {
        Some((network, logits)) => Box::new(DeviceJudge::new(network, logits, options)),
        None => Box::new(Forward::new(|images: &Tensor| model.forward(images), options)),
    }
}

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// Swaps left and right in images of `[side, side, 3]`.
fn mirror(pixels: &[u8], side: usize) -> Vec<u8> {
    let rows = pixels.chunks_exact(side * CHANNELS);
    rows.flat_map(|row| row.chunks_exact(CHANNELS).rev().flatten().copied()).collect()
}
