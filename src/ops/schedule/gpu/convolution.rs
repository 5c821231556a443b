//! A step's convolution by cuDNN: chosen by timing on the very memory that it will work on. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Error, Result, ensure};
use cudarc::driver::{DriverError, sys::CUresult};

use crate::ops::Fusion;
use crate::ops::cuda::{self, Arena, Device, Element, Region};
use crate::ops::cudnn::{
    Bound, ExecutionPlan, Graph, Library, PlanCache, PlanOptions, Planner, Role, StatusError, Target, Timing,
};

/// Runs that are recorded to be timed together.
const TIMED: usize = 5;

/// The part of the memory's bandwidth that kernels reach: a copy on an H200 has 4.3 TB/s of 4.8.
const REACHED: f32 = 0.9;

/// cuDNN on the device's stream, with its workspace.
pub struct Convolutions {
    target: Target,
    workspace: Region,
    options: PlanOptions,
}

/// A plan with the memory that it works on.
pub struct BoundConvolution {
    bound: Bound,
    regions: Vec<Region>,
    /// Bytes of its tensors.
    bytes: usize,
    /// Where it has been chosen cuDNN's number of the engine, and how much of its problem it does.
    chosen: Option<(i64, Fusion)>,
}

/// Where a convolution's tensors are.
pub trait Operands {
    /// The tensor of a role, of so many bytes.
    ///
    /// # Errors
    /// Where there is none.
    fn region(&self, role: Role, bytes: usize) -> Result<&Region>;
}

/// The tensors of a forward pass.
pub struct Tensors {
    pub x: Region,
    pub w: Region,
    pub bias: Region,
    /// As maps are: what cuDNN's precompiled kernels want.
    pub rounded_bias: Region,
    pub residual: Option<Region>,
    pub y: Region,
}

impl Operands for Tensors {
    fn region(&self, role: Role, bytes: usize) -> Result<&Region> {
        Ok(match role {
            Role::X => &self.x,
            Role::W => &self.w,
            Role::Y => &self.y,
            Role::Add => self.residual.as_ref().context("a plan adds what the step does not have")?,
            Role::Bias if bytes == self.rounded_bias.bytes() => &self.rounded_bias,
            Role::Bias => &self.bias,
            other => anyhow::bail!("a forward pass has no {other:?}"),
        })
    }
}

impl Convolutions {
    /// Bytes on the device that they take.
    pub fn footprint() -> usize {
        Arena::footprint(PlanOptions::default().workspace)
    }

    /// Takes the workspace that plans may ask for, which work on maps of `element`.
    pub fn new(device: &Device, library: &Arc<Library>, element: Element) -> Result<Self> {
        let mut options = PlanOptions { element, ..PlanOptions::default() };
        if let Some(best) = device.memory_bandwidth() {
            options.bandwidth = REACHED * best;
        }
        let workspace = device.arena(options.workspace)?.take(options.workspace)?;
        Ok(Self { target: Target::device(library, device.stream())?, workspace, options })
    }

    /// Leaves out engines whose sums have no one order.
    pub fn deterministic(mut self, on: bool) -> Self {
        self.options.filter.deterministic = on;
        self
    }

    /// What maps are made of.
    pub(super) fn element(&self) -> Element {
        self.options.element
    }

    /// What makes plans, kept in the user's cache.
    pub fn planner(&self) -> Planner<'_> {
        Planner { target: &self.target, options: self.options, cache: PlanCache::of_the_user() }
    }

    /// Ties a plan to the tensors of its graph.
    ///
    /// # Errors
    /// Where one is missing or too small.
    pub(super) fn bind(&self, plan: &ExecutionPlan, graph: &Graph, tensors: &dyn Operands) -> Result<BoundConvolution> {
        ensure!(plan.workspace() <= self.workspace.bytes(), "a plan of {} bytes of workspace", plan.workspace());
        let mut regions = vec![self.workspace.clone()];
        let (mut addresses, mut all_bytes) = (Vec::new(), 0);
        for (role, bytes) in graph.roles() {
            let region = tensors.region(role, bytes)?;
            ensure!(bytes <= region.bytes(), "{role:?} of {bytes} bytes in a region of {}", region.bytes());
            addresses.push((role, region.address()));
            regions.push(region.clone());
            all_bytes += bytes;
        }
        Ok(BoundConvolution {
            bound: plan.bind(&addresses, self.workspace.address())?,
            regions,
            bytes: all_bytes,
            chosen: None,
        })
    }

    /// Milliseconds of a run.
    ///
    /// # Errors
    /// Where the tensors are not what the plan needs, or the device is lost: a kernel that went astray takes everything
    /// with it that was to run after it. What cuDNN alone says against a run, or that it cannot be recorded, refuses
    /// the plan.
    pub fn time(&self, device: &Device, plan: &ExecutionPlan, graph: &Graph, tensors: &dyn Operands) -> Result<Timing> {
        self.milliseconds(device, plan, graph, tensors).map(Timing::Milliseconds).or_else(|error| {
            // An error of the context's stays with it, and shows here again, whoever reported it first.
            device.synchronize().with_context(|| format!("{error:#}"))?;
            if is_the_plans(&error) { Ok(Timing::Refused(error)) } else { Err(error) }
        })
    }

    fn milliseconds(
        &self,
        device: &Device,
        plan: &ExecutionPlan,
        graph: &Graph,
        tensors: &dyn Operands,
    ) -> Result<f32> {
        let bound = self.bind(plan, graph, tensors)?;
        // Kernels are loaded when they first run, which a recording would not allow.
        bound.run(device)?;
        // As it will run: one by one the host would take longer to submit small ones than the device to run them.
        let mut recorded = cuda::Graph::record(device, || (0..TIMED).try_for_each(|_| bound.run(device)))?;
        // The first launch keeps the device busy until the second one is there.
        recorded.launch()?;
        let start = device.moment()?;
        recorded.launch()?;
        let elapsed = start.until(&device.moment()?)?;
        Ok(elapsed.as_secs_f32() * 1e3 / TIMED as f32)
    }
}

/// Whether an error says something against a plan and nothing against the device.
fn is_the_plans(error: &Error) -> bool {
    use CUresult::{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED};
    let cannot_be_recorded = [CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED];
    let said = error.downcast_ref::<DriverError>();
    error.is::<StatusError>() || said.is_some_and(|said| cannot_be_recorded.contains(&said.0))
}

impl BoundConvolution {
    /// Says which engine it is, and how much of its problem it does.
    pub(super) fn on_engine(self, engine: i64, fusion: Fusion) -> Self {
        Self { chosen: Some((engine, fusion)), ..self }
    }

    /// The engine as profiles name it.
    pub(super) fn engine(&self) -> String {
        self.chosen.map_or_else(|| "cuDNN".to_owned(), |(engine, _)| format!("cuDNN's engine {engine}"))
    }

    /// How much of its problem it does: the product at least.
    pub(super) fn fusion(&self) -> Fusion {
        self.chosen.map_or(Fusion::Bare, |(_, fusion)| fusion)
    }

    /// Bytes of the tensors that it reads and writes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts it into the device's stream, or into the graph that is being recorded.
    pub fn run(&self, device: &Device) -> Result<()> {
        device.touch(&self.regions);
        // SAFETY: `bind` has held every tensor's size against its region's. The regions live as long as the plan, a
        // graph that recorded it keeps them too, and their memory is freed in the stream's order.
        unsafe { self.bound.run() }
    }
}
