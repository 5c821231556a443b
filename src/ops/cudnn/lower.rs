//! From a graph as data to cuDNN's descriptors.

use std::sync::Arc;

use anyhow::Result;

use super::attribute::*;
use super::descriptor::Descriptor;
use super::graph::{Graph, Operation, Tensor, TensorId};
use super::target::Target;
use crate::ops::ConvSpec;

/// Ids of tensors without a role start here, above all roles.
const FIRST_INNER_ID: i64 = 100;

/// The smallest alignment of the arena's buffers that cuDNN has use for, in bytes.
const ALIGNMENT: i64 = 16;

/// Builds and finalises the operation graph.
pub(super) fn operation_graph(target: &Target, graph: &Graph) -> Result<Arc<Descriptor>> {
    let library = target.library();
    let tensors = graph.tensors.iter().enumerate();
    let tensors = tensors.map(|(at, tensor)| lower_tensor(target, at, tensor)).collect::<Result<Vec<_>>>()?;
    let lowering = Lowering { target, tensors };
    let operations = graph.operations.iter().map(|op| lowering.operation(op)).collect::<Result<Vec<_>>>()?;
    let mut descriptor = Descriptor::new(library, Kind::Graph)?;
    descriptor.refer(GRAPH_OPERATIONS, &operations.iter().collect::<Vec<_>>())?;
    target.mark_graph(&mut descriptor)?;
    descriptor.finalize()
}

fn lower_tensor(target: &Target, at: usize, tensor: &Tensor) -> Result<Arc<Descriptor>> {
    let mut descriptor = Descriptor::new(target.library(), Kind::Tensor)?;
    descriptor
        .set(TENSOR_DATA_TYPE, &[tensor.dtype])?
        .set(TENSOR_DIMENSIONS, &tensor.dims)?
        .set(TENSOR_STRIDES, &tensor.strides)?
        .set(TENSOR_ID, &[tensor.role.map_or(FIRST_INNER_ID + at as i64, |role| role.id())])?
        .set(TENSOR_ALIGNMENT, &[ALIGNMENT])?
        .set(TENSOR_IS_VIRTUAL, &[Flag(u8::from(tensor.role.is_none()))])?;
    descriptor.finalize()
}

struct Lowering<'a> {
    target: &'a Target,
    tensors: Vec<Arc<Descriptor>>,
}

impl Lowering<'_> {
    fn operation(&self, operation: &Operation) -> Result<Arc<Descriptor>> {
        match operation {
            Operation::Convolution { spec, x, w, y } => {
                let mut op = self.descriptor(Kind::ForwardOperation)?;
                op.refer(FORWARD_CONVOLUTION, &[&self.convolution(spec)?])?;
                self.refer(&mut op, [(FORWARD_X, *x), (FORWARD_W, *w), (FORWARD_Y, *y)])?;
                op.set(FORWARD_ALPHA, &[1.0])?.set(FORWARD_BETA, &[0.0])?;
                op.finalize()
            }
            Operation::InputGradient { spec, dy, w, dx } => {
                let mut op = self.descriptor(Kind::DataOperation)?;
                op.refer(DATA_CONVOLUTION, &[&self.convolution(spec)?])?;
                self.refer(&mut op, [(DATA_DY, *dy), (DATA_W, *w), (DATA_DX, *dx)])?;
                op.set(DATA_ALPHA, &[1.0])?.set(DATA_BETA, &[0.0])?;
                op.finalize()
            }
            Operation::WeightGradient { spec, x, dy, dw } => {
                let mut op = self.descriptor(Kind::FilterOperation)?;
                op.refer(FILTER_CONVOLUTION, &[&self.convolution(spec)?])?;
                self.refer(&mut op, [(FILTER_X, *x), (FILTER_DY, *dy), (FILTER_DW, *dw)])?;
                op.set(FILTER_ALPHA, &[1.0])?.set(FILTER_BETA, &[0.0])?;
                op.finalize()
            }
            Operation::Pointwise { mode, slope, x, b, y } => {
                let mut op = self.descriptor(Kind::PointwiseOperation)?;
                op.refer(POINTWISE, &[&self.pointwise(*mode, *slope)?])?;
                self.refer(&mut op, [(POINTWISE_X, *x), (POINTWISE_Y, *y)])?;
                if let Some(b) = b {
                    self.refer(&mut op, [(POINTWISE_B, *b)])?;
                }
                op.finalize()
            }
            Operation::ReluBackward { slope, x, dy, dx } => {
                let mut op = self.descriptor(Kind::PointwiseOperation)?;
                op.refer(POINTWISE, &[&self.pointwise(PointwiseMode::RELU_BACKWARD, Some(*slope))?])?;
                self.refer(&mut op, [(POINTWISE_X, *x), (POINTWISE_DY, *dy), (POINTWISE_DX, *dx)])?;
                op.finalize()
            }
            Operation::Sum { x, y } => {
                let mut reduction = self.descriptor(Kind::Reduction)?;
                reduction.set(REDUCTION_MODE, &[ReductionMode::ADD])?.set(REDUCTION_PRECISION, &[DataType::F32])?;
                let mut op = self.descriptor(Kind::ReductionOperation)?;
                op.refer(REDUCTION, &[&reduction.finalize()?])?;
                self.refer(&mut op, [(REDUCTION_X, *x), (REDUCTION_Y, *y)])?;
                op.finalize()
            }
            Operation::Statistics { x, sum, squares } => {
                let mut op = self.descriptor(Kind::StatisticsOperation)?;
                op.set(STATISTICS_MODE, &[StatisticsMode::SUM_AND_SQUARES])?
                    .set(STATISTICS_PRECISION, &[DataType::F32])?;
                let tensors = [(STATISTICS_X, *x), (STATISTICS_SUM, *sum), (STATISTICS_SQUARES, *squares)];
                self.refer(&mut op, tensors)?;
                op.finalize()
            }
            Operation::NormGradient { x, dy, mean, inverse, weight, weight_gradient, bias_gradient, factors } => {
                let mut op = self.descriptor(Kind::NormOperation)?;
                op.set(NORM_PRECISION, &[DataType::F32])?;
                self.refer(&mut op, [(NORM_X, *x), (NORM_DY, *dy), (NORM_MEAN, *mean), (NORM_INVERSE, *inverse)])?;
                let written = [(NORM_WEIGHT_GRADIENT, *weight_gradient), (NORM_BIAS_GRADIENT, *bias_gradient)];
                self.refer(&mut op, [(NORM_WEIGHT, *weight)])?;
                self.refer(&mut op, written)?;
                let [of_dy, of_x, offset] = *factors;
                self.refer(&mut op, [(NORM_DY_FACTOR, of_dy), (NORM_X_FACTOR, of_x), (NORM_OFFSET, offset)])?;
                op.finalize()
            }
        }
    }

    fn convolution(&self, spec: &ConvSpec) -> Result<Arc<Descriptor>> {
        let twice = |size: usize| [size as i64; 2];
        let mut descriptor = self.descriptor(Kind::Convolution)?;
        descriptor
            .set(CONVOLUTION_PRECISION, &[DataType::F32])?
            .set(CONVOLUTION_MODE, &[ConvolutionMode::CROSS_CORRELATION])?
            .set(CONVOLUTION_SPATIAL_DIMS, &[2])?
            .set(CONVOLUTION_PRE_PADDINGS, &twice(spec.padding))?
            .set(CONVOLUTION_POST_PADDINGS, &twice(spec.padding))?
            .set(CONVOLUTION_STRIDES, &twice(spec.stride))?
            .set(CONVOLUTION_DILATIONS, &[1, 1])?;
        descriptor.finalize()
    }

    fn pointwise(&self, mode: PointwiseMode, slope: Option<f64>) -> Result<Arc<Descriptor>> {
        let mut descriptor = self.descriptor(Kind::Pointwise)?;
        descriptor.set(POINTWISE_MODE, &[mode])?.set(POINTWISE_PRECISION, &[DataType::F32])?;
        // The precompiled kernels refuse a slope, even of 0.
        if let Some(slope) = slope.filter(|&slope| slope != 0.0) {
            descriptor.set(POINTWISE_RELU_SLOPE, &[slope])?;
        }
        descriptor.finalize()
    }

    fn descriptor(&self, kind: Kind) -> Result<Descriptor> {
        Descriptor::new(self.target.library(), kind)
    }

    fn refer<const N: usize>(
        &self,
        operation: &mut Descriptor,
        tensors: [(Attribute<DescriptorValue>, TensorId); N],
    ) -> Result<()> {
        for (attribute, tensor) in tensors {
            operation.refer(attribute, &[&self.tensors[tensor.0]])?;
        }
        Ok(())
    }
}
