//! Schedules on an NVIDIA GPU: convolutions from cuDNN, all else by kernels of our own, a batch as one captured graph.
//! Not yet run on a GPU.

mod actions;
pub(in crate::ops) mod convolution;
mod judging;
pub(in crate::ops) mod opening;
pub(in crate::ops) mod plans;
mod profiling;
pub(in crate::ops) mod recording;
mod session;
mod verification;

use std::sync::Arc;

use anyhow::{Context, Result};

use self::convolution::Convolutions;
use self::opening::open;
use self::session::Session;
use super::{Constant, Loaded, Memory, Parameters, Run, Schedule};
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::Library;

/// A GPU with a network's constants.
pub struct Gpu {
    device: Arc<Device>,
    /// What maps and convolutions' weights are made of.
    element: Element,
    /// Whether kernels are not to be chosen by a clock.
    deterministic: bool,
    /// Where it is missing, convolutions are our own, and slow.
    cudnn: Option<Arc<Library>>,
    constants: Vec<Region>,
    /// Of each weight its bias as maps are, which cuDNN's precompiled kernels want.
    rounded_biases: Vec<Option<Region>>,
    normalization: [Region; 2],
    ones: Region,
}

impl Gpu {
    /// Opens the device and its libraries and uploads the parameters.
    pub fn new(number: usize, parameters: &Parameters) -> Result<Self> {
        let (device, cudnn) = open(number)?;
        let element = parameters.element;
        let mut uploads: Vec<Vec<u8>> = parameters.constants.iter().map(|constant| bytes(constant, element)).collect();
        let count = uploads.len();
        let mut rounded_at = vec![None; count];
        for (at, pair) in parameters.constants.windows(2).enumerate() {
            if let [Constant::Weight(_), Constant::Exact(bias)] = pair {
                rounded_at[at] = Some(uploads.len());
                uploads.push(element.bytes_of(bias));
            }
        }
        let widest = parameters.constants.iter().map(|constant| match constant {
            Constant::Weight(_) => 0,
            Constant::Exact(values) => values.len(),
        });
        uploads.extend([
            Element::F32.bytes_of(parameters.mean),
            Element::F32.bytes_of(parameters.std),
            Element::F32.bytes_of(&vec![1.0; widest.max().unwrap_or(0)]),
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
        let rounded_biases = rounded_at.into_iter().map(|at| at.and_then(|at| regions.get(at).cloned())).collect();
        regions.truncate(count);
        let deterministic = parameters.deterministic;
        Ok(Self {
            device,
            element,
            deterministic,
            cudnn,
            constants: regions,
            rounded_biases,
            normalization: [mean, std],
            ones,
        })
    }

    fn memory(&self, arena: Region, images: Region) -> Memory {
        Memory {
            element: self.element,
            arena,
            images,
            normalization: self.normalization.clone(),
            constants: self.constants.clone(),
            ones: self.ones.clone(),
        }
    }
}

impl Loaded for Gpu {
    fn footprint(&self, schedule: &Schedule) -> usize {
        session::footprint(schedule) + if self.cudnn.is_some() { Convolutions::footprint() } else { 0 }
    }

    fn free_memory(&self) -> Result<usize> {
        self.device.free_memory()
    }

    fn prepare(&self, schedule: &Schedule) -> Result<Box<dyn Run>> {
        Ok(Box::new(Session::new(self, schedule)?))
    }
}

fn bytes(constant: &Constant, element: Element) -> Vec<u8> {
    match constant {
        Constant::Weight(values) => element.bytes_of(values),
        Constant::Exact(values) => Element::F32.bytes_of(values),
    }
}
