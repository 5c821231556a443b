//! What follows from an input's shape: every value's shape, and the work.

use anyhow::{Context, Result, ensure};

use super::graph::{Graph, Node, Op, Value};
use crate::ops::{Shape, average_pool_2x2_shape, blur_pool_shape, max_pool_3x3_shape};

impl Graph {
    /// The shape of each value for images `[batch, height, width, channels]`.
    pub(super) fn shapes(&self, image: Shape) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            shapes.push(self.shape(node, image, &shapes)?);
        }
        Ok(shapes)
    }

    /// Multiplications with accumulation for one image of `size` by `size` pixels: convolutions (blurs and
    /// squeeze-excites are such) and linear layers, as fvcore counts them.
    pub fn macs(&self, size: usize) -> Result<u64> {
        let shapes = self.shapes(Shape::new(1, size, size, self.in_channels()))?;
        let macs = |(node, out): (&Node, &Shape)| match &node.op {
            Op::Conv { convs, .. } => convs.iter().map(|conv| conv.spec.macs(out.area())).sum(),
            // Nine taps a channel.
            Op::BlurPool => 9 * out.len() as u64,
            Op::SqueezeExcite { hidden, .. } => 2 * (hidden * out.channels) as u64,
            Op::Linear { affine } => self.parameters()[affine.weight].shape.iter().product::<usize>() as u64,
            _ => 0,
        };
        Ok(self.nodes.iter().zip(&shapes).map(macs).sum())
    }

    /// Values that convolutions and linear layers put out for one image of `size` by `size` pixels, as fvcore counts a
    /// network's activations.
    pub fn activations(&self, size: usize) -> Result<u64> {
        let shapes = self.shapes(Shape::new(1, size, size, self.in_channels()))?;
        let values = |(node, out): (&Node, &Shape)| match &node.op {
            Op::Conv { .. } | Op::BlurPool | Op::Linear { .. } => out.len(),
            Op::SqueezeExcite { hidden, .. } => hidden + out.channels,
            _ => 0,
        };
        Ok(self.nodes.iter().zip(&shapes).map(values).sum::<usize>() as u64)
    }

    /// Convolutions and linear layers, those of shortcuts and squeeze-excites among them: what torch-resnet's
    /// `count_layers` counts.
    pub fn layer_count(&self) -> usize {
        let layers = |node: &Node| match &node.op {
            Op::Conv { convs, .. } => convs.len(),
            Op::Linear { .. } => 1,
            Op::SqueezeExcite { .. } => 2,
            _ => 0,
        };
        self.nodes.iter().map(layers).sum()
    }

    fn shape(&self, node: &Node, image: Shape, shapes: &[Shape]) -> Result<Shape> {
        let input = |Value(at): Value| shapes[at];
        match (&node.op, node.inputs.first().copied().map(input)) {
            (&Op::Input { cell }, _) => {
                let Shape { batch, height, width, channels } = image;
                ensure!(
                    channels == self.in_channels(),
                    "this network takes images of {} channels and got {channels}; set the number of input channels",
                    self.in_channels()
                );
                ensure!(
                    height > 0 && width > 0 && height % cell == 0 && width % cell == 0,
                    "an input of {height}x{width} pixels does not divide into the stem's cells of {cell}x{cell}: \
                     take a size that is a multiple of {cell}"
                );
                Ok(Shape::new(batch, height / cell, width / cell, channels * cell * cell))
            }
            (Op::Conv { convs, .. }, Some(input)) => {
                convs.first().context("a convolution has no kernel")?.spec.output(input)
            }
            (Op::MaxPool3x3, Some(input)) => max_pool_3x3_shape(input),
            (Op::Subsample(op), Some(input)) => Ok(op.output(input)),
            (Op::BlurPool, Some(input)) => blur_pool_shape(input),
            (Op::AveragePool2x2, Some(input)) => Ok(average_pool_2x2_shape(input)),
            (Op::Norm { .. } | Op::Dropout { .. } | Op::SqueezeExcite { .. }, Some(input)) => Ok(input),
            (Op::GlobalAveragePool | Op::Linear { .. }, Some(input)) => {
                Ok(Shape::new(input.batch, 1, 1, node.channels))
            }
            (op, None) => anyhow::bail!("{op:?} has no input"),
        }
    }
}
