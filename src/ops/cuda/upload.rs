//! Batches on their way to the GPU while it computes the ones before. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::result::memcpy_htod_async;
use cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice};

use super::device::Device;
use super::launch::Region;
use super::memory::Arena;

/// Buffers of which one is filled, one travels and one is read.
const SLOTS: usize = 3;

/// A ring of pinned buffers, each with one on the device, and the stream that copies between them.
pub struct Upload {
    copies: Arc<CudaStream>,
    slots: Vec<Slot>,
    next: usize,
}

struct Slot {
    host: PinnedHostSlice<u8>,
    device: Region,
    /// The copy has run: the host's buffer may be filled again.
    copied: CudaEvent,
    /// What reads the device's buffer has run.
    consumed: CudaEvent,
}

impl Upload {
    /// For batches of at most `bytes`.
    pub fn new(device: &Device, bytes: usize) -> Result<Self> {
        let context = device.stream().context();
        let copies = context.new_stream().context("cannot make a stream for uploads")?;
        let slot = |_| -> Result<Slot> {
            // SAFETY: u8 has no values that memory could not hold. Not write-combined, which decoders that read back
            // what they have written would be slow on.
            let host = unsafe { context.alloc_pinned_with_flags::<u8>(bytes, 0) };
            Ok(Slot {
                host: host.with_context(|| format!("cannot pin {bytes} bytes of host memory"))?,
                device: device.arena(bytes)?.take(bytes)?,
                copied: context.new_event(None)?,
                consumed: context.new_event(None)?,
            })
        };
        let slots = (0..SLOTS).map(slot).collect::<Result<_>>()?;
        // Memory is there in the order of the device's stream, and the copies are in another.
        device.synchronize()?;
        Ok(Self { copies, slots, next: 0 })
    }

    /// Bytes on the device that a ring for batches of so many takes.
    pub fn footprint(bytes: usize) -> usize {
        SLOTS * Arena::footprint(bytes)
    }

    /// Has `fill` write the first `bytes` of a pinned buffer, sends them on their way, and has `consume` launch into the
    /// device's stream what reads them there. Waits only for the copy out of the buffer that is filled.
    pub fn send(
        &mut self,
        device: &Device,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<()>,
        consume: impl FnOnce(&Region) -> Result<()>,
    ) -> Result<()> {
        let at = self.next;
        self.next = (at + 1) % self.slots.len();
        let slot = &mut self.slots[at];
        slot.copied.synchronize()?;
        let host = slot.host.as_mut_slice()?;
        ensure!(bytes <= host.len(), "a batch of {bytes} bytes does not fit buffers of {}", host.len());
        let host = &mut host[..bytes];
        fill(host)?;
        self.copies.wait(&slot.consumed)?;
        // SAFETY: both buffers have as many bytes and live as long as this ring, whose end waits for its copies; the host's
        // is not touched before `copied`, and the device's is read between `copied` and `consumed` alone.
        unsafe { memcpy_htod_async(slot.device.address(), host, self.copies.cu_stream()) }?;
        slot.copied.record(&self.copies)?;
        device.stream().wait(&slot.copied)?;
        consume(&slot.device.part(0, bytes)?)?;
        slot.consumed.record(device.stream())?;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // An error here is the device's, and shows with whatever is launched next.
        let _ = self.copies.synchronize();
    }
}
