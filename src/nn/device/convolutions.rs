//! The convolutions of a network as a device is asked for them, with what is to be computed in the same kernel.

use anyhow::Result;

use super::form::{Form, conv};
use crate::nn::graph::{Graph, Node, Norm, Op, Value};
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
    /// Every convolution problem of a run that cuDNN is asked for, with padded channels, in the order in which they come: for
    /// training the backward pass from the end, with both problems where it depends on the norms' memory which is.
    ///
    /// # Errors
    /// If images of this shape do not suit the network, or the parts of a convolution do not make up one.
    pub fn conv_problems(&self, image: Shape, purpose: Use) -> Result<Vec<ConvProblem>> {
        let shapes = self.shapes(image)?;
        let mut problems = Vec::new();
        let mut gradients = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(own) = conv(&node.op)? else { continue };
            let Some(&input) = node.inputs.first() else { continue };
            let shape = shapes[input.0];
            // Depthwise ones have kernels of our own.
            let Form::Product(spec) = &own.form else { continue };
            match purpose {
                Use::Evaluation => {
                    let pass = ConvPass::Forward { residual: node.inputs.len() > 1, activation: own.activation };
                    problems.push(problem(spec, shape, pass));
                }
                Use::Training => {
                    problems.push(problem(spec, shape, ConvPass::Statistics));
                    // Nobody asks for the image's gradient.
                    if input != Value(0) {
                        gradients.push(problem(spec, shape, self.input_gradient(at, input)));
                        if let Some((_, activation)) = self.norm_behind(at, input) {
                            gradients.push(problem(spec, shape, ConvPass::NormGradient { activation }));
                        }
                    }
                    gradients.push(problem(spec, shape, ConvPass::WeightGradient));
                }
            }
        }
        problems.extend(gradients.into_iter().rev());
        Ok(problems)
    }

    /// The gradient that the convolution at node `at` gives its input. Gradients of one value are summed from the last
    /// of its readers to the first. The sum's way through the value's own activation is left to the norm's gradient, which
    /// reads all that it takes anyway.
    fn input_gradient(&self, at: usize, input: Value) -> ConvPass {
        let add = self.nodes[at + 1..].iter().any(|node: &Node| node.inputs.contains(&input));
        ConvPass::InputGradient { add }
    }

    /// The norm and the activation that the gradient of the convolution at node `at` can go on through in the same kernel:
    /// where its input is nothing else's, and a norm gave it that its activation followed at once.
    pub(super) fn norm_behind(&self, at: usize, input: Value) -> Option<(Norm, Activation)> {
        let is_shared = self.nodes.iter().enumerate().any(|(other, node)| other != at && node.inputs.contains(&input));
        let gave = &self.nodes[input.0];
        let (Op::Conv { norm: Some(norm), activation, .. } | Op::Norm { norm, activation }) = gave.op else {
            return None;
        };
        let is_alone = !is_shared && gave.inputs.len() == 1;
        (is_alone && !activation.is_curved() && activation != Activation::Identity).then_some((norm, activation))
    }
}

fn problem(spec: &ConvSpec, input: Shape, pass: ConvPass) -> ConvProblem {
    let spec = spec.padded();
    ConvProblem { spec, input: Shape { channels: spec.in_channels, ..input }, pass }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{ConvLayer, Grouping};

    /// A stem, and a block whose shortcut is the stem's output.
    fn block() -> Graph {
        let layer = |name: &str| ConvLayer {
            kernels: &[3],
            activation: Activation::Relu,
            ..ConvLayer::normed(format!("{name}.conv"), format!("{name}.bn"), 12)
        };
        let (mut graph, image) = Graph::new(3, 1);
        let stem = graph.conv(image, layer("stem"));
        let x = graph.conv(stem, layer("1"));
        graph.conv(x, ConvLayer { residual: Some(stem), ..layer("2") });
        graph
    }

    fn passes(purpose: Use) -> Vec<String> {
        let problems = block().conv_problems(Shape::new(2, 8, 8, 3), purpose).unwrap();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn depthwise_convolutions_are_not_asked_for() {
        let (mut graph, image) = Graph::new(8, 1);
        let layer = ConvLayer { grouping: Grouping::Depthwise, ..ConvLayer::new("depthwise".into(), 8) };
        graph.conv(image, layer);
        for purpose in [Use::Evaluation, Use::Training] {
            assert_eq!(graph.conv_problems(Shape::new(2, 8, 8, 8), purpose).unwrap(), []);
        }
    }

    #[test]
    fn mixed_convolutions_are_one_product_and_groups_stay() {
        let (mut graph, image) = Graph::new(16, 1);
        let x = graph.conv(image, ConvLayer { kernels: &[1, 1], ..ConvLayer::new("mixed".into(), 20) });
        let x = graph.conv(x, ConvLayer::new("plain".into(), 16));
        graph.conv(
            x,
            ConvLayer { grouping: Grouping::Groups(4), kernels: &[3], ..ConvLayer::new("grouped".into(), 16) },
        );
        let shown = |purpose| -> Vec<String> {
            let problems = graph.conv_problems(Shape::new(2, 8, 8, 16), purpose).unwrap();
            problems.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(Use::Training)[2..6],
            [
                "2x8x8x16 -> 16, 3x3/1 in 4 groups: conv + statistics",
                "2x8x8x16 -> 16, 3x3/1 in 4 groups: weight gradient",
                "2x8x8x16 -> 16, 3x3/1 in 4 groups: input gradient",
                "2x8x8x24 -> 16, 1x1/1: weight gradient",
            ]
        );
        assert_eq!(
            shown(Use::Evaluation),
            [
                "2x8x8x16 -> 24, 1x1/1: conv + bias",
                "2x8x8x24 -> 16, 1x1/1: conv + bias",
                "2x8x8x16 -> 16, 3x3/1 in 4 groups: conv + bias",
            ]
        );
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
    fn training_sums_a_shortcuts_gradient_with_that_of_the_convolution() {
        let passes = passes(Use::Training);
        assert_eq!(passes[..3].iter().filter(|pass| pass.ends_with("conv + statistics")).count(), 3);
        assert_eq!(
            passes[3..],
            [
                "2x8x8x16 -> 16, 3x3/1: weight gradient",
                "2x8x8x16 -> 16, 3x3/1: input gradient + relu + norm's gradient",
                "2x8x8x16 -> 16, 3x3/1: input gradient",
                "2x8x8x16 -> 16, 3x3/1: weight gradient",
                "2x8x8x16 -> 16, 3x3/1: input gradient + add",
                "2x8x8x8 -> 16, 3x3/1: weight gradient",
            ]
        );
    }
}
