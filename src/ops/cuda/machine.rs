//! A device as work that needs nothing else of it sees it: memory, copies and launches in the order of one stream. A GPU
//! is one; the tests bring another, which is the processor.

use std::any::Any;
use std::ffi::c_void;
use std::time::Duration;

use anyhow::{Context, Result};
#[cfg(feature = "cuda")]
use cudarc::driver::{CudaEvent, sys::CUevent_flags};

use super::launch::{Launch, Region};

/// A point in a stream's order, to be marked as often as wanted: the last mark counts, and one that was never marked has
/// passed.
pub struct Event(Box<dyn Any + Send + Sync>);

impl Event {
    /// What a kind of machine knows an event by.
    pub fn new(own: impl Any + Send + Sync) -> Self {
        Self(Box::new(own))
    }

    /// The same again.
    ///
    /// # Errors
    /// An event of another kind of machine.
    pub fn own<T: Any>(&self) -> Result<&T> {
        self.0.downcast_ref().context("an event of another kind of device")
    }
}

/// Bytes on their way to a device in the order of its stream, while the host goes on.
pub trait Outbox: Send {
    /// Has the bytes copied into a region, in the stream's order, and returns before that has run; they may be dropped.
    ///
    /// # Errors
    /// What the device says.
    fn send(&mut self, region: &Region, bytes: &[u8]) -> Result<()>;
}

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

    /// Room for bytes on their way.
    ///
    /// # Errors
    /// What the device says.
    fn outbox(&self) -> Result<Box<dyn Outbox>>;

    /// Copies a region into the start of another, in the stream's order, and returns before that has run.
    ///
    /// # Errors
    /// If it does not fit, and what the device says.
    fn copy(&self, from: &Region, to: &Region) -> Result<()>;

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

    /// An event, not marked.
    ///
    /// # Errors
    /// What the device says.
    fn event(&self) -> Result<Event>;

    /// Marks an event, which passes once everything launched so far has run.
    ///
    /// # Errors
    /// What the device says.
    fn mark(&self, event: &Event) -> Result<()>;

    /// Has everything launched from here on run after an event, which may be another stream's. Nobody waits here.
    ///
    /// # Errors
    /// What the device says.
    fn follow(&self, event: &Event) -> Result<()>;

    /// Waits until an event has passed.
    ///
    /// # Errors
    /// What the device says of what was launched before it.
    fn reach(&self, event: &Event) -> Result<()>;

    /// Time that the device took from one event to another, both of which were marked; waits until they have passed.
    ///
    /// # Errors
    /// What the device says.
    fn elapsed(&self, from: &Event, to: &Event) -> Result<Duration>;

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

    fn outbox(&self) -> Result<Box<dyn Outbox>> {
        Ok(Box::new(super::pinned::PinnedOutbox::new(self)?))
    }

    fn copy(&self, from: &Region, to: &Region) -> Result<()> {
        self.copy(from, to)
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

    fn event(&self) -> Result<Event> {
        // Of those that tell the time.
        let flags = Some(CUevent_flags::CU_EVENT_DEFAULT);
        Ok(Event::new(self.stream().context().new_event(flags).context("cannot make an event")?))
    }

    fn mark(&self, event: &Event) -> Result<()> {
        event.own::<CudaEvent>()?.record(self.stream()).context("the GPU refuses to mark an event")
    }

    fn follow(&self, event: &Event) -> Result<()> {
        self.stream().wait(event.own()?).context("the GPU refuses to await an event")
    }

    fn reach(&self, event: &Event) -> Result<()> {
        event.own::<CudaEvent>()?.synchronize().context("the GPU failed; the op that it failed in was launched before")
    }

    fn elapsed(&self, from: &Event, to: &Event) -> Result<Duration> {
        super::clock::between(from.own()?, to.own()?)
    }

    fn enter(&self) -> Result<*mut c_void> {
        self.stream().context().bind_to_thread()?;
        Ok(self.stream().cu_stream().cast())
    }
}
