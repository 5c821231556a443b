//! What plans are made for: the device at hand, or one that is described and absent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use cudarc::driver::CudaStream;

use super::attribute::{
    Attribute, DEVICE_JSON, DescriptorValue, ENGINE_DEVICE, GRAPH_HANDLE, HEURISTIC_DEVICE, HandleValue, Kind,
    PLAN_DEVICE, PLAN_HANDLE,
};
use super::descriptor::Descriptor;
use super::library::{Library, Raw};

/// A device to plan for, through an open cuDNN. Clones share its handle.
#[derive(Clone)]
pub struct Target {
    library: Arc<Library>,
    device: Device,
    name: Arc<str>,
}

#[derive(Clone)]
enum Device {
    AtHand(Arc<Handle>),
    Described(Arc<Description>),
}

/// A device by its properties.
struct Description {
    /// `DeviceProperties`
    descriptor: Arc<Descriptor>,
    json: String,
}

/// cuDNN's state for one stream.
pub(super) struct Handle {
    raw: Raw,
    library: Arc<Library>,
    /// The work goes there, and its context outlives the handle.
    stream: Arc<CudaStream>,
    /// Held by the thread that builds or runs with the handle.
    in_use: Mutex<()>,
}

// SAFETY: a handle may go from thread to thread, which the context is bound to before each use, and is used by one at a
// time, which `in_use` sees to.
unsafe impl Send for Handle {}
unsafe impl Sync for Handle {}

impl Target {
    /// The device of a stream, on which plans will run. Not yet run on a GPU.
    ///
    /// # Errors
    /// What cuDNN or the driver says.
    pub fn device(library: &Arc<Library>, stream: &Arc<CudaStream>) -> Result<Self> {
        let context = stream.context();
        let (major, minor) = context.compute_capability()?;
        let name = format!("{} sm_{major}{minor}", context.name()?).into();
        let handle = Arc::new(Handle::new(library, stream)?);
        Ok(Self { library: Arc::clone(library), device: Device::AtHand(handle), name })
    }

    /// A device that is known by its properties alone (cuDNN's "deviceless" mode): plans are built and checked, and
    /// cannot run. `json` is what cuDNN gives as a device's properties.
    ///
    /// # Errors
    /// Where cuDNN does not take the description.
    pub fn described(library: &Arc<Library>, json: &str) -> Result<Self> {
        let properties: serde_json::Value =
            serde_json::from_str(json).context("the device's properties are no JSON")?;
        let name = properties["deviceName"].as_str().context("the device's properties have no deviceName")?;
        let name = format!("{name} by description").into();
        let device = Device::Described(Arc::new(Description::new(library, json)?));
        Ok(Self { library: Arc::clone(library), device, name })
    }

    /// The same device through a handle of its own, on the same stream, for another thread to build with. cuDNN's
    /// documentation does not say whether a plan runs on another handle than it was built with, and so each plan keeps
    /// its own; all of them queue on the one stream.
    ///
    /// # Errors
    /// What cuDNN or the driver says.
    pub(super) fn another(&self) -> Result<Self> {
        let device = match &self.device {
            Device::AtHand(handle) => Device::AtHand(Arc::new(Handle::new(&self.library, &handle.stream)?)),
            Device::Described(own) => Device::Described(Arc::new(Description::new(&self.library, &own.json)?)),
        };
        Ok(Self { device, ..self.clone() })
    }

    /// Makes this thread the only one that uses the handle, and the device's context the thread's.
    pub(super) fn enter(&self) -> Option<MutexGuard<'_, ()>> {
        let handle = self.handle()?;
        // What cannot be bound is gone, which cuDNN then says of each plan.
        let _ = handle.stream.context().bind_to_thread();
        Some(handle.in_use.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// The device as caches and reports name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream that plans run on, where the device is at hand.
    pub fn stream(&self) -> Option<&Arc<CudaStream>> {
        self.handle().map(|handle| &handle.stream)
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        match &self.device {
            Device::AtHand(handle) => Some(handle.as_ref()),
            Device::Described(_) => None,
        }
    }

    pub(super) fn mark_graph(&self, graph: &mut Descriptor) -> Result<()> {
        self.mark(graph, Some(GRAPH_HANDLE), None)
    }

    pub(super) fn mark_heuristic(&self, heuristic: &mut Descriptor) -> Result<()> {
        self.mark(heuristic, None, Some(HEURISTIC_DEVICE))
    }

    pub(super) fn mark_engine(&self, engine: &mut Descriptor) -> Result<()> {
        self.mark(engine, None, Some(ENGINE_DEVICE))
    }

    pub(super) fn mark_plan(&self, plan: &mut Descriptor) -> Result<()> {
        self.mark(plan, Some(PLAN_HANDLE), Some(PLAN_DEVICE))
    }

    /// Says for which device a descriptor is: by the handle where there is one, else by the properties.
    fn mark(
        &self,
        descriptor: &mut Descriptor,
        handle: Option<Attribute<HandleValue>>,
        properties: Option<Attribute<DescriptorValue>>,
    ) -> Result<()> {
        match (&self.device, handle, properties) {
            (Device::AtHand(own), Some(attribute), _) => descriptor.set(attribute, &[HandleValue(own.raw)])?,
            (Device::Described(own), _, Some(attribute)) => descriptor.refer(attribute, &[&own.descriptor])?,
            _ => descriptor,
        };
        Ok(())
    }
}

impl Description {
    fn new(library: &Arc<Library>, json: &str) -> Result<Self> {
        let mut descriptor = Descriptor::new(library, Kind::DeviceProperties)?;
        descriptor.set(DEVICE_JSON, json.as_bytes())?;
        Ok(Self { descriptor: descriptor.finalize()?, json: json.to_owned() })
    }
}

impl Handle {
    fn new(library: &Arc<Library>, stream: &Arc<CudaStream>) -> Result<Self> {
        stream.context().bind_to_thread()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is a place for the new handle, and a context is current.
        let status = unsafe { (library.functions.create)(&mut raw) };
        library.check(status, || "open a handle".into())?;
        let handle = Self { raw, library: Arc::clone(library), stream: Arc::clone(stream), in_use: Mutex::default() };
        // SAFETY: both are alive, and the stream stays so as long as the handle.
        let status = unsafe { (library.functions.set_stream)(raw, stream.cu_stream().cast()) };
        library.check(status, || "take a stream".into())?;
        Ok(handle)
    }

    /// Runs a plan with its variant pack on the stream.
    ///
    /// # Safety
    /// The pack's addresses are allocations of the handle's device, large enough for the plan's tensors, and stay so
    /// until the stream has passed the work.
    pub unsafe fn execute(&self, plan: &Descriptor, pack: &Descriptor) -> Result<()> {
        let _alone = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread()?;
        // SAFETY: all three are alive; the rest is the caller's promise.
        let status = unsafe { (self.library.functions.execute)(self.raw, plan.raw(), pack.raw()) };
        self.library.check(status, || "run a plan".into())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A context that is gone took the handle with it.
        if self.stream.context().bind_to_thread().is_ok() {
            // SAFETY: created by this library and destroyed once.
            let _ = unsafe { (self.library.functions.destroy)(self.raw) };
        }
    }
}
