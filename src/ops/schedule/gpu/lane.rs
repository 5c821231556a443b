//! A batch on its way to the device and its results on their way back. With two lanes one batch is uploaded while the
//! other is computed. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result};
use cudarc::driver::result::{memcpy_dtod_async, memcpy_dtoh_async, memcpy_htod_async};
use cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice};

use crate::ops::cuda::Region;

/// Pinned memory, a place on the device, and when each is free again.
pub struct Lane {
    copy: Arc<CudaStream>,
    compute: Arc<CudaStream>,
    pixels: PinnedHostSlice<u8>,
    staging: Region,
    uploaded: CudaEvent,
    results: PinnedHostSlice<f32>,
    finished: CudaEvent,
}

impl Lane {
    /// For batches of `staging`'s bytes and `results` numbers. `copy` is the uploads' stream.
    pub fn new(copy: &Arc<CudaStream>, compute: &Arc<CudaStream>, staging: Region, results: usize) -> Result<Self> {
        let context = compute.context();
        // SAFETY: both are written before they are read: the pixels by `start`, the results by the copy that `start`
        // queues and `finish` waits for. Numbers of any bits are numbers.
        let (pixels, results) = unsafe {
            // The first is only written by the processor, in order; the second is read by it.
            (context.alloc_pinned(staging.bytes())?, context.alloc_pinned_with_flags(results, 0)?)
        };
        let (uploaded, finished) = (context.new_event(None)?, context.new_event(None)?);
        Ok(Self { copy: copy.clone(), compute: compute.clone(), pixels, staging, uploaded, results, finished })
    }

    /// Uploads pixels, then has them computed: `images` is where `queue_batch` reads them and `output` where it leaves
    /// the results. The lane's last batch has been finished.
    pub fn start(
        &mut self,
        pixels: &[u8],
        images: &Region,
        output: &Region,
        queue_batch: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (images, staging) = (images.part(0, pixels.len())?, self.staging.part(0, pixels.len())?);
        let output = output.part(0, self.results.num_bytes())?;
        self.pixels.as_mut_slice()?[..pixels.len()].copy_from_slice(pixels);
        let pinned = &self.pixels.as_slice()?[..pixels.len()];
        self.copy.context().bind_to_thread()?;
        // SAFETY: source and target have as many bytes and belong to the lane, whose last batch is finished: nothing
        // else uses them until `finish`.
        unsafe { memcpy_htod_async(staging.address(), pinned, self.copy.cu_stream()) }
            .context("cannot upload a batch")?;
        self.uploaded.record(&self.copy)?;
        self.compute.wait(&self.uploaded)?;
        // SAFETY: as above; `images` is used in the order of this stream alone.
        unsafe { memcpy_dtod_async(images.address(), staging.address(), pixels.len(), self.compute.cu_stream()) }
            .context("cannot hand a batch over")?;
        queue_batch()?;
        let results = self.results.as_mut_slice()?;
        // SAFETY: the region has as many bytes as the slice, which nobody reads before `finish` has waited.
        unsafe { memcpy_dtoh_async(results, output.address(), self.compute.cu_stream()) }
            .context("cannot copy the results back")?;
        self.finished.record(&self.compute)?;
        Ok(())
    }

    /// Waits for the batch and gives its results.
    pub fn finish(&self) -> Result<&[f32]> {
        self.finished.synchronize().context("the GPU failed in a batch")?;
        Ok(self.results.as_slice()?)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Copies may still be under way to memory that goes with the lane. A device that is lost makes none any more.
        let _ = self.copy.synchronize();
        let _ = self.compute.synchronize();
    }
}
