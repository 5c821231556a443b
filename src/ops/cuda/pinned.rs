//! Bytes on their way to the GPU in the order of its one stream, from pinned memory that grows as it is needed. Not yet
//! run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result};
use cudarc::driver::result::memcpy_htod_async;
use cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice};

use super::device::Device;
use super::launch::Region;
use super::machine::Outbox;

/// Copies that are on their way at a time; one more waits for the oldest.
const SLOTS: usize = 3;

/// A ring of pinned buffers.
pub struct PinnedOutbox {
    stream: Arc<CudaStream>,
    slots: Vec<Slot>,
    next: usize,
}

struct Slot {
    host: Option<PinnedHostSlice<u8>>,
    /// The copy out of it has run.
    copied: CudaEvent,
}

impl PinnedOutbox {
    pub fn new(device: &Device) -> Result<Self> {
        let stream = device.stream().clone();
        let slot = |_| -> Result<Slot> { Ok(Slot { host: None, copied: stream.context().new_event(None)? }) };
        let slots = (0..SLOTS).map(slot).collect::<Result<_>>()?;
        Ok(Self { stream, slots, next: 0 })
    }
}

impl Outbox for PinnedOutbox {
    fn send(&mut self, region: &Region, bytes: &[u8]) -> Result<()> {
        let region = region.part(0, bytes.len())?;
        let at = self.next;
        self.next = (at + 1) % self.slots.len();
        let Slot { host, copied } = &mut self.slots[at];
        copied.synchronize()?;
        let mut room = host.take();
        if room.as_ref().is_none_or(|room| room.len() < bytes.len()) {
            // The smaller one goes first.
            drop(room);
            let size = bytes.len().next_power_of_two();
            // SAFETY: u8 has no values that memory could not hold.
            let pinned = unsafe { self.stream.context().alloc_pinned_with_flags::<u8>(size, 0) };
            room = Some(pinned.with_context(|| format!("cannot pin {size} bytes of host memory"))?);
        }
        let filled = &mut host.insert(room.context("no room was pinned")?).as_mut_slice()?[..bytes.len()];
        filled.copy_from_slice(bytes);
        // SAFETY: both have as many bytes; the host's are neither written nor freed before `copied`, and the region is
        // freed in the order of this very stream.
        unsafe { memcpy_htod_async(region.address(), filled, self.stream.cu_stream()) }
            .context("cannot copy to the GPU")?;
        copied.record(&self.stream)?;
        Ok(())
    }
}

impl Drop for PinnedOutbox {
    fn drop(&mut self) {
        for Slot { copied, .. } in &self.slots {
            // An error here is the device's, and shows with whatever is launched next.
            let _ = copied.synchronize();
        }
    }
}
