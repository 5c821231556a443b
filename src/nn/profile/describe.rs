//! Ops in words.

use super::Part;
use crate::nn::graph::{Conv, Graph, Op};
use crate::ops::{Isa, Shape};

/// After the node's parameters; where it has none, after the node that it reads.
pub fn name(graph: &Graph, node: usize) -> String {
    let parameter = |id: usize| {
        let name = &graph.parameters()[id].name;
        name.rsplit_once('.').map_or(name.as_str(), |(path, _)| path).to_owned()
    };
    match &graph.nodes[node].op {
        Op::Input { .. } => "images".to_owned(),
        Op::Conv { convs, .. } => convs.first().map(|conv| parameter(conv.weight)).unwrap_or_default(),
        Op::Norm { norm, .. } => parameter(norm.weight),
        Op::Linear { affine } => parameter(affine.weight),
        Op::SqueezeExcite { reduce, .. } => {
            let layer = parameter(reduce.weight);
            layer.rsplit_once('.').map_or(layer.as_str(), |(gate, _)| gate).to_owned()
        }
        _ => {
            let before = graph.nodes[node].inputs.first().map(|input| name(graph, input.0));
            format!("after {}", before.unwrap_or_default())
        }
    }
}

/// What an op of this kind does, whatever its sizes.
pub fn kind(graph: &Graph, node: usize, part: Part, (isa, trained): (Isa, bool)) -> String {
    let op = &graph.nodes[node].op;
    let own = match op {
        Op::Input { cell: 1 } => "normalise".to_owned(),
        Op::Input { .. } => "normalise, space to depth".to_owned(),
        Op::Conv { convs, .. } => conv(convs, part, isa, trained),
        Op::Norm { .. } => "batch norm".to_owned(),
        Op::BlurPool => "blur".to_owned(),
        Op::AveragePool2x2 => "average pool".to_owned(),
        Op::MaxPool3x3 => "max pool".to_owned(),
        Op::Subsample(_) => "subsample".to_owned(),
        Op::SqueezeExcite { .. } => "squeeze-excite".to_owned(),
        Op::Dropout { .. } => "dropout".to_owned(),
        Op::GlobalAveragePool => "global average pool".to_owned(),
        Op::Linear { .. } => "linear".to_owned(),
    };
    match (part, op) {
        (Part::Forward, _) => own,
        (Part::Norm, _) => "batch norm".to_owned(),
        (Part::Gradient, Op::Conv { norm: Some(_), .. }) => "batch norm, gradient".to_owned(),
        (Part::Gradient, Op::Conv { norm: None, .. }) => "activation, gradient".to_owned(),
        (Part::Gradient, _) => format!("{own}, gradient"),
        (Part::WeightGradient, _) => format!("{own}, weight gradient"),
        (Part::InputGradient, _) => format!("{own}, input gradient"),
    }
}

/// Kernel, stride where it is not 1, and algorithm.
fn conv(convs: &[Conv], part: Part, isa: Isa, trained: bool) -> String {
    let [Conv { spec, .. }, ..] = convs else { return "conv".to_owned() };
    let algorithm = spec.algorithm(trained, part.isa(isa));
    let stride = if spec.stride == 1 { String::new() } else { format!("/{}", spec.stride) };
    match convs {
        [_] => format!("conv {0}x{0}{stride} {algorithm}", spec.kernel),
        _ => format!("conv mixed{stride} {algorithm}"),
    }
}

impl Part {
    /// The set that the part's products take: weights' gradients are not multiplied tile by tile.
    pub fn isa(self, isa: Isa) -> Isa {
        if self == Self::WeightGradient { isa.without_tiles() } else { isa }
    }
}

/// An image's input and output.
pub fn shape(graph: &Graph, node: usize, shapes: &[Shape]) -> String {
    let one = |at: usize| {
        let Shape { height, width, channels, .. } = shapes[at];
        format!("{height}x{width}x{channels}")
    };
    match graph.nodes[node].inputs.first() {
        Some(input) => format!("{} > {}", one(input.0), one(node)),
        None => one(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ConvLayer;

    #[test]
    fn an_op_is_named_after_its_parameters_and_a_blur_after_what_it_blurs() {
        let (mut graph, image) = Graph::new(64, 1);
        let layer = ConvLayer { kernels: &[3], ..ConvLayer::new("layer1.0.conv1".into(), 64) };
        let conv = graph.conv(image, ConvLayer { norm: Some("layer1.0.bn1".into()), ..layer });
        let blurred = graph.blur_pool(conv);
        assert_eq!(name(&graph, conv.0), "layer1.0.conv1");
        assert_eq!(name(&graph, blurred.0), "after layer1.0.conv1");
        let said = |part| kind(&graph, conv.0, part, (Isa::Portable, part != Part::Forward));
        assert_eq!(said(Part::Forward), "conv 3x3 winograd F(4x4)");
        assert_eq!(said(Part::WeightGradient), "conv 3x3 winograd F(2x2), weight gradient");
        assert_eq!(said(Part::Gradient), "batch norm, gradient");
        let shapes = graph.shapes(Shape::new(2, 8, 6, 64)).unwrap();
        assert_eq!(shape(&graph, blurred.0, &shapes), "8x6x64 > 4x3x64");
    }
}
