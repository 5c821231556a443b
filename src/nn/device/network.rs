//! A network on a GPU: its parameters there, and a prepared run for each size of image. Not yet run on a GPU.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{CpuStorage, Device, Storage, Tensor};
use candle_nn::VarBuilder;

use super::fit::largest_fitting;
use crate::metrics::Verdict;
use crate::nn::graph::{Graph, Value};
use crate::ops::cuda::Element;
use crate::ops::squares::Pixels;
use crate::ops::{Loaded, Parameters, Run, Schedule, Shape, load};

/// A prepared batch is at most so large; more images go through in parts.
const LARGEST_BATCH: usize = 256;
/// A prepared batch that is this large is not replaced by a larger one.
const LARGE_ENOUGH: usize = 64;

/// A CUDA device, and how networks are evaluated there. Not yet run on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaPlace {
    pub number: usize,
    /// What maps and convolutions' weights are made of.
    pub element: Element,
    /// Whether the same images give the same bits in every run, for which no kernel is chosen by its time.
    pub deterministic: bool,
}

/// A network for evaluation on a GPU, with sums in f32.
pub struct DeviceNetwork {
    graph: Graph,
    element: Element,
    state: Mutex<State>,
    /// The last field: its device goes when all memory of the runs has been freed.
    loaded: Arc<dyn Loaded>,
}

#[derive(Default)]
struct State {
    prepared: HashMap<Key, Prepared>,
    /// What was submitted and not collected, in order.
    under_way: VecDeque<Key>,
    computed: Duration,
}

/// The value that is computed, and the images' height and width.
type Key = (usize, [usize; 2]);

struct Prepared {
    /// Images of the batch that it was prepared for, of which the device may have had room for a part.
    wanted: usize,
    run: Box<dyn Run>,
}

impl DeviceNetwork {
    /// Takes every parameter of the graph from `weights` onto a CUDA device. Bytes will be normalised with `mean` and
    /// `std`, one a channel.
    ///
    /// # Errors
    /// In one line why there is no such device, or what it says.
    pub fn bind(
        graph: Graph,
        weights: &VarBuilder,
        [mean, std]: [&[f32]; 2],
        CudaPlace { number, element, deterministic }: CudaPlace,
    ) -> Result<Self> {
        let constants = graph.constants(weights)?;
        let loaded = load(number, &Parameters { element, deterministic, constants: &constants, mean, std })?;
        Ok(Self { graph, element, state: Mutex::default(), loaded })
    }

    /// Takes every parameter from other `weights` and keeps all that was opened and prepared.
    ///
    /// # Errors
    /// If `weights` lacks a parameter, or what the device says; the network is then to be bound anew.
    pub fn rebind(&mut self, weights: &VarBuilder) -> Result<()> {
        self.loaded.replace(&self.graph.constants(weights)?)
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Prepares for batches of `shape` as bytes: smaller ones go through the same kernels then, whichever comes first.
    ///
    /// # Errors
    /// Where not one image fits, or what the device says.
    pub fn expect(&self, shape: Shape, value: Value) -> Result<()> {
        self.prepare(&mut self.state(), shape, value).map(drop)
    }

    /// Computes `value`, `[batch, channels]`, for images `[batch, height, width, channels]` of bytes in the
    /// processor's memory.
    pub fn run(&self, images: &Tensor, value: Value) -> Result<Tensor> {
        let (batch, height, width, channels) = images.dims4().context("images are [batch, height, width, channels]")?;
        let images = images.contiguous()?;
        let (storage, layout) = images.storage_and_layout();
        let Storage::Cpu(CpuStorage::U8(pixels)) = &*storage else {
            bail!("a GPU takes images as bytes in the processor's memory, not {:?}", images.dtype())
        };
        let shape = Shape::new(batch, height, width, channels);
        let pixels = &pixels[layout.start_offset()..][..shape.len()];
        let mut state = self.state();
        let out = self.prepare(&mut state, shape, value)?.run.run(pixels).with_context(|| lost(shape))?;
        Ok(Tensor::from_vec(out, (batch, self.graph.channels(value)), &Device::Cpu)?)
    }

    /// Starts on images of `shape` as bytes, for which `logits` are ranked on the device: see [`Self::collect`].
    pub fn submit(&self, pixels: Pixels, shape: Shape, logits: Value, labels: &[usize], kept: usize) -> Result<()> {
        ensure!(pixels.bytes() == shape.len(), "{} bytes for images {shape}", pixels.bytes());
        // A label that no i32 holds is beyond every network's classes.
        let labels: Vec<i32> = labels.iter().map(|&label| i32::try_from(label).unwrap_or(i32::MAX)).collect();
        let mut state = self.state();
        let own = self.prepare(&mut state, shape, logits)?;
        own.run.submit_pixels(pixels, &labels, kept).with_context(|| lost(shape))?;
        state.under_way.push_back(key(shape, logits));
        Ok(())
    }

    /// The verdicts on the earliest images that were submitted and not collected.
    pub fn collect(&self) -> Result<Vec<Verdict>> {
        let mut state = self.state();
        let key = state.under_way.pop_front().context("no images were submitted")?;
        let own = state.prepared.get_mut(&key).context("the run that they were submitted to is gone")?;
        let before = own.run.computed();
        let verdicts = own.run.collect();
        let took = own.run.computed() - before;
        state.computed += took;
        verdicts.with_context(|| format!("cannot compute images of {}x{} on the GPU", key.1[0], key.1[1]))
    }

    /// Time that the device took for what was collected.
    pub fn computed(&self) -> Duration {
        self.state().computed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run for images of `shape`, prepared where there is none yet, or one for much smaller batches.
    fn prepare<'a>(&self, state: &'a mut State, shape: Shape, value: Value) -> Result<&'a mut Prepared> {
        ensure!(shape.batch > 0, "a batch without images");
        let key = key(shape, value);
        let wanted = shape.batch.min(LARGEST_BATCH);
        let is_small = |own: &Prepared| own.wanted < wanted.min(LARGE_ENOUGH) && !state.under_way.contains(&key);
        if state.prepared.get(&key).is_none_or(is_small) {
            // The memory of the smaller one goes first.
            state.prepared.remove(&key);
            let (batch, schedule) = self.fitting(Shape { batch: wanted, ..shape }, value)?;
            let run = self.loaded.prepare(&schedule).with_context(|| format!("cannot prepare a batch of {batch}"))?;
            state.prepared.insert(key, Prepared { wanted, run });
        }
        state.prepared.get_mut(&key).context("no run was prepared")
    }

    /// The schedule for the images of `shape`, or for as many of them as the device has room for.
    fn fitting(&self, shape: Shape, value: Value) -> Result<(usize, Schedule)> {
        let schedule = |batch| self.graph.schedule(Shape { batch, ..shape }, value, self.element);
        let bytes = |batch| Ok(self.loaded.footprint(&schedule(batch)?));
        let free = self.loaded.free_memory()?;
        let Some(batch) = largest_fitting(shape.batch, free, bytes)? else {
            let one = bytes(1)?;
            bail!("out of GPU memory: one image takes {one} bytes, {free} are free; take a smaller --input-size")
        };
        if batch < shape.batch {
            tracing::warn!(
                "a batch of {} does not fit into the GPU's {free} free bytes: images go through {batch} at a time",
                shape.batch
            );
        }
        Ok((batch, schedule(batch)?))
    }
}

fn lost(shape: Shape) -> String {
    format!("cannot compute images {shape} on the GPU")
}

fn key(shape: Shape, value: Value) -> Key {
    (value.0, [shape.height, shape.width])
}
