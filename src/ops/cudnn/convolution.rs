//! The operation graphs of a convolution: for each degree of fusion the forms in which cuDNN may know it.

use anyhow::{Result, ensure};

use super::attribute::{DataType, PointwiseMode};
use super::graph::{Graph, Operation, Role, TensorId};
use crate::ops::{Activation, ConvPass, ConvProblem, Fusion, Shape};

/// What feature maps, weights and their gradients are in memory.
const HALF: DataType = DataType::F16;
const SINGLE: DataType = DataType::F32;

/// The graphs that compute `fusion` of the problem, the one with the faster kernels first.
///
/// # Errors
/// If the problem has no output, or channels that are no multiple of 8 (see [`crate::ops::cuda::padded`]).
pub fn graphs(problem: &ConvProblem, fusion: Fusion) -> Result<Vec<Graph>> {
    let ConvProblem { spec, input, pass } = problem;
    let output = problem.output()?;
    ensure!(spec.is_dense(), "{problem}: grouped and mixed convolutions are not planned yet");
    if let ConvPass::Forward { activation, .. } | ConvPass::InputGradient { activation, .. } = pass {
        ensure!(!activation.is_curved(), "{problem}: curved activations are not planned yet");
    }
    for channels in [spec.in_channels, spec.out_channels] {
        ensure!(channels % 8 == 0, "{problem}: {channels} channels are no multiple of 8");
    }
    let builder = Builder { problem, output };
    Ok(match (*pass, fusion) {
        (ConvPass::Forward { residual, activation }, Fusion::Whole) => {
            let mut graphs = Vec::new();
            // Hopper's precompiled kernels know the order residual, bias in f16, ReLU, and no other slope.
            if activation.slope() == 0.0 || activation == Activation::Identity {
                graphs.push(builder.forward(residual, activation, HALF, true));
            }
            graphs.push(builder.forward(residual, activation, SINGLE, false));
            graphs
        }
        (ConvPass::Statistics, Fusion::Whole) => vec![builder.statistics()],
        (ConvPass::Forward { .. } | ConvPass::Statistics, _) => vec![builder.product()],
        (ConvPass::InputGradient { add, activation }, Fusion::Whole) => vec![builder.gradient(add, activation)],
        (ConvPass::InputGradient { add, .. }, Fusion::WithoutActivation) => {
            vec![builder.gradient(add, Activation::Identity)]
        }
        (ConvPass::InputGradient { .. }, Fusion::Bare) => vec![builder.gradient(false, Activation::Identity)],
        (ConvPass::WeightGradient, _) => {
            let mut graph = Graph::default();
            let x = graph.map(*input, HALF, Role::X);
            let dy = graph.map(output, HALF, Role::Dy);
            let dw = graph.weight(spec, HALF, Role::Dw);
            graph.push(Operation::WeightGradient { spec: *spec, x, dy, dw });
            vec![graph]
        }
    })
}

struct Builder<'a> {
    problem: &'a ConvProblem,
    output: Shape,
}

impl Builder<'_> {
    fn convolution(&self, graph: &mut Graph, y: TensorId) {
        let spec = self.problem.spec;
        let x = graph.map(self.problem.input, HALF, Role::X);
        let w = graph.weight(&spec, HALF, Role::W);
        graph.push(Operation::Convolution { spec, x, w, y });
    }

    fn product(&self) -> Graph {
        let mut graph = Graph::default();
        let y = graph.map(self.output, HALF, Role::Y);
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
            let residual = graph.map(self.output, HALF, Role::Add);
            terms.insert(usize::from(!residual_first), residual);
        }
        let is_last = |at: usize| at + 1 == terms.len() && activation == Activation::Identity;
        for (at, &term) in terms.iter().enumerate() {
            let y = self.result(&mut graph, is_last(at), Role::Y, self.output);
            graph.push(Operation::Pointwise { mode: PointwiseMode::ADD, slope: None, x: value, b: Some(term), y });
            value = y;
        }
        if activation != Activation::Identity {
            let y = graph.map(self.output, HALF, Role::Y);
            let slope = Some(f64::from(activation.slope()));
            graph.push(Operation::Pointwise { mode: PointwiseMode::RELU, slope, x: value, b: None, y });
        }
        graph
    }

    fn gradient(&self, add: bool, activation: Activation) -> Graph {
        let (spec, input) = (self.problem.spec, self.problem.input);
        let through = activation != Activation::Identity;
        let mut graph = Graph::default();
        let dy = graph.map(self.output, HALF, Role::Dy);
        let w = graph.weight(&spec, HALF, Role::W);
        let mut value = self.result(&mut graph, !add && !through, Role::Dx, input);
        graph.push(Operation::InputGradient { spec, dy, w, dx: value });
        if add {
            let term = graph.map(input, HALF, Role::Add);
            let y = self.result(&mut graph, !through, Role::Dx, input);
            graph.push(Operation::Pointwise { mode: PointwiseMode::ADD, slope: None, x: value, b: Some(term), y });
            value = y;
        }
        if through {
            let x = graph.map(input, HALF, Role::Through);
            let dx = graph.map(input, HALF, Role::Dx);
            graph.push(Operation::ReluBackward { slope: f64::from(activation.slope()), x, dy: value, dx });
        }
        graph
    }

    /// The graph's result, or what lives within the kernel.
    fn result(&self, graph: &mut Graph, is_last: bool, role: Role, shape: Shape) -> TensorId {
        if is_last { graph.map(shape, HALF, role) } else { graph.inner(shape) }
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
        let graphs = graphs(&problem(pass), Fusion::Whole).unwrap();
        assert_eq!(graphs.len(), 2, "one for the precompiled kernels, one with an exact bias");
        for graph in graphs {
            assert_eq!(roles(&graph), [Role::X, Role::W, Role::Y, Role::Bias, Role::Add]);
            assert_eq!(graph.operations.len(), 4);
        }
    }

    #[test]
    fn a_leaky_slope_has_no_precompiled_form() {
        let pass = ConvPass::Forward { residual: false, activation: Activation::LeakyRelu(0.01) };
        assert_eq!(graphs(&problem(pass), Fusion::Whole).unwrap().len(), 1);
    }

    #[test]
    fn a_bare_product_leaves_bias_and_residual_alone() {
        let pass = ConvPass::Forward { residual: true, activation: Activation::Relu };
        let graphs = graphs(&problem(pass), Fusion::Bare).unwrap();
        assert_eq!(roles(&graphs[0]), [Role::X, Role::W, Role::Y]);
    }

    #[test]
    fn a_gradient_without_its_activation_still_adds() {
        let pass = ConvPass::InputGradient { add: true, activation: Activation::Relu };
        let roles_of = |fusion| roles(&graphs(&problem(pass), fusion).unwrap()[0]);
        assert_eq!(roles_of(Fusion::Whole), [Role::W, Role::Add, Role::Through, Role::Dy, Role::Dx]);
        assert_eq!(roles_of(Fusion::WithoutActivation), [Role::W, Role::Add, Role::Dy, Role::Dx]);
        assert_eq!(roles_of(Fusion::Bare), [Role::W, Role::Dy, Role::Dx]);
    }

    #[test]
    fn odd_channels_are_refused_by_name() {
        let mut odd = problem(ConvPass::Statistics);
        odd.spec.out_channels = 83;
        let error = graphs(&odd, Fusion::Whole).unwrap_err().to_string();
        assert!(error.contains("83 channels"), "{error}");
    }
}
