//! A device as work that needs nothing else of it sees it: memory, copies and launches in the order of one stream. A GPU
//! is one; the tests bring another, which is the processor.

use std::ffi::c_void;

use anyhow::Result;

use super::launch::{Launch, Region};

/// What runs launches.
pub trait Machine: Send + Sync {
    /// Memory of so many bytes, not initialised.
    ///
    /// # Errors
    /// Where it is not there.
    fn allocate(&self, bytes: usize) -> Result<Region>;

    /// Copies bytes into a region, in the stream's order; they may be dropped afterwards.
    ///
    /// # Errors
    /// What the device says.
    fn write(&self, region: &Region, bytes: &[u8]) -> Result<()>;

    /// Copies a region's first bytes out, as many as there is room for, after everything launched so far.
    ///
    /// # Errors
    /// What the device says, of an earlier launch too.
    fn read(&self, region: &Region, bytes: &mut [u8]) -> Result<()>;

    /// Puts a launch into the stream, and returns before it has run.
    ///
    /// # Errors
    /// Names the op and its shape.
    fn launch(&self, launch: &Launch) -> Result<()>;

    /// Waits until everything launched so far has run.
    ///
    /// # Errors
    /// What the device says of it.
    fn synchronize(&self) -> Result<()>;

    /// Makes the device that of this thread, for a library of NVIDIA's, and says in which stream it is to work.
    ///
    /// # Errors
    /// What the device says.
    fn enter(&self) -> Result<*mut c_void>;
}

/// Not yet run on a GPU.
#[cfg(feature = "cuda")]
impl Machine for super::Device {
    fn allocate(&self, bytes: usize) -> Result<Region> {
        self.arena(bytes)?.take(bytes)
    }

    fn write(&self, region: &Region, bytes: &[u8]) -> Result<()> {
        self.write(region, bytes)
    }

    fn read(&self, region: &Region, bytes: &mut [u8]) -> Result<()> {
        self.read_into(region, bytes)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        self.launch(launch)
    }

    fn synchronize(&self) -> Result<()> {
        self.synchronize()
    }

    fn enter(&self) -> Result<*mut c_void> {
        self.stream().context().bind_to_thread()?;
        Ok(self.stream().cu_stream().cast())
    }
}
