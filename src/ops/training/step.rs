//! The ops that training steps consist of. Shapes are those on the device, channels padded.

use super::{AffinePlaces, Filter, FilterPart, GatePlaces, NormPlaces, Variable};
use crate::ops::cuda::linear::LinearShape;
use crate::ops::{Activation, Bands, ConvPass, ConvProblem, Shape, Subsample};

/// An op with the variables that it reads and writes, in the order that the op names.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingStep {
    pub op: TrainingOp,
    pub reads: Vec<Variable>,
    pub writes: Vec<Variable>,
}

/// What is done. Behind each the variables: read -> written.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainingOp {
    /// The batch's pixels, normalised, in cells: -> cells.
    Images { image: Shape, cell: usize },
    /// -> a filter, of the element.
    JoinFilter { parts: Vec<FilterPart> },
    /// input, perhaps residual, perhaps filter -> output; with statistics also -> sums, squares.
    Conv { problem: ConvProblem, weight: Filter },
    /// input, filter, perhaps residual -> output.
    Depthwise { bands: Bands, shape: Shape, activation: Activation },
    /// values, perhaps sums, squares -> partial moments, numbers. With a momentum running statistics move.
    Statistics { shape: Shape, norm: NormPlaces, epsilon: f32, momentum: Option<f32> },
    /// values, numbers, perhaps residual -> output, which may be the values.
    Norm { shape: Shape, norm: NormPlaces, activation: Activation },
    /// branch, residual -> the branch times its images' scales, plus the residual; may be the branch.
    Join { shape: Shape, scales: usize, activation: Activation },
    /// input -> output.
    BlurPool { shape: Shape },
    /// input -> output.
    AveragePool2x2 { shape: Shape },
    /// input -> output.
    MaxPool3x3 { shape: Shape },
    /// input -> output.
    Subsample { shape: Shape, op: Subsample },
    /// input -> partial means, mean, hidden, gates; with SiLU between the layers also -> what it was given.
    Gate { sizes: GateSizes, layers: GatePlaces },
    /// input, gates, perhaps residual -> output.
    Gated { shape: Shape, activation: Activation },
    /// input -> output, f32.
    GlobalAveragePool { shape: Shape },
    /// values -> those that stay, times a scale; may be the values. Dropout number `draw` of the batch, over the network's
    /// own `channels`.
    Dropout { shape: Shape, channels: usize, draw: usize, scale: f32 },
    /// f32 values -> the same times scales, one a value of the network's own `channels`; may be the values.
    Drop { rows: usize, channels: usize, width: usize, scales: usize },
    /// f32: input -> output.
    Linear { shape: LinearShape, layer: AffinePlaces },
    /// logits -> losses, ranks, finite, gradient.
    Loss { batch: usize, classes: usize, rule: LossRule },
    /// gradient, input -> nothing: the layer's gradients are raised.
    LinearWeightGradient { shape: LinearShape, layer: AffinePlaces },
    /// gradient -> input's gradient.
    LinearInputGradient { shape: LinearShape, layer: AffinePlaces },
    /// gradient, f32 -> input's gradient.
    GlobalAveragePoolGradient { shape: Shape },
    /// gradient, output or input, input, mean, hidden, gates, with SiLU between the layers what it was given -> partial
    /// sums, expanded, hidden gradient, position; with an activation also -> the gradient behind it, in place. The layers'
    /// gradients are raised.
    GateGradient { sizes: GateSizes, layers: GatePlaces, activation: Activation },
    /// gradient, gates, position -> input's gradient.
    GatedGradient { shape: Shape },
    /// gradient, saved, numbers, with `InputAndOutput` output, perhaps the gradient's own sums -> partial sums, factors; with `behind` also -> the gradient
    /// behind the activation, in place. The norm's gradients are raised.
    NormGradientSums { shape: Shape, norm: NormPlaces, saved: SavedNorm, activation: Activation, behind: bool },
    /// gradient, saved, numbers, factors -> input's gradient, which may be the gradient.
    NormGradient { shape: Shape, norm: NormPlaces, saved: SavedNorm, activation: Activation },
    /// gradient, perhaps add, perhaps filter -> input's gradient. With the norm that gave the input: gradient, what it
    /// saved, its numbers, perhaps filter -> input's gradient, [`NORM_SUMS`] f32 a channel. Where a kernel does the whole
    /// problem the gradient is behind the norm's activation, the first two of them are sums, and the others are lost.
    ConvInputGradient { problem: ConvProblem, weight: Filter, norm: Option<NormPlaces> },
    /// input, gradient -> the bare gradient, where that is made: the weight's is raised.
    ConvWeightGradient { problem: ConvProblem, weight: Filter },
    /// gradient, filter, perhaps add -> input's gradient; `shape` is the input's.
    DepthwiseInputGradient { bands: Bands, shape: Shape },
    /// input, gradient -> partial sums: the parts' gradients are raised. `shape` is the input's.
    DepthwiseWeightGradient { bands: Bands, shape: Shape, parts: Vec<FilterPart> },
    /// gradient, output -> the gradient behind the activation, in place.
    ActivationGradient { shape: Shape, activation: Activation },
    /// gradient -> the same times its images' scales.
    ScaleImages { shape: Shape, scales: usize },
    /// left, right -> sum, which may be the left.
    Add { shape: Shape },
    /// gradient -> input's gradient; `shape` is the input's.
    BlurPoolGradient { shape: Shape },
    /// gradient -> input's gradient; `shape` is the input's.
    AveragePool2x2Gradient { shape: Shape },
    /// gradient, input -> input's gradient.
    MaxPool3x3Gradient { shape: Shape },
    /// gradient -> input's gradient; `shape` is the input's.
    SubsampleGradient { shape: Shape, op: Subsample },
}

/// f32 of a channel that a convolution's gradient leaves of a norm's: the gradients of bias and weight, and three that
/// cuDNN gives along with them.
pub const NORM_SUMS: usize = 5;

/// Sizes of a gate: the map, the hidden values, and the parts that sums over an image are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSizes {
    pub shape: Shape,
    pub hidden: usize,
    pub splits: usize,
}

/// What a norm left for its gradient, and by what that gets through the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedNorm {
    /// Its input; the gradient is behind the activation already.
    Input,
    /// Its input, out of which the activation's sign is computed again.
    InputAgain,
    /// Its input, and the result that a residual was added to.
    InputAndOutput,
    /// Its result: it worked in place.
    Output,
}

/// What is minimised, on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossRule {
    /// Softmax cross-entropy; classes as targets are smoothed.
    CrossEntropy { smoothing: f32 },
    /// Binary cross-entropy, as the room `loss` defines it.
    Binary { smoothing: f32, threshold: Option<f32>, sum: bool, positive_weight: f32 },
    /// Cross-entropy of the batch's first split plus the Jensen-Shannon divergence of all `splits`.
    JensenShannon { splits: usize, smoothing: f32 },
}

impl TrainingOp {
    /// Whether a convolution, or its input's gradient, adds what it reads after its first operand.
    pub fn adds(&self) -> bool {
        match self {
            Self::Conv { problem, .. } | Self::ConvInputGradient { problem, .. } => {
                matches!(problem.pass, ConvPass::Forward { residual: true, .. } | ConvPass::InputGradient { add: true })
            }
            _ => false,
        }
    }

    /// Which variable that is read may have which written one in its very place: numbers among reads and writes.
    pub fn in_place(&self) -> &'static [(usize, usize)] {
        match self {
            Self::Norm { .. }
            | Self::Join { .. }
            | Self::Drop { .. }
            | Self::Dropout { .. }
            | Self::NormGradient { .. }
            | Self::ActivationGradient { .. }
            | Self::Add { .. } => &[(0, 0)],
            Self::NormGradientSums { .. } => &[(0, 2)],
            Self::GateGradient { .. } => &[(0, 4)],
            _ => &[],
        }
    }
}
