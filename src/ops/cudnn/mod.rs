//! Convolutions through cuDNN's backend (graph) API: maps and weights in f16, bf16 or f32, channels last, sums in f32.
//!
//! A [`Graph`] is data: tensors, and operations that one kernel is to compute. [`Planner`] asks cuDNN for engines that
//! can, builds plans over all cores, times them where a device is at hand, and keeps the choice on disk. A plan's
//! [`Bound`] form runs.
//! Without a device all but running works: [`Target::described`] plans for a GPU known by its properties, and so
//! `scripts/check-cudnn-plans.sh` builds every convolution of every network on a machine that has none.

mod attribute;
mod cache;
mod candidates;
mod choice;
mod convolution;
mod descriptor;
mod engine;
mod graph;
mod library;
mod lower;
mod options;
mod plan;
mod planner;
mod target;
mod workers;

pub use attribute::{BehaviorNote, DataType, NumericalNote, PointwiseMode};
pub use cache::{Entry, PlanCache};
pub use candidates::Built;
pub use choice::{NoKernel, Timing, Verification};
pub use convolution::graphs;
pub use engine::{Engine, EngineChoice, Filter};
pub use graph::{Graph, Operation, Role, Tensor, TensorId};
pub use library::{Library, StatusError};
pub use options::PlanOptions;
pub use plan::{Bound, ExecutionPlan};
pub use planner::{ConvPlan, Planner, Refusal};
pub use target::Target;
