//! A schedule on the device: its memory, its kernels, and one recorded graph of them all. Not yet run on a GPU.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Gpu;
use super::actions::actions;
use super::convolution::Convolutions;
use super::judging::Judging;
use super::recording::Recording;
use crate::metrics::Verdict;
use crate::ops::DeviceProfile;
use crate::ops::cuda::{Arena, Device, Download, Region, Upload};
use crate::ops::schedule::{Run, Schedule};
use crate::ops::squares::Pixels;

/// Where an upload's pixels may start, behind its labels.
const ALIGNMENT: usize = 256;

/// A schedule ready to run.
pub struct Session {
    device: Arc<Device>,
    upload: Upload,
    outputs: Download,
    graph: Recording,
    images: Region,
    output: Region,
    /// What ranks the logits, made when it is first wanted.
    judging: Option<Judging>,
    /// Images of each batch whose verdicts are on their way, by what was submitted together.
    submitted: VecDeque<Vec<usize>>,
    /// Bytes of an image.
    image: usize,
    /// Images of a batch.
    batch: usize,
    /// Numbers in a row of the output, and those that are the network's.
    width: usize,
    channels: usize,
}

/// Bytes on the device that a session takes, the workspace of the convolutions aside.
pub fn footprint(schedule: &Schedule) -> usize {
    let own = [schedule.arena_bytes, schedule.image.len()].map(Arena::footprint);
    own.iter().sum::<usize>() + Upload::footprint(upload_bytes(schedule))
}

/// Labels, then pixels.
fn upload_bytes(schedule: &Schedule) -> usize {
    label_bytes(schedule.image.batch) + schedule.image.len()
}

/// Room for a label an image.
fn label_bytes(batch: usize) -> usize {
    (batch * size_of::<i32>()).next_multiple_of(ALIGNMENT)
}

impl Session {
    pub fn new(gpu: &Gpu, schedule: &Schedule) -> Result<Self> {
        if let Some(conflict) = schedule.conflict() {
            bail!("{conflict}");
        }
        ensure!(
            schedule.element == gpu.element,
            "constants of {:?} for a schedule of {:?}",
            gpu.element,
            schedule.element
        );
        let device = gpu.device.clone();
        let sizes = [schedule.arena_bytes, schedule.image.len()];
        let mut arena = device.arena(sizes.iter().map(|&bytes| Arena::footprint(bytes)).sum())?;
        let [values, images] = sizes.map(|bytes| arena.take(bytes));
        let memory = gpu.memory(values?, images?);
        let upload = Upload::new(&device, upload_bytes(schedule))?;
        let convolutions = gpu.cudnn.as_ref().map(|library| Convolutions::new(&device, library, gpu.element));
        let convolutions = convolutions.transpose()?.map(|own| own.deterministic(gpu.deterministic));
        let actions = actions(gpu, convolutions.as_ref(), &memory, schedule)?;
        let graph = Recording::new(&device, actions)?;
        let output = memory.slot(schedule.output)?;
        Ok(Self {
            upload,
            outputs: Download::new(&device, output.bytes())?,
            graph,
            output,
            images: memory.images,
            judging: None,
            submitted: VecDeque::new(),
            image: schedule.image.image_len(),
            batch: schedule.image.batch,
            width: schedule.output_width,
            channels: schedule.output_channels,
            device,
        })
    }

    /// Images in so many bytes.
    fn images_in(&self, bytes: usize) -> Result<usize> {
        let whole = self.image > 0 && bytes.is_multiple_of(self.image);
        ensure!(whole, "{bytes} bytes are no whole number of images of {}", self.image);
        Ok(bytes / self.image)
    }

    /// Computes the output for at most a batch of images; `labels` go along where there are any.
    fn compute(&mut self, pixels: Pixels, labels: &[i32]) -> Result<()> {
        let Self { device, upload, graph, images, judging, .. } = self;
        let (offset, bytes) = (label_bytes(self.batch), pixels.host_bytes());
        let fill = |host: &mut [u8]| {
            for (to, label) in host.chunks_exact_mut(size_of::<i32>()).zip(labels) {
                to.copy_from_slice(&label.to_le_bytes());
            }
            pixels.gather(&mut host[offset..]);
            Ok(())
        };
        // Behind a batch that is not full lie images of an earlier one, whose results nobody reads.
        let consume = |arrived: &Region| {
            pixels.place(&**device, &arrived.part(offset, bytes)?, images)?;
            if let Some(judging) = judging.as_mut().filter(|_| !labels.is_empty()) {
                device.copy(&arrived.part(0, size_of_val(labels))?, &judging.labels)?;
                judging.begin(device)?;
            }
            graph.launch()
        };
        upload.send(device, offset + bytes, fill, consume)
    }

    /// Appends the rows of the earliest output on its way.
    fn fetch(&mut self, images: usize, out: &mut Vec<f32>) -> Result<()> {
        let bytes = self.outputs.take()?.context("no output is on its way")?;
        for row in bytes.chunks_exact(self.width * size_of::<f32>()).take(images) {
            let numbers = row.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
            out.extend(numbers.take(self.channels));
        }
        Ok(())
    }
}

impl Run for Session {
    fn run(&mut self, pixels: &[u8]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(self.images_in(pixels.len())? * self.channels);
        let mut before = None;
        for batch in pixels.chunks(self.batch * self.image) {
            self.compute(batch.into(), &[])?;
            self.outputs.send(&self.device, &self.output)?;
            // The one before is fetched while this one is computed.
            if let Some(images) = before.replace(batch.len() / self.image) {
                self.fetch(images, &mut out)?;
            }
        }
        if let Some(images) = before {
            self.fetch(images, &mut out)?;
        }
        Ok(out)
    }

    fn submit_pixels(&mut self, pixels: Pixels, labels: &[i32], kept: usize) -> Result<()> {
        let images = self.images_in(pixels.bytes())?;
        ensure!(labels.len() == images, "{} labels for {images} images", labels.len());
        ensure!(self.width == self.channels, "rows of {} numbers for {} classes", self.width, self.channels);
        let kept = kept.min(self.channels);
        if self.judging.as_ref().is_none_or(|judging| judging.kept() != kept) {
            ensure!(self.submitted.is_empty(), "batches on their way keep another number of classes");
            self.judging = Some(Judging::new(&self.device, &self.output, [self.batch, self.channels], kept)?);
        }
        for (pixels, labels) in pixels.chunks(self.batch, self.image).zip(labels.chunks(self.batch)) {
            self.compute(pixels, labels)?;
            let judging = self.judging.as_mut().context("nothing judges")?;
            judging.launch(&self.device)?;
        }
        self.submitted.push_back(labels.chunks(self.batch).map(<[i32]>::len).collect());
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Verdict>> {
        let batches = self.submitted.pop_front().context("no batch was submitted")?;
        let judging = self.judging.as_mut().context("nothing judges")?;
        let verdicts =
            batches.into_iter().map(|images| judging.take(&self.device, images)).collect::<Result<Vec<_>>>()?;
        Ok(verdicts.concat())
    }

    fn profile(&mut self) -> Result<DeviceProfile> {
        self.graph.profile(&self.device)
    }

    fn computed(&self) -> Duration {
        self.judging.as_ref().map(Judging::computed).unwrap_or_default()
    }
}
