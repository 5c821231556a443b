//! The convolutions of a network as a device is asked for them, with what is to be computed in the same kernel.

use anyhow::Result;

use crate::nn::graph::{Graph, Node, Op, Value};
use crate::ops::cuda::padded;
use crate::ops::{Activation, ConvPass, ConvProblem, ConvSpec, Shape};

/// What a network is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Logits, with batch norm folded into the convolutions.
    Evaluation,
    /// Logits and gradients.
    Training,
}

impl Graph {
    /// Every convolution problem of a run, with padded channels, in the order in which they come: for training the
    /// backward pass from the end.
    ///
    /// # Errors
    /// If images of this shape do not suit the network.
    pub fn conv_problems(&self, image: Shape, purpose: Use) -> Result<Vec<ConvProblem>> {
        let shapes = self.shapes(image)?;
        let forward = self.nodes.iter().filter_map(|node| match node.op {
            Op::Conv { spec, activation, .. } => {
                let pass = match purpose {
                    Use::Evaluation => ConvPass::Forward { residual: node.inputs.len() > 1, activation },
                    Use::Training => ConvPass::Statistics,
                };
                Some(problem(&spec, shapes[node.inputs[0].0], pass))
            }
            _ => None,
        });
        let mut problems: Vec<ConvProblem> = forward.collect();
        if purpose == Use::Training {
            for (at, node) in self.nodes.iter().enumerate().rev() {
                let Op::Conv { spec, .. } = node.op else { continue };
                let input = node.inputs[0];
                problems.push(problem(&spec, shapes[input.0], ConvPass::WeightGradient));
                // Nobody asks for the image's gradient.
                if input != Value(0) {
                    problems.push(problem(&spec, shapes[input.0], self.input_gradient(at, input)));
                }
            }
        }
        Ok(problems)
    }

    /// The gradient that the convolution at node `at` gives its input. Gradients of one value are summed from the last
    /// of its readers to the first, which then takes the sum through the value's own activation.
    fn input_gradient(&self, at: usize, input: Value) -> ConvPass {
        let reads = |node: &Node| node.inputs.contains(&input);
        let add = self.nodes[at + 1..].iter().any(reads);
        let is_first = !self.nodes[..at].iter().any(reads);
        let activation = match self.nodes[input.0].op {
            Op::Conv { activation, .. } | Op::SqueezeExcite { activation, .. } if is_first => activation,
            _ => Activation::Identity,
        };
        ConvPass::InputGradient { add, activation }
    }
}

fn problem(spec: &ConvSpec, input: Shape, pass: ConvPass) -> ConvProblem {
    let spec = ConvSpec { in_channels: padded(spec.in_channels), out_channels: padded(spec.out_channels), ..*spec };
    ConvProblem { spec, input: Shape { channels: spec.in_channels, ..input }, pass }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ConvNorm;

    /// A stem, and a block whose shortcut is the stem's output.
    fn block() -> Graph {
        let layer = |name: &str| ConvNorm {
            kernel: 3,
            activation: Activation::Relu,
            ..ConvNorm::new(format!("{name}.conv"), format!("{name}.bn"), 12)
        };
        let (mut graph, image) = Graph::new(3, 1);
        let stem = graph.conv_norm(image, layer("stem"));
        let x = graph.conv_norm(stem, layer("1"));
        graph.conv_norm(x, ConvNorm { residual: Some(stem), ..layer("2") });
        graph
    }

    fn passes(purpose: Use) -> Vec<String> {
        let problems = block().conv_problems(Shape::new(2, 8, 8, 3), purpose).unwrap();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn evaluation_asks_for_each_convolution_with_all_that_follows() {
        assert_eq!(
            passes(Use::Evaluation),
            [
                "2x8x8x8 -> 16, 3x3/1: conv + bias + relu",
                "2x8x8x16 -> 16, 3x3/1: conv + bias + relu",
                "2x8x8x16 -> 16, 3x3/1: conv + bias + residual + relu",
            ]
        );
    }

    #[test]
    fn training_sums_a_shortcuts_gradient_before_it_goes_through_the_activation() {
        let passes = passes(Use::Training);
        assert_eq!(passes[..3].iter().filter(|pass| pass.ends_with("conv + statistics")).count(), 3);
        assert_eq!(
            passes[3..],
            [
                "2x8x8x16 -> 16, 3x3/1: weight gradient",
                "2x8x8x16 -> 16, 3x3/1: input gradient + relu",
                "2x8x8x16 -> 16, 3x3/1: weight gradient",
                "2x8x8x16 -> 16, 3x3/1: input gradient + add + relu",
                "2x8x8x8 -> 16, 3x3/1: weight gradient",
            ]
        );
    }
}
