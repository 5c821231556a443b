//! A convolution both ways: a product or filters, its weight as it is or joined of parts, and the norm behind it.

use std::ops::Range;

use anyhow::{Result, bail};

use super::backward::Gradients;
use super::{Lowering, Record};
use crate::nn::device::form::{DeviceConv, Form};
use crate::nn::graph::Value;
use crate::ops::cuda::depthwise::weight_gradient_len;
use crate::ops::training::{Filter, FilterPart, NORM_SUMS, NormPlaces, TrainingOp, Variable};
use crate::ops::{Activation, ConvPass, ConvProblem, Piece, Shape};

impl Lowering<'_> {
    pub fn conv_forward(
        &mut self,
        at: usize,
        conv: &DeviceConv,
        input: Variable,
        shape: Shape,
        residual: Option<Variable>,
    ) -> Result<Record> {
        let own = self.map(Value(at));
        let (added, after) = self.joined(at, residual, conv.activation);
        let weight = self.filter(conv, true)?;
        let filter = match &weight {
            Filter::Parameter(_) => None,
            Filter::Joined(parts) => {
                let filter = self.builder.map(Shape::new(1, 1, 1, conv.form.weight_len()));
                self.builder.push(TrainingOp::JoinFilter { parts: parts.clone() }, [], [filter]);
                Some(filter)
            }
        };
        let out = self.builder.map(own);
        let Some(norm) = conv.norm else {
            let (op, reads) = match &conv.form {
                Form::Product(spec) => {
                    let pass = ConvPass::Forward { residual: added.is_some(), activation: after };
                    let problem = ConvProblem { spec: spec.padded(), input: shape, pass };
                    (TrainingOp::Conv { problem, weight }, [Some(input), added, filter])
                }
                Form::Depthwise(bands) => {
                    let op = TrainingOp::Depthwise { bands: bands.clone(), shape, activation: after };
                    (op, [Some(input), filter, added])
                }
            };
            self.builder.push_all(op, reads.into_iter().flatten().collect(), vec![out]);
            let out = self.join(at, out, own, residual, conv.activation);
            return Ok(Record { filter, ..Record::of(out) });
        };
        let reads = [Some(input), filter].into_iter().flatten().collect();
        let sums = match &conv.form {
            Form::Product(spec) => {
                let sums = [own.channels; 2].map(|count| self.builder.words(count));
                let problem = ConvProblem { spec: spec.padded(), input: shape, pass: ConvPass::Statistics };
                self.builder.push_all(TrainingOp::Conv { problem, weight }, reads, vec![out, sums[0], sums[1]]);
                Some(sums)
            }
            Form::Depthwise(bands) => {
                let op = TrainingOp::Depthwise { bands: bands.clone(), shape, activation: Activation::Identity };
                self.builder.push_all(op, reads, vec![out]);
                None
            }
        };
        let numbers = self.statistics(norm, out, own, sums);
        let in_place = self.in_place(conv.activation, residual.is_some());
        let result = if in_place { self.builder.over(out) } else { self.builder.map(own) };
        let op = TrainingOp::Norm { shape: own, norm: self.parameters.norm(norm), activation: after };
        let reads = [Some(out), Some(numbers), added].into_iter().flatten().collect();
        self.builder.push_all(op, reads, vec![result]);
        let result = self.join(at, result, own, residual, conv.activation);
        Ok(Record { norm: Some(((!in_place).then_some(out), numbers)), filter, ..Record::of(result) })
    }

    pub fn conv_backward(
        &mut self,
        at: usize,
        conv: &DeviceConv,
        input: Value,
        segment: &Range<usize>,
        gradient: Variable,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let (x, shape) = (self.output(input), self.map(input));
        if !conv.convs.iter().all(|part| self.frozen[part.weight]) {
            self.weight_gradient(conv, [x, gradient], shape)?;
        }
        // Nobody asks for the image's gradient.
        if input == Value(0) {
            return Ok(());
        }
        let (add, filter) = (gradients[input.0].take(), self.records[at].filter);
        let out = self.builder.map(shape);
        let (op, reads) = match &conv.form {
            Form::Product(spec) => {
                let saved = self.norm_behind(at, input, segment);
                let (pass, norm) = match saved {
                    Some((norm, activation, _)) => (ConvPass::NormGradient { activation }, Some(norm)),
                    None => (ConvPass::InputGradient { add: add.is_some() }, None),
                };
                let [held, numbers] = saved.map_or([None; 2], |(.., saved)| saved.map(Some));
                self.sums[input.0] = saved.map(|_| self.builder.words(NORM_SUMS * shape.channels));
                let problem = ConvProblem { spec: spec.padded(), input: shape, pass };
                let weight = self.filter(conv, true)?;
                (TrainingOp::ConvInputGradient { problem, weight, norm }, [Some(gradient), add, held, numbers, filter])
            }
            Form::Depthwise(bands) => {
                let op = TrainingOp::DepthwiseInputGradient { bands: bands.clone(), shape };
                (op, [Some(gradient), filter, add, None, None])
            }
        };
        let writes = std::iter::once(out).chain(self.sums[input.0]).collect();
        self.builder.push_all(op, reads.into_iter().flatten().collect(), writes);
        gradients[input.0] = Some(out);
        Ok(())
    }

    /// The norm that a convolution's gradient may go on through, its activation, and what it saved: its input and numbers.
    /// Not where the norm worked in place, nor where its values are those of a segment before.
    fn norm_behind(
        &self,
        at: usize,
        input: Value,
        segment: &Range<usize>,
    ) -> Option<(NormPlaces, Activation, [Variable; 2])> {
        let (norm, activation) = self.graph.norm_behind(at, input).filter(|_| segment.contains(&input.0))?;
        let (held, numbers) = self.records[input.0].norm?;
        Some((self.parameters.norm(norm), activation, [held?, numbers]))
    }

    fn weight_gradient(&mut self, conv: &DeviceConv, maps: [Variable; 2], shape: Shape) -> Result<()> {
        let weight = self.filter(conv, false)?;
        let len = conv.form.weight_len();
        match (&conv.form, weight) {
            (Form::Product(spec), weight) => {
                let bare = match weight {
                    Filter::Parameter(_) => self.builder.map(Shape::new(1, 1, 1, len)),
                    // Kernels of our own sum it up in f32.
                    Filter::Joined(_) => self.builder.words(len),
                };
                let problem = ConvProblem { spec: spec.padded(), input: shape, pass: ConvPass::WeightGradient };
                self.builder.push(TrainingOp::ConvWeightGradient { problem, weight }, maps, [bare]);
            }
            (Form::Depthwise(bands), Filter::Joined(parts)) => {
                let sums = self.builder.words(weight_gradient_len(bands, shape));
                let op = TrainingOp::DepthwiseWeightGradient { bands: bands.clone(), shape, parts };
                self.builder.push(op, maps, [sums]);
            }
            (Form::Depthwise(_), Filter::Parameter(_)) => bail!("a depthwise weight is joined of its parts"),
        }
        Ok(())
    }

    /// A convolution's weight: of all its parts, or of those alone that get a gradient.
    fn filter(&self, conv: &DeviceConv, all: bool) -> Result<Filter> {
        if let Some((_, weight)) = conv.whole() {
            return Ok(Filter::Parameter(self.parameters.place(weight)));
        }
        let part = |piece: Piece| {
            let weight = conv.convs[piece.part].weight;
            let wanted = all || !self.frozen[weight];
            wanted.then(|| FilterPart { piece, place: self.parameters.place(weight) })
        };
        Ok(Filter::Joined(conv.pieces()?.into_iter().filter_map(part).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::device::{DeviceTraining, NormChoice, NormMode, TrainingOptions};
    use crate::nn::graph::{Graph, Value};
    use crate::nn::training::Drops;
    use crate::nn::{ConvLayer, Grouping, torch_default};
    use crate::ops::cuda::Element;
    use crate::ops::training::{Filter, LossRule, Stepper, TargetKind, TrainingOp, UpdateRules};
    use crate::ops::{Activation, Shape};
    use candle_nn::Init;

    /// A mixed product, mixed filters, and the classifier.
    fn graph(activation: Activation) -> (Graph, Value) {
        let (mut graph, image) = Graph::new(3, 1);
        let layer = |name: &str, kernels| ConvLayer { kernels, ..ConvLayer::new(name.into(), 16) };
        let x = graph.conv(image, ConvLayer { activation, ..layer("product", &[1, 1]) });
        let x = graph.conv(x, ConvLayer { grouping: Grouping::Depthwise, ..layer("filters", &[3, 5]) });
        let x = graph.global_average_pool(x);
        let logits = graph.linear(x, "fc", 2, [Init::Const(0.0), torch_default(16)]);
        (graph, logits)
    }

    fn training(activation: Activation, frozen: &[usize]) -> DeviceTraining {
        let (graph, logits) = graph(activation);
        DeviceTraining {
            frozen: (0..graph.parameters().len()).map(|number| frozen.contains(&number)).collect(),
            graph,
            logits,
            drops: Drops::default(),
            options: TrainingOptions {
                element: Element::F16,
                norms: NormMode::Stored,
                loss: LossRule::CrossEntropy { smoothing: 0.0 },
                targets: TargetKind::Classes,
                bytes: true,
                checkpointing: false,
            },
            norms: NormChoice::Always(NormMode::Stored),
            rules: UpdateRules {
                stepper: Stepper::Sgd { momentum: 0.0, nesterov: false },
                clip: None,
                scaling: None,
                groups: Vec::new(),
                averages: false,
            },
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
            deterministic: false,
            scale: 1.0,
        }
    }

    /// Of each convolution the parts whose gradient is computed.
    fn trained(frozen: &[usize]) -> Vec<Vec<usize>> {
        let schedule = training(Activation::Relu, frozen).schedule(Shape::new(2, 8, 8, 3), NormMode::Stored).unwrap();
        let parts = schedule.steps.iter().filter_map(|step| match &step.op {
            TrainingOp::ConvWeightGradient { weight: Filter::Joined(parts), .. }
            | TrainingOp::DepthwiseWeightGradient { parts, .. } => Some(parts),
            _ => None,
        });
        parts.map(|parts| parts.iter().map(|part| part.piece.part).collect()).collect()
    }

    #[test]
    fn frozen_parts_get_no_gradient_and_a_convolution_of_them_costs_nothing() {
        assert_eq!(trained(&[]), [vec![0, 1], vec![0, 1]]);
        assert_eq!(trained(&[0, 3]), [vec![0], vec![1]]);
        assert_eq!(trained(&[0, 1]), [vec![0, 1]]);
    }

    /// Of each convolution whose input has a gradient, whether that goes on through the norm before it.
    fn gone_on(norms: NormMode) -> Vec<bool> {
        let mut training = training(Activation::Relu, &[]);
        let (mut graph, image) = Graph::new(3, 1);
        let layer = |name: &str| ConvLayer {
            kernels: &[3],
            activation: Activation::LeakyRelu(0.01),
            ..ConvLayer::normed(format!("{name}.conv"), format!("{name}.bn"), 16)
        };
        let stem = graph.conv(image, layer("stem"));
        let x = graph.conv(stem, layer("0"));
        let x = graph.conv(x, ConvLayer { residual: Some(stem), ..layer("1") });
        let x = graph.conv(x, layer("2"));
        let x = graph.blur_pool(x);
        let x = graph.conv(x, layer("3"));
        let x = graph.global_average_pool(x);
        training.logits = graph.linear(x, "fc", 2, [Init::Const(0.0), torch_default(16)]);
        training.frozen = vec![false; graph.parameters().len()];
        training.graph = graph;
        let schedule = training.schedule(Shape::new(2, 8, 8, 3), norms).unwrap();
        let norms = schedule.steps.iter().filter_map(|step| match &step.op {
            TrainingOp::ConvInputGradient { norm, .. } => Some(norm.is_some()),
            _ => None,
        });
        norms.collect()
    }

    #[test]
    fn a_gradient_goes_on_through_a_norm_whose_result_is_the_convolutions_alone() {
        // Behind a blur, of a sum, of what is added elsewhere too, and between.
        assert_eq!(gone_on(NormMode::Stored), [false, false, true, false]);
        assert_eq!(gone_on(NormMode::InPlace), [false; 4], "what the norm was given is gone");
    }

    #[test]
    fn silu_that_cannot_be_recovered_is_refused() {
        let image = Shape::new(2, 8, 8, 3);
        let error = training(Activation::Silu, &[]).schedule(image, NormMode::Stored).unwrap_err().to_string();
        assert_eq!(error, "SiLU without a norm of its own is not trained");
    }
}
