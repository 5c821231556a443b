//! What plans are made for: the device at hand, or one that is described and absent.

use std::sync::Arc;

use anyhow::{Context, Result};
use cudarc::driver::CudaStream;

use super::attribute::{
    Attribute, DEVICE_JSON, DescriptorValue, ENGINE_DEVICE, GRAPH_HANDLE, HEURISTIC_DEVICE, HandleValue, Kind,
    PLAN_DEVICE, PLAN_HANDLE,
};
use super::descriptor::Descriptor;
use super::library::{Library, Raw};

/// A device to plan for, through an open cuDNN.
pub struct Target {
    library: Arc<Library>,
    device: Device,
    name: String,
}

enum Device {
    AtHand(Handle),
    /// `DeviceProperties`
    Described(Arc<Descriptor>),
}

/// cuDNN's state for one stream.
pub(super) struct Handle {
    raw: Raw,
    library: Arc<Library>,
    /// The work goes there, and its context outlives the handle.
    stream: Arc<CudaStream>,
}

// SAFETY: a handle may go from thread to thread, which the context is bound to before each use; it is not shared.
unsafe impl Send for Handle {}

impl Target {
    /// The device of a stream, on which plans will run. Not yet run on a GPU.
    ///
    /// # Errors
    /// What cuDNN or the driver says.
    pub fn device(library: &Arc<Library>, stream: &Arc<CudaStream>) -> Result<Self> {
        let context = stream.context();
        let (major, minor) = context.compute_capability()?;
        let name = format!("{} sm_{major}{minor}", context.name()?);
        let handle = Handle::new(library, stream)?;
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
        let mut descriptor = Descriptor::new(library, Kind::DeviceProperties)?;
        descriptor.set(DEVICE_JSON, json.as_bytes())?;
        Ok(Self {
            library: Arc::clone(library),
            device: Device::Described(descriptor.finalize()?),
            name: format!("{name} by description"),
        })
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
            Device::AtHand(handle) => Some(handle),
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
            (Device::Described(own), _, Some(attribute)) => descriptor.refer(attribute, &[own])?,
            _ => descriptor,
        };
        Ok(())
    }
}

impl Handle {
    fn new(library: &Arc<Library>, stream: &Arc<CudaStream>) -> Result<Self> {
        stream.context().bind_to_thread()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is a place for the new handle, and a context is current.
        let status = unsafe { (library.functions.create)(&mut raw) };
        library.check(status, || "open a handle".into())?;
        let handle = Self { raw, library: Arc::clone(library), stream: Arc::clone(stream) };
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
