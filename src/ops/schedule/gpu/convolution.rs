//! A step's convolution by cuDNN: chosen by timing on the very memory that it will work on. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::sys::CUevent_flags;

use crate::ops::ConvProblem;
use crate::ops::cuda::{Arena, Device, Element, Region};
use crate::ops::cudnn::{
    Bound, ConvPlan, ExecutionPlan, Graph, Library, PlanCache, PlanOptions, Planner, Role, Target,
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

    /// The plan that ranks first, or the fastest that is known, bound to the tensors: for a shape that is rare.
    pub fn ranked(&self, problem: &ConvProblem, tensors: &dyn Operands) -> Result<(ConvPlan, BoundConvolution)> {
        let planner = Planner { target: &self.target, options: self.options, cache: PlanCache::of_the_user() };
        let plan = planner.plan(problem)?;
        let bound = self.bind(&plan.plan, &plan.graph, tensors)?;
        Ok((plan, bound))
    }

    /// The fastest plan, bound to the tensors.
    pub fn plan(
        &self,
        device: &Device,
        problem: &ConvProblem,
        tensors: &dyn Operands,
    ) -> Result<(ConvPlan, BoundConvolution)> {
        let planner = Planner { target: &self.target, options: self.options, cache: PlanCache::of_the_user() };
        let plan = planner.tune(problem, |plan, graph| self.time(device, plan, graph, tensors))?;
        let bound = self.bind(&plan.plan, &plan.graph, tensors)?;
        Ok((plan, bound))
    }

    /// Puts a plan into the device's stream, or into the graph that is being recorded.
    pub fn run(&self, device: &Device, convolution: &BoundConvolution) -> Result<()> {
        device.touch(&convolution.regions);
        // SAFETY: `bind` has held every tensor's size against its region's. The regions live as long as the plan, a
        // graph that recorded it keeps them too, and their memory is freed in the stream's order.
        unsafe { convolution.bound.run(&self.target) }
    }

    fn bind(&self, plan: &ExecutionPlan, graph: &Graph, tensors: &dyn Operands) -> Result<BoundConvolution> {
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
    fn time(&self, device: &Device, plan: &ExecutionPlan, graph: &Graph, tensors: &dyn Operands) -> Result<f32> {
        let bound = self.bind(plan, graph, tensors)?;
        let stream = self.target.stream().context("there is no device to time on")?;
        for _ in 0..WARM_UP {
            self.run(device, &bound)?;
        }
        let start = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
        for _ in 0..TIMED {
            self.run(device, &bound)?;
        }
        let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
        Ok(start.elapsed_ms(&end)? / TIMED as f32)
    }
}
