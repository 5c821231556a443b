//! An operation graph as data: tensors and what is computed of them, apart from any library.

use super::attribute::{DataType, PointwiseMode};
use crate::ops::{ConvSpec, Shape};

/// What a tensor of a graph is to its user; its code is the tensor's id in cuDNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The convolution's input, `[batch, height, width, channels]`.
    X = 1,
    /// `[out_channels, kernel, kernel, in_channels / groups]`
    W,
    /// The convolution's output.
    Y,
    /// One value an output channel.
    Bias,
    /// Added before the activation.
    Add,
    /// A gradient of the output.
    Dy,
    /// A gradient of the input.
    Dx,
    /// A gradient of the weight.
    Dw,
    /// Each channel's sum.
    Sum,
    /// Each channel's sum of squares.
    Squares,
    /// A batch norm's input.
    Saved,
    /// A batch norm's mean and inverse deviation, weight and bias, one a channel.
    NormMean,
    NormInverse,
    NormWeight,
    NormBias,
    /// The gradients of its weight and bias.
    NormWeightGradient,
    NormBiasGradient,
    /// By which the gradient of its input is the sum of that of its output and of its input, and what is added.
    NormGradientFactor,
    NormSavedFactor,
    NormOffset,
}

/// Index of a tensor in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorId(pub(super) usize);

/// A tensor of rank 4.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Batch, channels, height, width: cuDNN's logical order.
    pub dims: [i64; 4],
    /// In the same order; in memory channels are the last.
    pub strides: [i64; 4],
    pub dtype: DataType,
    /// `None` for what lives within the kernel alone.
    pub role: Option<Role>,
}

/// An operation of a graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Convolution {
        spec: ConvSpec,
        x: TensorId,
        w: TensorId,
        y: TensorId,
    },
    InputGradient {
        spec: ConvSpec,
        dy: TensorId,
        w: TensorId,
        dx: TensorId,
    },
    WeightGradient {
        spec: ConvSpec,
        x: TensorId,
        dy: TensorId,
        dw: TensorId,
    },
    /// `y = mode(x)` or `mode(x, b)`; `slope` is a (leaky) ReLU's.
    Pointwise {
        mode: PointwiseMode,
        slope: Option<f64>,
        x: TensorId,
        b: Option<TensorId>,
        y: TensorId,
    },
    /// `dx = dy` where `x` is positive, else `slope * dy`.
    ReluBackward {
        slope: f64,
        x: TensorId,
        dy: TensorId,
        dx: TensorId,
    },
    /// Sums over every dimension in which `y` has one value.
    Sum {
        x: TensorId,
        y: TensorId,
    },
    /// Each channel's sum and sum of squares.
    Statistics {
        x: TensorId,
        sum: TensorId,
        squares: TensorId,
    },
    /// The gradients of a batch norm's weight and bias, out of its output's, `dy`; of that and of `x` the factors that
    /// give its input's.
    NormGradient {
        x: TensorId,
        dy: TensorId,
        mean: TensorId,
        inverse: TensorId,
        weight: TensorId,
        weight_gradient: TensorId,
        bias_gradient: TensorId,
        factors: [TensorId; 3],
    },
}

/// Tensors and operations, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub(super) tensors: Vec<Tensor>,
    pub(super) operations: Vec<Operation>,
}

impl Graph {
    /// A feature map in memory.
    pub fn map(&mut self, shape: Shape, dtype: DataType, role: Role) -> TensorId {
        self.tensor(shape, dtype, Some(role))
    }

    /// A feature map within the kernel, in f32.
    pub fn inner(&mut self, shape: Shape) -> TensorId {
        self.tensor(shape, DataType::F32, None)
    }

    /// One value a channel, the same for all images and positions.
    pub fn per_channel(&mut self, channels: usize, dtype: DataType, role: Role) -> TensorId {
        self.tensor(Shape::new(1, 1, 1, channels), dtype, Some(role))
    }

    /// A convolution's weight or its gradient, `[out_channels, kernel, kernel, in_channels / groups]` in memory: from these
    /// sizes cuDNN infers the groups.
    pub fn weight(&mut self, spec: &ConvSpec, dtype: DataType, role: Role) -> TensorId {
        self.tensor(
            Shape::new(spec.out_channels, spec.kernel, spec.kernel, spec.in_channels / spec.groups),
            dtype,
            Some(role),
        )
    }

    pub fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// The roles of the tensors that are in memory, each with its bytes.
    pub fn roles(&self) -> impl Iterator<Item = (Role, usize)> + '_ {
        self.tensors.iter().filter_map(|tensor| Some((tensor.role?, tensor.bytes())))
    }

    fn tensor(&mut self, shape: Shape, dtype: DataType, role: Option<Role>) -> TensorId {
        let [n, h, w, c] = [shape.batch, shape.height, shape.width, shape.channels].map(|size| size as i64);
        self.tensors.push(Tensor { dims: [n, c, h, w], strides: [h * w * c, 1, w * c, c], dtype, role });
        TensorId(self.tensors.len() - 1)
    }
}

impl Tensor {
    fn bytes(&self) -> usize {
        let size = if self.dtype == DataType::F32 { 4 } else { 2 };
        self.dims.iter().product::<i64>() as usize * size
    }
}

impl Role {
    /// A tensor's id in cuDNN.
    pub(super) fn id(self) -> i64 {
        self as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_weights_have_their_channels_last_in_memory() {
        let mut graph = Graph::default();
        let map = graph.map(Shape::new(2, 5, 7, 16), DataType::F16, Role::X);
        let spec = ConvSpec::new(16, 24, 3, 1);
        let weight = graph.weight(&spec, DataType::F16, Role::W);
        let tensor = |id: TensorId| (graph.tensors[id.0].dims, graph.tensors[id.0].strides);
        assert_eq!(tensor(map), ([2, 16, 5, 7], [560, 1, 112, 16]));
        assert_eq!(tensor(weight), ([24, 16, 3, 3], [144, 1, 48, 16]));
        let bytes: Vec<_> = graph.roles().collect();
        assert_eq!(bytes, [(Role::X, 2 * 560 * 2), (Role::W, 24 * 144 * 2)]);
    }
}
