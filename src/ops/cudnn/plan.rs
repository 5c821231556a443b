//! An execution plan: an engine made ready for a graph, compiled where it has to be.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::attribute::*;
use super::descriptor::Descriptor;
use super::engine::Engine;
use super::graph::Role;
use super::target::Target;

/// A plan that can run as often as wanted.
pub struct ExecutionPlan {
    descriptor: Arc<Descriptor>,
    workspace: usize,
    /// What it was built with, and runs on; dropped after the descriptor.
    target: Target,
}

/// A plan's tensors and workspace at their addresses; kept as long as those stay, and as long as any graph that recorded
/// it: with the last of them goes the plan, and with it the kernel.
pub struct Bound {
    plan: Arc<Descriptor>,
    pack: Arc<Descriptor>,
    target: Target,
}

impl ExecutionPlan {
    pub(super) fn new(target: &Target, engine: &Engine) -> Result<Self> {
        let mut plan = Descriptor::new(target.library(), Kind::Plan)?;
        plan.refer(PLAN_CONFIG, &[&engine.config])?;
        target.mark_plan(&mut plan)?;
        Self::from_descriptor(target, plan.finalize()?)
    }

    /// A plan out of what [`Self::to_json`] gave: what it had compiled is not compiled again.
    ///
    /// # Errors
    /// If another version of cuDNN or another device made it.
    pub(super) fn from_json(target: &Target, json: &str) -> Result<Self> {
        let mut plan = Descriptor::new(target.library(), Kind::Plan)?;
        target.mark_plan(&mut plan)?;
        plan.set(PLAN_JSON, json.as_bytes())?;
        Self::from_descriptor(target, plan.finalize()?)
    }

    fn from_descriptor(target: &Target, descriptor: Arc<Descriptor>) -> Result<Self> {
        let workspace = *descriptor.get(PLAN_WORKSPACE, 1)?.first().context("cuDNN gave a plan without a workspace")?;
        Ok(Self { descriptor, workspace: usize::try_from(workspace)?, target: target.clone() })
    }

    /// The plan with its compiled kernel: 2 KB where the kernel is cuDNN's own, some 100 KB where it was compiled.
    pub fn to_json(&self) -> Result<String> {
        let bytes = self.descriptor.get(PLAN_JSON, self.descriptor.count(&PLAN_JSON)?)?;
        let text = String::from_utf8(bytes).context("cuDNN's plan is not UTF-8")?;
        Ok(text.trim_end_matches('\0').to_owned())
    }

    /// Bytes of scratch memory that a run takes.
    pub fn workspace(&self) -> usize {
        self.workspace
    }

    /// Ties the plan to device addresses, one a role of its graph.
    pub fn bind(&self, tensors: &[(Role, u64)], workspace: u64) -> Result<Bound> {
        let ids: Vec<i64> = tensors.iter().map(|(role, _)| role.id()).collect();
        let addresses: Vec<DeviceAddress> = tensors.iter().map(|&(_, address)| DeviceAddress(address)).collect();
        let mut pack = Descriptor::new(self.descriptor.library(), Kind::VariantPack)?;
        pack.set(PACK_IDS, &ids)?.set(PACK_ADDRESSES, &addresses)?.set(PACK_WORKSPACE, &[DeviceAddress(workspace)])?;
        Ok(Bound { plan: Arc::clone(&self.descriptor), pack: pack.finalize()?, target: self.target.clone() })
    }
}

impl Bound {
    /// Queues the run on its target's stream, or records it where that stream is being captured. Not yet run on a GPU.
    ///
    /// # Safety
    /// The addresses that the plan was bound to are allocations of the target's device, as large as the graph's
    /// tensors and the plan's workspace, and stay so until the stream has passed the work.
    ///
    /// # Errors
    /// If the target is a described device, or what cuDNN says.
    pub unsafe fn run(&self) -> Result<()> {
        let handle = self.target.handle().context("a plan for a described device cannot run")?;
        // SAFETY: the caller's promise.
        unsafe { handle.execute(&self.plan, &self.pack) }
    }
}
