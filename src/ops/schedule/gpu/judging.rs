//! The ranking of a batch's logits on the device. Not yet run on a GPU.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::metrics::Verdict;
use crate::ops::cuda::{Arena, Device, Download, Launch, Region, Stopwatch};
use crate::ops::schedule::Verdicts;

/// The launches that rank, and where their results go.
pub struct Judging {
    verdicts: Verdicts,
    launches: Vec<Launch>,
    /// A label an image, i32.
    pub labels: Region,
    out: Region,
    download: Download,
    stopwatch: Stopwatch,
}

impl Judging {
    /// For logits `[batch, classes]`, of which the `kept` best are wanted.
    pub fn new(device: &Device, logits: &Region, [batch, classes]: [usize; 2], kept: usize) -> Result<Self> {
        let verdicts = Verdicts { batch, classes, kept };
        let sizes = [batch * size_of::<i32>(), verdicts.bytes()];
        let mut arena = device.arena(sizes.iter().map(|&bytes| Arena::footprint(bytes)).sum())?;
        let (labels, out) = (arena.take(sizes[0])?, arena.take(sizes[1])?);
        // Images that a batch lacks have labels too.
        device.write(&labels, &vec![0; sizes[0]])?;
        let launches = verdicts.launches(logits, &labels, &out)?;
        let download = Download::new(device, out.bytes())?;
        Ok(Self { verdicts, launches, labels, download, out, stopwatch: Stopwatch::default() })
    }

    /// Best classes that are kept of each image.
    pub fn kept(&self) -> usize {
        self.verdicts.kept
    }

    /// Says that a batch's computation begins here.
    pub fn begin(&mut self, device: &Device) -> Result<()> {
        self.stopwatch.start(device)
    }

    /// Ranks what the logits hold by then, and sends the verdicts on their way.
    pub fn launch(&mut self, device: &Device) -> Result<()> {
        self.launches.iter().try_for_each(|launch| device.launch(launch))?;
        self.stopwatch.stop(device)?;
        self.download.send(device, &self.out)
    }

    /// Time that the batches took whose verdicts were taken.
    pub fn computed(&self) -> Duration {
        self.stopwatch.total()
    }

    /// The earliest batch's verdicts, for its first `images`.
    pub fn take(&mut self, device: &Device, images: usize) -> Result<Vec<Verdict>> {
        let bytes = self.download.take()?.context("no verdicts are on their way")?;
        self.stopwatch.read(device)?;
        self.verdicts.parse(&bytes, images)
    }
}
