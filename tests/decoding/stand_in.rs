//! The stand-in for nvJPEG, built, and the processor as a device.

use std::ffi::{c_int, c_void};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tresnet::ops::cuda::{Event, Launch, Machine, Outbox, Region};
use tresnet::ops::nvjpeg::{Decoder, Library};
use tresnet::ops::squares::Squares;

use crate::behaviour::{Behaviour, build, teach};
use crate::host;

/// A built stand-in, with counters of its own.
pub struct StandIn {
    counters: libloading::Library,
    pub path: PathBuf,
    _folder: TempDir,
}

impl StandIn {
    pub fn new(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = build(folder.path(), 13, &[]);
        Self { counters: teach(&path, behaviour), path, _folder: folder }
    }

    pub fn squares(&self) -> Squares {
        let library = Library::open(&self.path).unwrap();
        Squares::new(Arc::new(Processor), Decoder::new(&library, &Processor, 2).unwrap()).unwrap()
    }

    /// One of stand-in.c's counters.
    pub fn count(&self, name: &str) -> usize {
        // SAFETY: the symbol is an int, which nothing writes meanwhile.
        let count = unsafe { **self.counters.get::<*const c_int>(name.as_bytes()).unwrap() };
        usize::try_from(count).unwrap()
    }
}

/// The processor as a device: its memory, and the kernels that the shim runs, each thing at once.
pub struct Processor;

/// When an event was marked.
type Passed = Mutex<Option<Instant>>;

impl Outbox for Processor {
    fn send(&mut self, region: &Region, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(region, bytes)
    }
}

impl Machine for Processor {
    fn allocate(&self, bytes: usize) -> anyhow::Result<Region> {
        Ok(host::allocate(bytes))
    }

    fn write(&self, region: &Region, bytes: &[u8]) -> anyhow::Result<()> {
        host::write(region, bytes);
        Ok(())
    }

    fn outbox(&self) -> anyhow::Result<Box<dyn Outbox>> {
        Ok(Box::new(Self))
    }

    fn copy(&self, from: &Region, to: &Region) -> anyhow::Result<()> {
        host::write(&to.part(0, from.bytes())?, &host::read(from));
        Ok(())
    }

    fn read(&self, region: &Region, bytes: &mut [u8]) -> anyhow::Result<()> {
        bytes.copy_from_slice(&host::read(&region.part(0, bytes.len())?));
        Ok(())
    }

    fn synchronize(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn event(&self) -> anyhow::Result<Event> {
        Ok(Event::new(Passed::default()))
    }

    fn mark(&self, event: &Event) -> anyhow::Result<()> {
        *event.own::<Passed>()?.lock().unwrap() = Some(Instant::now());
        Ok(())
    }

    fn follow(&self, _: &Event) -> anyhow::Result<()> {
        Ok(())
    }

    fn reach(&self, _: &Event) -> anyhow::Result<()> {
        Ok(())
    }

    fn elapsed(&self, from: &Event, to: &Event) -> anyhow::Result<Duration> {
        let [from, to] = [from, to].map(|event| event.own::<Passed>().unwrap().lock().unwrap().unwrap());
        Ok(to - from)
    }

    fn launch(&self, launch: &Launch) -> anyhow::Result<()> {
        host::launch(launch, false);
        Ok(())
    }

    fn enter(&self) -> anyhow::Result<*mut c_void> {
        Ok(std::ptr::null_mut())
    }
}
