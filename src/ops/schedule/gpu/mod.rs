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

use anyhow::{Context, Result, ensure};

use self::convolution::Convolutions;
use self::opening::open;
use self::session::Session;
use super::{Constant, Loaded, Memory, Parameters, Run, Schedule};
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::Library;

/// A GPU with a network's constants.
pub struct Gpu {
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
    /// The last field: it goes when all memory above has been freed.
    device: Arc<Device>,
}

impl Gpu {
    /// Opens the device and its libraries and uploads the parameters.
    pub fn new(number: usize, parameters: &Parameters) -> Result<Self> {
        let (device, cudnn) = open(number)?;
        let element = parameters.element;
        let mut uploads = uploads(parameters.constants, element);
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
        let mut rounded = regions.split_off(parameters.constants.len()).into_iter();
        let rounded_of = |at| bias_behind(parameters.constants, at).and_then(|_| rounded.next());
        let rounded_biases = (0..parameters.constants.len()).map(rounded_of).collect();
        let deterministic = parameters.deterministic;
        Ok(Self {
            element,
            deterministic,
            cudnn,
            constants: regions,
            rounded_biases,
            normalization: [mean, std],
            ones,
            device,
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

    fn replace(&self, constants: &[Constant]) -> Result<()> {
        let uploads = uploads(constants, self.element);
        let regions: Vec<&Region> = self.constants.iter().chain(self.rounded_biases.iter().flatten()).collect();
        let sizes = uploads.iter().map(Vec::len);
        ensure!(sizes.eq(regions.iter().map(|region| region.bytes())), "another network's constants");
        for (region, upload) in regions.into_iter().zip(&uploads) {
            self.device.write(region, upload).context("cannot upload the network's parameters")?;
        }
        Ok(())
    }
}

/// What is uploaded: every constant, then every convolution's bias as maps are.
fn uploads(constants: &[Constant], element: Element) -> Vec<Vec<u8>> {
    let biases = (0..constants.len()).filter_map(|at| bias_behind(constants, at));
    let rounded = biases.map(|bias| element.bytes_of(bias));
    constants.iter().map(|constant| bytes(constant, element)).chain(rounded).collect()
}

/// The bias of the convolution whose weight constant `at` is; none where it is no weight.
fn bias_behind(constants: &[Constant], at: usize) -> Option<&[f32]> {
    match &constants[at..] {
        [Constant::Weight(_), Constant::Exact(bias), ..] => Some(bias),
        _ => None,
    }
}

fn bytes(constant: &Constant, element: Element) -> Vec<u8> {
    match constant {
        Constant::Weight(values) => element.bytes_of(values),
        Constant::Exact(values) => Element::F32.bytes_of(values),
    }
}
