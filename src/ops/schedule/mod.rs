//! A network's forward pass on a device, laid out beforehand: which op runs on which part of one arena, in order.
//!
//! A schedule is data. It holds no weights and no memory, so whether two live values ever share a byte, and whether the
//! steps give the network's logits, is tested without a GPU: the tests run the very launches on the host.

mod arena;
#[cfg(feature = "cuda")]
pub(super) mod gpu;
mod launches;
mod room;
mod runner;
mod step;
mod verdicts;

pub use arena::{Request, place};
pub use launches::Memory;
pub use room::{convolution_workspace, free_device_memory, is_out_of_device_memory};
pub use runner::{Constant, Loaded, Parameters, Run, load};
pub use step::{Constants, GateScratch, Slot, Step};
pub use verdicts::Verdicts;

use super::Shape;
use super::cuda::Element;

/// A forward pass for one shape of batch.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What maps and convolutions' weights are made of.
    pub element: Element,
    /// Of the images as bytes.
    pub image: Shape,
    pub steps: Vec<Step>,
    pub arena_bytes: usize,
    /// The result, f32 `[batch, output_width]`, of which the first `output_channels` columns are the network's.
    pub output: Slot,
    pub output_width: usize,
    pub output_channels: usize,
}

impl Schedule {
    /// The first thing that would make a step read what another has written over, or write over what it reads; `None`
    /// in a sound schedule. Every step, the output's included, reads what an earlier step wrote to that very slot.
    pub fn conflict(&self) -> Option<String> {
        let mut written: Vec<Slot> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let (reads, writes) = (step.reads(), step.writes());
            if let Some(lost) = reads.iter().find(|&read| !written.contains(read)) {
                return Some(format!("step {at} reads {lost:?}, which holds nothing any more: {step:?}"));
            }
            for (index, write) in writes.iter().enumerate() {
                if reads.iter().chain(&writes[..index]).any(|other| other.overlaps(write)) {
                    return Some(format!("step {at} writes {write:?} over what it uses: {step:?}"));
                }
                if write.offset + write.bytes > self.arena_bytes {
                    return Some(format!("step {at} writes {write:?} beyond the arena: {step:?}"));
                }
                written.retain(|other| !other.overlaps(write));
            }
            written.push(step.out());
        }
        (!written.contains(&self.output)).then(|| format!("the output {:?} is lost", self.output))
    }
}
