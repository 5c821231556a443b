//! The operation graphs of a convolution: for each degree of fusion the forms in which cuDNN may know it.

use anyhow::{Result, ensure};

use super::attribute::{DataType, PointwiseMode};
use super::graph::{Graph, Operation, Role, TensorId};
use crate::ops::cuda::Element;
use crate::ops::{Activation, ConvPass, ConvProblem, Fusion, Shape};

/// What sums and exact biases are.
const SINGLE: DataType = DataType::F32;

/// The graphs that compute `fusion` of the problem with maps, weights and their gradients of `element`, the one with the
/// faster kernels first.
///
/// # Errors
/// If the problem has no output, windows of channels, or channels that are no multiple of 8 (see
/// [`crate::ops::cuda::padded`]).
pub fn graphs(problem: &ConvProblem, element: Element, fusion: Fusion) -> Result<Vec<Graph>> {
    let ConvProblem { spec, input, pass } = problem;
    let output = problem.output()?;
    let whole = spec.in_channels == spec.input.of && spec.out_channels == spec.output.of;
    ensure!(whole, "{problem}: convolutions of windows of channels are not planned");
    for channels in [spec.in_channels, spec.out_channels] {
        ensure!(channels % 8 == 0, "{problem}: {channels} channels are no multiple of 8");
    }
    let maps = data_type(element);
    let builder = Builder { problem, output, maps };
    Ok(match (*pass, fusion) {
        (ConvPass::Forward { residual, activation }, Fusion::Whole) => {
            let mut graphs = Vec::new();
            // Hopper's precompiled kernels know the order residual, bias in half precision, ReLU, and no other slope.
            if activation.slope() == 0.0 || activation == Activation::Identity {
                graphs.push(builder.forward(residual, activation, maps, true));
            }
            graphs.push(builder.forward(residual, activation, SINGLE, false));
            graphs
        }
        (ConvPass::Statistics, Fusion::Whole) => vec![builder.statistics()],
        (ConvPass::Forward { .. } | ConvPass::Statistics, _) => vec![builder.product()],
        (ConvPass::InputGradient { add }, Fusion::Whole) => vec![builder.gradient(add)],
        (ConvPass::NormGradient { activation }, Fusion::Whole) => {
            ensure!(!activation.is_curved(), "{problem}: gradients through curved activations are not planned");
            vec![builder.norm_gradient(activation)]
        }
        (ConvPass::InputGradient { .. } | ConvPass::NormGradient { .. }, Fusion::Bare) => vec![builder.gradient(false)],
        (ConvPass::WeightGradient, _) => {
            let mut graph = Graph::default();
            let x = graph.map(*input, maps, Role::X);
            let dy = graph.map(output, maps, Role::Dy);
            let dw = graph.weight(spec, maps, Role::Dw);
            graph.push(Operation::WeightGradient { spec: *spec, x, dy, dw });
            vec![graph]
        }
    })
}

fn data_type(element: Element) -> DataType {
    match element {
        Element::F32 => DataType::F32,
        Element::F16 => DataType::F16,
        Element::Bf16 => DataType::BF16,
    }
}

struct Builder<'a> {
    problem: &'a ConvProblem,
    output: Shape,
    /// What maps and weights are in memory.
    maps: DataType,
}

impl Builder<'_> {
    fn convolution(&self, graph: &mut Graph, y: TensorId) {
        let spec = self.problem.spec;
        let x = graph.map(self.problem.input, self.maps, Role::X);
        let w = graph.weight(&spec, self.maps, Role::W);
        graph.push(Operation::Convolution { spec, x, w, y });
    }

    fn product(&self) -> Graph {
        let mut graph = Graph::default();
        let y = graph.map(self.output, self.maps, Role::Y);
        self.convolution(&mut graph, y);
        graph
    }

    fn statistics(&self) -> Graph {
        let mut graph = self.product();
        // The product's output is the graph's first tensor.
        let y = TensorId(0);
        let channels = self.output.channels;
        let sum = graph.per_channel(channels, SINGLE, Role::Sum);
        let squares = graph.per_channel(channels, SINGLE, Role::Squares);
        graph.push(Operation::Statistics { x: y, sum, squares });
        graph
    }

    fn forward(&self, residual: bool, activation: Activation, bias: DataType, residual_first: bool) -> Graph {
        let mut graph = Graph::default();
        let mut value = graph.inner(self.output);
        self.convolution(&mut graph, value);
        let bias = graph.per_channel(self.output.channels, bias, Role::Bias);
        let mut terms = vec![bias];
        if residual {
            let residual = graph.map(self.output, self.maps, Role::Add);
            terms.insert(usize::from(!residual_first), residual);
        }
        let is_last = |at: usize| at + 1 == terms.len() && activation == Activation::Identity;
        for (at, &term) in terms.iter().enumerate() {
            let y = self.result(&mut graph, is_last(at), Role::Y, self.output);
            graph.push(Operation::Pointwise { mode: PointwiseMode::ADD, slope: None, x: value, b: Some(term), y });
            value = y;
        }
        if activation != Activation::Identity {
            let y = graph.map(self.output, self.maps, Role::Y);
            let (mode, slope) = match activation.is_curved() {
                true => (PointwiseMode::SWISH, None),
                false => (PointwiseMode::RELU, Some(f64::from(activation.slope()))),
            };
            graph.push(Operation::Pointwise { mode, slope, x: value, b: None, y });
        }
        graph
    }

    fn gradient(&self, add: bool) -> Graph {
        let (spec, input) = (self.problem.spec, self.problem.input);
        let mut graph = Graph::default();
        let dy = graph.map(self.output, self.maps, Role::Dy);
        let w = graph.weight(&spec, self.maps, Role::W);
        let dx = self.result(&mut graph, !add, Role::Dx, input);
        graph.push(Operation::InputGradient { spec, dy, w, dx });
        if add {
            let term = graph.map(input, self.maps, Role::Add);
            let y = graph.map(input, self.maps, Role::Dx);
            graph.push(Operation::Pointwise { mode: PointwiseMode::ADD, slope: None, x: dx, b: Some(term), y });
        }
        graph
    }

    /// The one form in which cuDNN's precompiled kernels know it: the norm is computed again in these four steps.
    fn norm_gradient(&self, activation: Activation) -> Graph {
        let (spec, input) = (self.problem.spec, self.problem.input);
        let mut graph = Graph::default();
        let dy = graph.map(self.output, self.maps, Role::Dy);
        let w = graph.weight(&spec, self.maps, Role::W);
        let gradient = graph.inner(input);
        graph.push(Operation::InputGradient { spec, dy, w, dx: gradient });
        let x = graph.map(input, self.maps, Role::Saved);
        let mut number = |role| graph.per_channel(input.channels, SINGLE, role);
        let [mean, inverse] = [Role::NormMean, Role::NormInverse].map(&mut number);
        let [weight, bias] = [Role::NormWeight, Role::NormBias].map(&mut number);
        let [weight_gradient, bias_gradient] = [Role::NormWeightGradient, Role::NormBiasGradient].map(&mut number);
        let factors = [Role::NormGradientFactor, Role::NormSavedFactor, Role::NormOffset].map(&mut number);
        let mut value = x;
        for (mode, b) in [
            (PointwiseMode::SUB, mean),
            (PointwiseMode::MUL, inverse),
            (PointwiseMode::MUL, weight),
            (PointwiseMode::ADD, bias),
        ] {
            let y = graph.inner(input);
            graph.push(Operation::Pointwise { mode, slope: None, x: value, b: Some(b), y });
            value = y;
        }
        let dx = graph.map(input, self.maps, Role::Dx);
        graph.push(Operation::ReluBackward { slope: f64::from(activation.slope()), x: value, dy: gradient, dx });
        let dy = dx;
        graph.push(Operation::NormGradient { x, dy, mean, inverse, weight, weight_gradient, bias_gradient, factors });
        graph
    }

    /// The graph's result, or what lives within the kernel.
    fn result(&self, graph: &mut Graph, is_last: bool, role: Role, shape: Shape) -> TensorId {
        if is_last { graph.map(shape, self.maps, role) } else { graph.inner(shape) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ConvSpec;

    fn problem(pass: ConvPass) -> ConvProblem {
        let spec = ConvSpec::new(16, 24, 3, 2);
        ConvProblem { spec, input: Shape::new(2, 9, 9, 16), pass }
    }

    fn roles(graph: &Graph) -> Vec<Role> {
        let mut roles: Vec<Role> = graph.roles().map(|(role, _)| role).collect();
        roles.sort();
        roles
    }

    #[test]
    fn a_fused_forward_reads_and_writes_each_map_once() {
        let pass = ConvPass::Forward { residual: true, activation: Activation::Relu };
        let graphs = graphs(&problem(pass), Element::F16, Fusion::Whole).unwrap();
        assert_eq!(graphs.len(), 2, "one for the precompiled kernels, one with an exact bias");
        for graph in graphs {
            assert_eq!(roles(&graph), [Role::X, Role::W, Role::Y, Role::Bias, Role::Add]);
            assert_eq!(graph.operations.len(), 4);
        }
    }

    #[test]
    fn a_leaky_slope_has_no_precompiled_form() {
        let pass = ConvPass::Forward { residual: false, activation: Activation::LeakyRelu(0.01) };
        assert_eq!(graphs(&problem(pass), Element::F16, Fusion::Whole).unwrap().len(), 1);
    }

    #[test]
    fn silu_is_a_part_of_the_kernel_and_maps_are_what_is_asked_for() {
        let pass = ConvPass::Forward { residual: false, activation: Activation::Silu };
        let graphs = graphs(&problem(pass), Element::Bf16, Fusion::Whole).unwrap();
        let is_swish = |op: &Operation| matches!(op, Operation::Pointwise { mode: PointwiseMode::SWISH, .. });
        assert!(graphs.len() == 1 && graphs[0].operations.last().is_some_and(is_swish));
        let maps = graphs[0].tensors.iter().filter(|tensor| tensor.role.is_some_and(|role| role != Role::Bias));
        assert!(maps.map(|map| map.dtype).eq([DataType::BF16; 3]));
    }

    #[test]
    fn a_weight_has_the_inputs_of_its_group_alone() {
        let spec = ConvSpec { groups: 8, ..ConvSpec::new(16, 24, 3, 2) };
        let grouped = ConvProblem { spec, ..problem(ConvPass::Statistics) };
        let graph = graphs(&grouped, Element::F16, Fusion::Whole).unwrap().swap_remove(0);
        assert!(graph.roles().any(|role| role == (Role::W, 24 * 9 * 2 * 2)));
    }

    #[test]
    fn a_bare_product_leaves_bias_and_residual_alone() {
        let pass = ConvPass::Forward { residual: true, activation: Activation::Relu };
        let graphs = graphs(&problem(pass), Element::F16, Fusion::Bare).unwrap();
        assert_eq!(roles(&graphs[0]), [Role::X, Role::W, Role::Y]);
    }

    #[test]
    fn a_gradient_adds_in_the_same_kernel_or_not_at_all() {
        let pass = ConvPass::InputGradient { add: true };
        let roles_of = |fusion| roles(&graphs(&problem(pass), Element::F16, fusion).unwrap()[0]);
        assert_eq!(roles_of(Fusion::Whole), [Role::W, Role::Add, Role::Dy, Role::Dx]);
        assert_eq!(roles_of(Fusion::Bare), [Role::W, Role::Dy, Role::Dx]);
    }

    #[test]
    fn a_norms_gradient_goes_on_from_what_the_norm_was_given() {
        let pass = ConvPass::NormGradient { activation: Activation::LeakyRelu(0.01) };
        let graph = graphs(&problem(pass), Element::F16, Fusion::Whole).unwrap().swap_remove(0);
        let own = roles(&graph);
        assert_eq!(own[..4], [Role::W, Role::Dy, Role::Dx, Role::Saved]);
        // Four numbers of the norm's that are read, and five that are written.
        assert!(own.len() == 13 && graph.roles().filter(|&(_, bytes)| bytes == 16 * 4).count() == 9);
        let curved = ConvPass::NormGradient { activation: Activation::Silu };
        assert!(graphs(&problem(curved), Element::F16, Fusion::Whole).is_err());
        assert_eq!(graphs(&problem(curved), Element::F16, Fusion::Bare).unwrap().len(), 1);
    }

    #[test]
    fn odd_channels_are_refused_by_name() {
        let odd = ConvProblem { spec: ConvSpec::new(16, 83, 3, 2), ..problem(ConvPass::Statistics) };
        let error = graphs(&odd, Element::F16, Fusion::Whole).unwrap_err().to_string();
        assert!(error.contains("83 channels"), "{error}");
    }
}
