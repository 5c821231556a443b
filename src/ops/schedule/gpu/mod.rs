//! Schedules on an NVIDIA GPU: convolutions from cuDNN, all else by kernels of our own, a batch as one captured graph.
//! Not yet run on a GPU.

mod convolution;
mod session;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use half::f16;

use self::session::Session;
use super::{Constant, Loaded, Memory, Parameters, Run, Schedule};
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::Library;
use crate::runtime::cuda::probe;
use crate::runtime::libraries::Surroundings;

/// A GPU with a network's constants.
pub struct Gpu {
    device: Arc<Device>,
    /// Where it is missing, convolutions are our own, and slow.
    cudnn: Option<Arc<Library>>,
    constants: Vec<Region>,
    /// Of each weight its bias in f16, as cuDNN's precompiled kernels want it.
    half_biases: Vec<Option<Region>>,
    normalization: [Region; 2],
    ones: Region,
}

impl Gpu {
    /// Opens the device and its libraries and uploads the parameters.
    pub fn new(number: usize, parameters: &Parameters) -> Result<Self> {
        let found = probe(&Surroundings::of_process()).map_err(|absence| anyhow!("cuda:{number}: {absence}"))?;
        let device = Arc::new(Device::new(&found, number)?);
        let folder = found.libraries.as_ref().ok().and_then(|libraries| libraries.cudnn.parent());
        let cudnn = folder.map(|folder| Library::open(Some(folder))).transpose();
        let cudnn = cudnn.unwrap_or_else(|error| {
            tracing::warn!("convolutions will be slow: {error:#}");
            None
        });
        let mut uploads: Vec<Vec<u8>> = parameters.constants.iter().map(bytes).collect();
        let count = uploads.len();
        let mut half_at = vec![None; count];
        for (at, pair) in parameters.constants.windows(2).enumerate() {
            if let [Constant::Weight(_), Constant::Exact(bias)] = pair {
                half_at[at] = Some(uploads.len());
                uploads.push(halves(bias));
            }
        }
        let widest = parameters.constants.iter().map(|constant| match constant {
            Constant::Weight(_) => 0,
            Constant::Exact(values) => values.len(),
        });
        uploads.extend([
            floats(parameters.mean),
            floats(parameters.std),
            floats(&vec![1.0; widest.max().unwrap_or(0)]),
        ]);
        let mut arena = device.arena(uploads.iter().map(|upload| Arena::footprint(upload.len())).sum())?;
        let mut regions = Vec::with_capacity(uploads.len());
        for upload in &uploads {
            let region = arena.take(upload.len())?;
            device.write(&region, upload).context("cannot upload the network's parameters")?;
            regions.push(region);
        }
        let (Some(ones), Some(std), Some(mean)) = (regions.pop(), regions.pop(), regions.pop()) else {
            anyhow::bail!("the parameters have no normalisation")
        };
        let half_biases = half_at.into_iter().map(|at| at.and_then(|at| regions.get(at).cloned())).collect();
        regions.truncate(count);
        Ok(Self { device, cudnn, constants: regions, half_biases, normalization: [mean, std], ones })
    }

    fn memory(&self, element: Element, arena: Region, images: Region) -> Memory {
        Memory {
            element,
            arena,
            images,
            normalization: self.normalization.clone(),
            constants: self.constants.clone(),
            ones: self.ones.clone(),
        }
    }
}

impl Loaded for Gpu {
    fn prepare(&self, schedule: &Schedule) -> Result<Box<dyn Run>> {
        Ok(Box::new(Session::new(self, schedule)?))
    }
}

fn bytes(constant: &Constant) -> Vec<u8> {
    match constant {
        Constant::Weight(values) => halves(values),
        Constant::Exact(values) => floats(values),
    }
}

fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
