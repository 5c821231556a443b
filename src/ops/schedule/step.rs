//! One op of a schedule, with what it reads and writes.

use crate::ops::{Activation, Bands, ConvProblem, Shape, Subsample};

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
    /// Constants: weight, laid out by the bands, and bias.
    Depthwise {
        bands: Bands,
        shape: Shape,
        activation: Activation,
        constants: Constants,
        input: Slot,
        residual: Option<Slot>,
        out: Slot,
    },
    /// A batch norm of its own. Constants: scale, shift.
    Norm {
        shape: Shape,
        activation: Activation,
        constants: Constants,
        input: Slot,
        out: Slot,
    },
    BlurPool {
        shape: Shape,
        input: Slot,
        out: Slot,
    },
    MaxPool3x3 {
        shape: Shape,
        input: Slot,
        out: Slot,
    },
    Subsample {
        op: Subsample,
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
        between: Activation,
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

impl Step {
    /// What the step reads.
    pub fn reads(&self) -> Vec<Slot> {
        match self {
            Self::Images { .. } => Vec::new(),
            Self::Conv { input, residual, .. }
            | Self::Depthwise { input, residual, .. }
            | Self::SqueezeExcite { input, residual, .. } => [Some(*input), *residual].into_iter().flatten().collect(),
            Self::Norm { input, .. }
            | Self::BlurPool { input, .. }
            | Self::MaxPool3x3 { input, .. }
            | Self::Subsample { input, .. }
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
            | Self::Depthwise { out, .. }
            | Self::Norm { out, .. }
            | Self::BlurPool { out, .. }
            | Self::MaxPool3x3 { out, .. }
            | Self::Subsample { out, .. }
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
