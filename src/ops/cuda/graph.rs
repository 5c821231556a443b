//! A sequence of launches as one CUDA graph. Not yet run on a GPU.

use anyhow::{Context, Result};
use cudarc::driver::{CudaGraph, sys};

use super::device::Device;
use super::launch::Region;

/// Work that was recorded once and is launched as a whole, with the memory that it works on.
pub struct Graph {
    graph: CudaGraph,
    /// Freed memory would be written to.
    _regions: Vec<Region>,
}

// SAFETY: a graph may be launched from any thread, by one at a time, which its `&mut` sees to; regions are shared freely.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` puts into the device's stream, without running it. `work` must neither allocate nor copy nor
    /// wait, and must have run once before, so that whatever is loaded when first used is loaded.
    ///
    /// # Errors
    /// Those of `work`, and whatever cannot be recorded.
    pub fn record(device: &Device, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let stream = device.stream();
        device.keep_regions();
        // Other threads may go on as they like, to fill the next batch's buffers.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        stream.begin_capture(mode).context("cannot begin a CUDA graph")?;
        let done = work();
        // The capture is ended whether or not the work succeeded, else the stream would be lost.
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
        let regions = device.kept_regions();
        done?;
        let graph = graph.context("cannot end a CUDA graph")?.context("a CUDA graph of nothing")?;
        Ok(Self { graph, _regions: regions })
    }

    /// Puts all of it into the stream, and returns before it has run.
    pub fn launch(&mut self) -> Result<()> {
        self.graph.launch().context("the GPU refuses a recorded graph")
    }
}
