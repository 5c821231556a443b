//! How much an op has to do: floating-point operations, and bytes that come and go.

use std::ops::{AddAssign, Mul};

use super::Part;
use crate::nn::graph::{Conv, Graph, Op};
use crate::ops::{Algorithm, Isa, Shape};

/// Bytes of an f32.
const F32: u64 = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// As the plain sum counts them: a product with its addition is two.
    pub flops: u64,
    /// Those of the algorithm.
    pub spent_flops: u64,
    /// Every activation and weight once.
    pub bytes: u64,
}

impl Work {
    /// An op that does what it says.
    fn plain(flops: usize, values: usize) -> Self {
        Self { flops: flops as u64, spent_flops: flops as u64, bytes: F32 * values as u64 }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.spent_flops += other.spent_flops;
        self.bytes += other.bytes;
    }
}

impl Mul<u64> for Work {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self { flops: times * self.flops, spent_flops: times * self.spent_flops, bytes: times * self.bytes }
    }
}

/// The work of one call of a node's part, for a run on `images` that gives values of `shapes`.
pub fn work(graph: &Graph, node: usize, part: Part, shapes: &[Shape], images: Shape, set: (Isa, bool)) -> Work {
    let own = &graph.nodes[node];
    let out = shapes[node];
    let Some(input) = own.inputs.first().map(|input| shapes[input.0]) else {
        // Bytes in, f32 out, one product and one sum each.
        return Work { bytes: images.len() as u64 + F32 * out.len() as u64, ..Work::plain(2 * out.len(), 0) };
    };
    let residual = if own.inputs.len() > 1 { out.len() } else { 0 };
    let (read, written) = (input.len(), out.len());
    // Back again the gradients go, and of most ops nothing else.
    match (&own.op, part) {
        (Op::Conv { .. }, Part::Norm) | (Op::Norm { .. }, Part::Forward) if set.1 || part == Part::Norm => {
            // Mean and variance, then the normalised value: read twice, written once.
            Work::plain(5 * written, 3 * written + residual)
        }
        (Op::Conv { .. } | Op::Norm { .. }, Part::Gradient) => {
            // The sums of two gradients, then the value's: output and gradient are read twice.
            Work::plain(8 * written, 5 * written + 2 * residual)
        }
        (Op::Conv { convs, norm, .. }, _) => {
            // In training the residual joins behind the norm.
            let residual = if part == Part::Forward && !(set.1 && norm.is_some()) { residual } else { 0 };
            convs.iter().fold(Work::plain(0, residual), |mut sum, conv| {
                sum += product(conv, part, input, out, set);
                sum
            })
        }
        (Op::Norm { .. }, _) => Work::plain(2 * written, 2 * written),
        (Op::BlurPool, _) => Work::plain(2 * 9 * written, read + written),
        (Op::MaxPool3x3, _) => Work::plain(9 * written, read + written),
        (Op::AveragePool2x2, _) => Work::plain(4 * written, read + written),
        (Op::Dropout { .. }, _) => Work::plain(written, read + written),
        (Op::GlobalAveragePool, _) => Work::plain(read, read + written),
        (Op::Subsample(_), _) => Work::plain(0, 2 * written),
        (&Op::SqueezeExcite { hidden, .. }, part) => {
            let gate = 2 * 2 * hidden * out.channels * out.batch;
            let weights = 2 * hidden * out.channels;
            match part {
                // The mean, then the product: the input is read twice.
                Part::Forward => Work::plain(gate + 2 * written, 2 * read + written + residual + weights),
                _ => Work::plain(2 * gate + 6 * written, 4 * written + 2 * residual + 3 * weights),
            }
        }
        (Op::Linear { .. }, part) => {
            let weights = input.channels * out.channels;
            let flops = 2 * weights * out.batch;
            match part {
                Part::Forward => Work::plain(flops, read + weights + written),
                // Both gradients: the weight is read, its gradient is raised.
                _ => Work::plain(2 * flops, 2 * read + 3 * weights + written),
            }
        }
        (Op::Input { .. }, _) => Work::default(),
    }
}

/// A convolution, or one of its gradients: as many products each.
fn product(Conv { spec, .. }: &Conv, part: Part, input: Shape, out: Shape, (isa, trained): (Isa, bool)) -> Work {
    let algorithm = spec.algorithm(trained, part.isa(isa));
    let own = Shape { channels: spec.out_channels, ..out };
    let weights = algorithm.weights(spec) * if is_half(algorithm, part.isa(isa)) { F32 / 2 } else { F32 };
    let maps = F32 * (input.pixels() * spec.in_channels + own.len()) as u64;
    Work {
        flops: Algorithm::Direct.flops(spec, own),
        spent_flops: algorithm.flops(spec, own),
        // A weight's gradient is read and written where it is raised.
        bytes: maps + if part == Part::WeightGradient { 2 * F32 * spec.macs(1) } else { weights },
    }
}

/// Whether the products of a node's part are of bf16.
pub fn is_bf16(graph: &Graph, node: usize, part: Part, (isa, trained): (Isa, bool)) -> bool {
    let is_product = matches!(part, Part::Forward | Part::InputGradient | Part::WeightGradient);
    match &graph.nodes[node].op {
        Op::Conv { convs, .. } if is_product => {
            let isa = part.isa(isa);
            convs.iter().all(|conv| is_half(conv.spec.algorithm(trained, isa), isa))
        }
        _ => false,
    }
}

/// Sums over channels take pairs of bf16; what has no channels to sum over stays in f32.
fn is_half(algorithm: Algorithm, isa: Isa) -> bool {
    isa.is_bf16() && algorithm != Algorithm::Depthwise
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ConvLayer;

    #[test]
    fn the_work_of_a_network_is_its_multiplications_twice() {
        let (mut graph, image) = Graph::new(3, 1);
        let stem = graph.conv(image, ConvLayer { kernels: &[3], stride: 2, ..ConvLayer::new("stem".into(), 32) });
        let layer = ConvLayer { kernels: &[3], ..ConvLayer::new("next".into(), 32) };
        let next = graph.conv(stem, ConvLayer { residual: Some(stem), ..layer });
        graph.blur_pool(next);
        let images = Shape::new(2, 16, 16, 3);
        let shapes = graph.shapes(images).unwrap();
        let of = |node| work(&graph, node, Part::Forward, &shapes, images, (Isa::Portable, false));
        let flops: u64 = (1..4).map(|node| of(node).flops).sum();
        assert_eq!(flops, 2 * 2 * graph.macs(16).unwrap());
        // Two images of 8x8 outputs in tiles of 4x4 with 36 products.
        assert_eq!(of(2).spent_flops, 2 * 2 * 4 * 36 * 32 * 32);
        let maps = 3 * shapes[2].len() as u64;
        assert_eq!(of(2).bytes, 4 * (maps + 36 * 32 * 32), "input, residual, output and the weights at the points");
    }

    #[test]
    fn all_of_a_convolutions_products_are_of_bf16() {
        let (mut graph, image) = Graph::new(4, 1);
        let conv = graph.conv(image, ConvLayer::new("conv".into(), 4));
        let half = |part| is_bf16(&graph, conv.0, part, (Isa::Avx512Bf16, true));
        assert_eq!([Part::Forward, Part::InputGradient, Part::WeightGradient].map(half), [true; 3]);
        assert!(!half(Part::Norm));
        assert!(!is_bf16(&graph, conv.0, Part::Forward, (Isa::Avx512, true)));
    }
}
