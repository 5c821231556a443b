//! A GPU with its one stream and its kernels. Not yet run on a GPU.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use cudarc::driver::result::{launch_kernel, mem_get_info, memcpy_dtod_async, memcpy_dtoh_async, memcpy_htod_async};
use cudarc::driver::{CudaContext, CudaStream, DriverError, sys};

use super::launch::{Argument, BLOCK, Launch, Region};
use super::memory::Arena;
use super::modules::Kernels;
use crate::runtime::cuda::{Cuda, open};

/// A GPU: launches and copies run in the order of one stream.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Arc<Kernels>,
    /// While a graph is recorded: the regions of what was launched.
    recorded: Mutex<Option<Vec<Region>>>,
}

impl Device {
    /// Takes device `number` of those that `found` lists, opens the libraries that are there, and loads every kernel
    /// unless another stream of it has.
    pub fn new(found: &Cuda, number: usize) -> Result<Self> {
        let Some(name) = found.devices.get(number) else {
            bail!("--device cuda:{number}: there are {} GPUs, numbered from 0", found.devices.len())
        };
        if let Ok(libraries) = &found.libraries {
            open(libraries)?;
        }
        let cannot = |what: &str| format!("cuda:{number} ({name}): cannot {what}");
        let context = CudaContext::new(number).with_context(|| cannot("be opened"))?;
        // SAFETY: everything runs in the order of the one stream made next; slices need no events of their own.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().with_context(|| cannot("make a stream"))?;
        let kernels = Kernels::of(&context).with_context(|| format!("cuda:{number} ({name})"))?;
        Ok(Self { context, stream, kernels, recorded: Mutex::default() })
    }

    /// The stream that everything runs in.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// One allocation, to be handed out in parts.
    ///
    /// # Errors
    /// Where the memory is not there: says how much was wanted and how much is free.
    pub fn arena(&self, bytes: usize) -> Result<Arena> {
        Arena::new(&self.stream, bytes).map_err(|error| match self.free_memory() {
            Ok(free) => error.context(format!("out of GPU memory: {bytes} bytes wanted, {free} free")),
            Err(_) => error.context(format!("out of GPU memory: {bytes} bytes wanted")),
        })
    }

    /// Bytes that nobody has taken. Waits for the stream: what was freed in its order, the driver gives back when
    /// somebody waits, and counts as taken until then.
    pub fn free_memory(&self) -> Result<usize> {
        self.synchronize()?;
        Ok(mem_get_info()?.0)
    }

    /// Bytes a second that its memory reads and writes at best, where the driver says how wide and fast it is.
    pub fn memory_bandwidth(&self) -> Option<f32> {
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH as BITS, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE as KILOHERTZ,
        };
        let [bits, kilohertz] = [BITS, KILOHERTZ].map(|what| self.context.attribute(what).ok().filter(|&own| own > 0));
        // Two bits a line and tick.
        Some(2.0 * kilohertz? as f32 * 1e3 * bits? as f32 / 8.0)
    }

    /// Copies bytes into a region, in the stream's order; they may be dropped afterwards.
    pub fn write(&self, region: &Region, bytes: &[u8]) -> Result<()> {
        let region = region.part(0, bytes.len())?;
        self.context.bind_to_thread()?;
        // SAFETY: the region has as many bytes and lives until the copy has run, for which this waits.
        unsafe { memcpy_htod_async(region.address(), bytes, self.stream.cu_stream()) }
            .context("cannot copy to the GPU")?;
        self.synchronize()
    }

    /// Copies a region's bytes out, after everything launched so far.
    pub fn read(&self, region: &Region) -> Result<Vec<u8>> {
        let mut bytes = vec![0; region.bytes()];
        self.read_into(region, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies a region's first bytes out, as many as there is room for, after everything launched so far.
    pub fn read_into(&self, region: &Region, bytes: &mut [u8]) -> Result<()> {
        let region = region.part(0, bytes.len())?;
        self.context.bind_to_thread()?;
        // SAFETY: there is a byte for each of the region's, and both live until the copy has run, for which this waits.
        unsafe { memcpy_dtoh_async(bytes, region.address(), self.stream.cu_stream()) }
            .context("cannot copy from the GPU")?;
        self.synchronize()
    }

    /// Copies a region into the start of another, in the stream's order, and returns before that has run.
    pub fn copy(&self, from: &Region, to: &Region) -> Result<()> {
        let to = to.part(0, from.bytes())?;
        self.context.bind_to_thread()?;
        // SAFETY: both regions have as many bytes; whoever frees one does so in the stream's order.
        unsafe { memcpy_dtod_async(to.address(), from.address(), from.bytes(), self.stream.cu_stream()) }
            .context("cannot copy on the GPU")?;
        self.touch(&[from.clone(), to]);
        Ok(())
    }

    /// Puts a launch into the stream, and returns before it has run.
    ///
    /// # Errors
    /// Names the op and its shape. An error of an earlier launch may show here.
    pub fn launch(&self, launch: &Launch) -> Result<()> {
        let function = self.kernels.named(launch.kernel())?;
        let mut arguments: Vec<Raw> = launch.arguments().iter().map(|&argument| Raw::from(argument)).collect();
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(|raw| (&raw mut *raw).cast()).collect();
        let [x, y, z] = launch.grid();
        self.context.bind_to_thread()?;
        // SAFETY: the stream's context is this thread's; there is a pointer for each parameter of the kernel, and each
        // points to at least as many bytes as the parameter has (the host tests hold the signatures); the launch's
        // builder has checked that what the kernel touches lies within regions, which the launch keeps alive.
        let result = unsafe {
            launch_kernel(
                function.cu_function(),
                (x, y, z),
                (BLOCK as u32, 1, 1),
                0,
                self.stream.cu_stream(),
                &mut pointers,
            )
        };
        self.touch(launch.regions());
        result.map_err(|error| explain(error, launch))
    }

    /// Says that something put into the stream works on these regions, so that a graph being recorded keeps them.
    /// Launches say so themselves.
    pub fn touch(&self, regions: &[Region]) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorded) = recorded.as_mut() {
            recorded.extend_from_slice(regions);
        }
    }

    /// From here on, regions are kept.
    pub(super) fn keep_regions(&self) {
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// Those kept since.
    pub(super) fn kept_regions(&self) -> Vec<Region> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Waits until everything launched so far has run.
    pub fn synchronize(&self) -> Result<()> {
        self.stream.synchronize().context("the GPU failed; the op that it failed in was launched before this")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // What was freed in its stream's order counts as taken until somebody waits, and nobody could any more. An error
        // here is the device's, which others learn of too.
        let _ = self.synchronize();
    }
}

/// An argument as the driver reads it: the first 4 or 8 bytes.
#[repr(C)]
union Raw {
    address: u64,
    int: i32,
    float: f32,
}

impl From<Argument> for Raw {
    fn from(argument: Argument) -> Self {
        match argument {
            Argument::Address(address) => Self { address },
            Argument::Int(int) => Self { int },
            Argument::Float(float) => Self { float },
        }
    }
}

fn explain(error: DriverError, launch: &Launch) -> anyhow::Error {
    let lost = [sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, sys::CUresult::CUDA_ERROR_LAUNCH_FAILED];
    let hint = if lost.contains(&error.0) { " (an earlier op may be to blame)" } else { "" };
    anyhow::Error::new(error).context(format!("the GPU refuses {launch}{hint}"))
}
