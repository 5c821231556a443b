//! A network's forward pass on a device, laid out beforehand: which op runs on which part of one arena, in order.
//!
//! A schedule is data. It holds no weights and no memory, so whether two live values ever share a byte, and whether the
//! steps give the network's logits, is tested without a GPU: the tests run the very launches on the host.

mod arena;
#[cfg(feature = "cuda")]
mod gpu;
mod launches;
mod runner;

pub use arena::{Request, place};
pub use launches::Memory;
pub use runner::{Constant, Loaded, Parameters, Run, load};

use super::cuda::Element;
use super::{Activation, ConvProblem, Shape};

/// A part of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub offset: usize,
    pub bytes: usize,
}

/// The first of a step's constants among the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants(pub usize);

/// One op. Shapes are those on the device, channels padded; what it writes is none of what it reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Bytes of the images to normalised cells.
    Images {
        image: Shape,
        cell: usize,
        out: Slot,
    },
    /// Constants: weight, bias.
    Conv {
        problem: ConvProblem,
        constants: Constants,
        input: Slot,
        residual: Option<Slot>,
        out: Slot,
    },
    BlurPool {
        shape: Shape,
        input: Slot,
        out: Slot,
    },
    AveragePool2x2 {
        shape: Shape,
        input: Slot,
        out: Slot,
    },
    /// Constants: weight and bias of `reduce`, then of `expand`.
    SqueezeExcite {
        shape: Shape,
        hidden: usize,
        activation: Activation,
        constants: Constants,
        input: Slot,
        residual: Option<Slot>,
        out: Slot,
        scratch: GateScratch,
    },
    /// To f32 `[batch, channels]`.
    GlobalAveragePool {
        shape: Shape,
        input: Slot,
        out: Slot,
    },
    /// In f32. Constants: weight, bias.
    Linear {
        batch: usize,
        inputs: usize,
        outputs: usize,
        constants: Constants,
        input: Slot,
        out: Slot,
    },
}

/// Where a gate keeps what it needs between its launches, in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateScratch {
    /// Parts that the sums over an image are split into.
    pub splits: usize,
    /// `[splits, batch, channels]`
    pub parts: Slot,
    /// `[batch, channels]`
    pub mean: Slot,
    /// `[batch, hidden]`
    pub hidden: Slot,
    /// `[batch, channels]`
    pub gates: Slot,
}

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

impl Step {
    /// What the step reads.
    pub fn reads(&self) -> Vec<Slot> {
        match self {
            Self::Images { .. } => Vec::new(),
            Self::Conv { input, residual, .. } | Self::SqueezeExcite { input, residual, .. } => {
                [Some(*input), *residual].into_iter().flatten().collect()
            }
            Self::BlurPool { input, .. }
            | Self::AveragePool2x2 { input, .. }
            | Self::GlobalAveragePool { input, .. }
            | Self::Linear { input, .. } => vec![*input],
        }
    }

    /// The value that the step is for.
    pub fn out(&self) -> Slot {
        match self {
            Self::Images { out, .. }
            | Self::Conv { out, .. }
            | Self::BlurPool { out, .. }
            | Self::AveragePool2x2 { out, .. }
            | Self::SqueezeExcite { out, .. }
            | Self::GlobalAveragePool { out, .. }
            | Self::Linear { out, .. } => *out,
        }
    }

    /// What the step writes, the value first.
    pub fn writes(&self) -> Vec<Slot> {
        let mut writes = vec![self.out()];
        if let Self::SqueezeExcite { scratch, .. } = self {
            writes.extend([scratch.parts, scratch.mean, scratch.hidden, scratch.gates]);
        }
        writes
    }
}

impl Slot {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.offset + other.bytes && other.offset < self.offset + self.bytes
    }
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
