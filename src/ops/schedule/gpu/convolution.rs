//! A step's convolution by cuDNN: chosen by timing on the very memory that it will work on. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::sys::CUevent_flags;

use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::{
    Bound, ExecutionPlan, Graph, Library, PlanCache, PlanOptions, Planner, Role, StatusError, Target, Timing,
};

/// Runs before the clock starts, and on it.
const WARM_UP: usize = 2;
const TIMED: usize = 5;

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
        let options = PlanOptions { element, ..PlanOptions::default() };
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
        let mut addresses = Vec::new();
        for (role, bytes) in graph.roles() {
            let region = tensors.region(role, bytes)?;
            ensure!(bytes <= region.bytes(), "{role:?} of {bytes} bytes in a region of {}", region.bytes());
            addresses.push((role, region.address()));
            regions.push(region.clone());
        }
        Ok(BoundConvolution { bound: plan.bind(&addresses, self.workspace.address())?, regions })
    }

    /// Milliseconds of a run.
    ///
    /// # Errors
    /// Where the tensors are not what the plan needs, or the device is lost: a kernel that went astray takes everything
    /// with it that was to run after it. What cuDNN alone says against a run refuses the plan.
    pub fn time(&self, device: &Device, plan: &ExecutionPlan, graph: &Graph, tensors: &dyn Operands) -> Result<Timing> {
        self.milliseconds(device, plan, graph, tensors).map(Timing::Milliseconds).or_else(|error| {
            // An error of the context's stays with it, and shows here again, whoever reported it first.
            device.synchronize().with_context(|| format!("{error:#}"))?;
            if error.is::<StatusError>() { Ok(Timing::Refused(error)) } else { Err(error) }
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
        let stream = device.stream();
        for _ in 0..WARM_UP {
            bound.run(device)?;
        }
        let start = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
        for _ in 0..TIMED {
            bound.run(device)?;
        }
        let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
        Ok(start.elapsed_ms(&end)? / TIMED as f32)
    }
}

impl BoundConvolution {
    /// Puts it into the device's stream, or into the graph that is being recorded.
    pub fn run(&self, device: &Device) -> Result<()> {
        device.touch(&self.regions);
        // SAFETY: `bind` has held every tensor's size against its region's. The regions live as long as the plan, a
        // graph that recorded it keeps them too, and their memory is freed in the stream's order.
        unsafe { self.bound.run() }
    }
}
