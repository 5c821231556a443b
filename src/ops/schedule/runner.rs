//! From schedules to results: what a device does, behind an interface that every build has.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::Schedule;
use crate::metrics::Verdict;
use crate::ops::DeviceProfile;
use crate::ops::cuda::Element;
use crate::ops::squares::Pixels;

/// One constant of a network.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A convolution's weight, to be rounded to what maps are made of; its bias comes next.
    Weight(Vec<f32>),
    /// Biases and small layers: f32 on the device too.
    Exact(Vec<f32>),
}

/// What a network brings to a device.
pub struct Parameters<'a> {
    /// What maps and convolutions' weights are made of there.
    pub element: Element,
    /// Whether the same images give the same bits in every run: then kernels are not chosen by a clock.
    pub deterministic: bool,
    /// In the order of the schedules' numbers.
    pub constants: &'a [Constant],
    /// One a colour of the images.
    pub mean: &'a [f32],
    pub std: &'a [f32],
}

/// A network's constants on a device.
pub trait Loaded: Send + Sync {
    /// Bytes on the device that [`Self::prepare`] takes for a schedule.
    fn footprint(&self, schedule: &Schedule) -> usize;

    /// Bytes on the device that nobody has taken.
    ///
    /// # Errors
    /// What the device says.
    fn free_memory(&self) -> Result<usize>;

    /// Takes the memory for a schedule, chooses its kernels and captures them.
    ///
    /// # Errors
    /// Where memory is short, or what the device says, with the op that it fails at.
    fn prepare(&self, schedule: &Schedule) -> Result<Box<dyn Run>>;

    /// Takes other constants, each in the memory of the one before it: what is prepared computes with them from its next
    /// batch on.
    ///
    /// # Errors
    /// If they are of other sizes, or what the device says.
    fn replace(&self, constants: &[Constant]) -> Result<()>;
}

/// A schedule ready to run.
pub trait Run: Send {
    /// The schedule's output, `[images, output_channels]`, for the bytes of any number of images: more than a batch go
    /// through in parts, the next one's upload beside the computation.
    ///
    /// # Errors
    /// What the device says.
    fn run(&mut self, pixels: &[u8]) -> Result<Vec<f32>>;

    /// Starts on images with their labels, whose outputs are logits, and returns once their bytes are copied; the `kept`
    /// best classes are wanted of each.
    ///
    /// # Errors
    /// What the device says.
    fn submit(&mut self, pixels: &[u8], labels: &[i32], kept: usize) -> Result<()> {
        self.submit_pixels(pixels.into(), labels, kept)
    }

    /// The same of images that may be squares on the device, which are awaited there.
    ///
    /// # Errors
    /// What the device says.
    fn submit_pixels(&mut self, pixels: Pixels, labels: &[i32], kept: usize) -> Result<()>;

    /// The verdicts on the earliest images that were submitted together and not collected.
    ///
    /// # Errors
    /// What the device says.
    fn collect(&mut self) -> Result<Vec<Verdict>>;

    /// What a batch takes, op by op, on whatever pixels the device holds.
    ///
    /// # Errors
    /// What the device says.
    fn profile(&mut self) -> Result<DeviceProfile>;

    /// Time that the device computed for what was collected, from where the pixels were there to the verdicts.
    fn computed(&self) -> Duration;
}

/// Puts a network's parameters onto CUDA device `number`.
///
/// # Errors
/// In one line why there is no such device, or what it says.
#[cfg(feature = "cuda")]
pub fn load(number: usize, parameters: &Parameters) -> Result<Arc<dyn Loaded>> {
    Ok(Arc::new(super::gpu::Gpu::new(number, parameters)?))
}

/// Puts a network's parameters onto CUDA device `number`.
///
/// # Errors
/// Always: this build has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn load(number: usize, _: &Parameters) -> Result<Arc<dyn Loaded>> {
    anyhow::bail!("cuda:{number}: {}", crate::runtime::cuda::Absence::NotBuilt)
}
