//! Results on their way from the GPU while it goes on. Not yet run on a GPU.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use cudarc::driver::result::memcpy_dtoh_async;
use cudarc::driver::{CudaEvent, PinnedHostSlice};

use super::device::Device;
use super::launch::Region;

/// Results that travel at a time; one more waits for the oldest.
const SLOTS: usize = 4;

/// Pinned buffers that results are copied into in the stream's order, and are taken from in the same.
pub struct Download {
    slots: Vec<Slot>,
    /// Slots in the order in which they were filled.
    under_way: VecDeque<usize>,
    /// What had to make room for later results.
    arrived: VecDeque<Vec<u8>>,
}

struct Slot {
    host: PinnedHostSlice<u8>,
    bytes: usize,
    copied: CudaEvent,
}

impl Download {
    /// For results of at most `bytes`.
    pub fn new(device: &Device, bytes: usize) -> Result<Self> {
        let context = device.stream().context();
        let slot = |_| -> Result<Slot> {
            // SAFETY: u8 has no values that memory could not hold. Not write-combined: it is read here.
            let host = unsafe { context.alloc_pinned_with_flags::<u8>(bytes, 0) };
            let host = host.with_context(|| format!("cannot pin {bytes} bytes of host memory"))?;
            Ok(Slot { host, bytes: 0, copied: context.new_event(None)? })
        };
        let slots = (0..SLOTS).map(slot).collect::<Result<_>>()?;
        Ok(Self { slots, under_way: VecDeque::new(), arrived: VecDeque::new() })
    }

    /// Sends a region's bytes on their way, after everything launched so far.
    pub fn send(&mut self, device: &Device, region: &Region) -> Result<()> {
        let free = (0..self.slots.len()).find(|slot| !self.under_way.contains(slot));
        let at = match free {
            Some(at) => at,
            None => {
                let oldest = *self.under_way.front().context("a download without buffers")?;
                let bytes = self.wait(oldest)?;
                self.under_way.pop_front();
                self.arrived.push_back(bytes);
                oldest
            }
        };
        let slot = &mut self.slots[at];
        let host = slot.host.as_mut_slice()?;
        let room = host.len();
        let host = host
            .get_mut(..region.bytes())
            .with_context(|| format!("a result of {} bytes does not fit buffers of {room}", region.bytes()))?;
        device.stream().context().bind_to_thread()?;
        // SAFETY: both have as many bytes; the host's is neither read nor written before `copied`, and is freed after the
        // stream has passed the copy.
        unsafe { memcpy_dtoh_async(host, region.address(), device.stream().cu_stream()) }
            .context("cannot copy from the GPU")?;
        slot.bytes = region.bytes();
        slot.copied.record(device.stream())?;
        self.under_way.push_back(at);
        Ok(())
    }

    /// The earliest result that was not taken yet, as soon as it is there; none where none was sent.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.arrived.pop_front() {
            return Ok(Some(bytes));
        }
        let Some(&oldest) = self.under_way.front() else { return Ok(None) };
        let bytes = self.wait(oldest)?;
        self.under_way.pop_front();
        Ok(Some(bytes))
    }

    fn wait(&self, slot: usize) -> Result<Vec<u8>> {
        let slot = &self.slots[slot];
        slot.copied.synchronize().context("the GPU failed")?;
        Ok(slot.host.as_slice()?[..slot.bytes].to_vec())
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        for &slot in &self.under_way {
            // An error here is the device's, and shows with whatever is launched next.
            let _ = self.slots[slot].copied.synchronize();
        }
    }
}
