//! Device memory: one allocation, handed out in parts. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result};
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::launch::Region;

/// Parts start at a multiple of it: a line of the caches, and what cuDNN asks for.
const PART_ALIGNMENT: usize = 256;

/// Memory of one stream. It goes back when the arena and all its regions are gone.
pub struct Arena {
    whole: Region,
    used: usize,
}

impl Arena {
    pub(super) fn new(stream: &Arc<CudaStream>, bytes: usize) -> Result<Self> {
        // SAFETY: u8 has no values that memory could not hold, and nothing reads it on the host.
        let slice: CudaSlice<u8> = unsafe { stream.alloc(bytes.max(1)) }?;
        let (address, _) = slice.device_ptr(stream);
        // SAFETY: the slice owns as many bytes at its address, is moved into the region's owner, and is used by no one
        // but the stream that it was made in, in whose order it is also freed.
        let whole = unsafe { Region::new(address, bytes, Arc::new(slice)) };
        Ok(Self { whole, used: 0 })
    }

    /// The next `bytes`, not initialised.
    ///
    /// # Errors
    /// Where the arena was made too small.
    pub fn take(&mut self, bytes: usize) -> Result<Region> {
        let region = self.whole.part(self.used, bytes);
        let region = region.with_context(|| format!("the arena has {} bytes left", self.whole.bytes() - self.used))?;
        self.used = (self.used + bytes).next_multiple_of(PART_ALIGNMENT).min(self.whole.bytes());
        Ok(region)
    }

    /// Makes all of it free to be taken again: for the next batch, which overwrites in the stream's order.
    pub fn reset(&mut self) {
        self.used = 0;
    }

    /// Bytes that a part of so many takes up.
    pub fn footprint(bytes: usize) -> usize {
        bytes.next_multiple_of(PART_ALIGNMENT)
    }
}
