//! A network on a GPU: its parameters there, and a prepared run for each size of image. Not yet run on a GPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use candle_core::{CpuStorage, Device, Storage, Tensor};
use candle_nn::VarBuilder;

use crate::nn::graph::{Graph, Value};
use crate::ops::cuda::Element;
use crate::ops::{Loaded, Parameters, Run, Shape, load};

/// A prepared batch is at most so large; more images go through in parts.
const LARGEST_BATCH: usize = 256;
/// A prepared batch that is this large is not replaced by a larger one.
const LARGE_ENOUGH: usize = 64;

/// A network for evaluation on a GPU, in f16 with sums in f32.
pub struct DeviceNetwork {
    graph: Graph,
    loaded: Arc<dyn Loaded>,
    /// By the value that is computed and the images' height and width.
    prepared: Mutex<HashMap<(usize, [usize; 2]), Prepared>>,
}

struct Prepared {
    batch: usize,
    run: Box<dyn Run>,
}

impl DeviceNetwork {
    /// Takes every parameter of the graph from `weights` onto CUDA device `number`. Bytes will be normalised with
    /// `mean` and `std`, one a channel.
    ///
    /// # Errors
    /// In one line why there is no such device, or what it says.
    pub fn bind(graph: Graph, weights: &VarBuilder, mean: &[f32], std: &[f32], number: usize) -> Result<Self> {
        let constants = graph.constants(weights)?;
        let loaded = load(number, &Parameters { constants: &constants, mean, std })?;
        Ok(Self { graph, loaded, prepared: Mutex::default() })
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Computes `value`, `[batch, channels]`, for images `[batch, height, width, channels]` of bytes in the
    /// processor's memory.
    pub fn run(&self, images: &Tensor, value: Value) -> Result<Tensor> {
        let (batch, height, width, channels) = images.dims4().context("images are [batch, height, width, channels]")?;
        if batch == 0 {
            bail!("a batch without images");
        }
        let images = images.contiguous()?;
        let (storage, layout) = images.storage_and_layout();
        let Storage::Cpu(CpuStorage::U8(pixels)) = &*storage else {
            bail!("a GPU takes images as bytes in the processor's memory, not {:?}", images.dtype())
        };
        let pixels = &pixels[layout.start_offset()..][..batch * height * width * channels];
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (value.0, [height, width]);
        let wanted = batch.min(LARGEST_BATCH);
        if prepared.get(&key).is_none_or(|own| own.batch < wanted.min(LARGE_ENOUGH)) {
            // The memory of the smaller one goes first.
            prepared.remove(&key);
            let schedule = self.graph.schedule(Shape::new(wanted, height, width, channels), value, Element::F16)?;
            prepared.insert(key, Prepared { batch: wanted, run: self.loaded.prepare(&schedule)? });
        }
        let own = prepared.get_mut(&key).context("no run was prepared")?;
        let out = own.run.run(pixels)?;
        Ok(Tensor::from_vec(out, (batch, self.graph.channels(value)), &Device::Cpu)?)
    }
}
