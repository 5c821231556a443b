//! A graph with its weights laid out for the processor, and the run.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use candle_core::{CpuStorage, Storage, Tensor};
use candle_nn::VarBuilder;

use super::arena::{Arena, Plan};
use super::fold::fold;
use super::graph::{Affine, Conv, Graph, Norm, Op, Value};
use super::profile::{OpProfile, Part, Recorder};
use crate::ops::{
    Activation, BatchStatistics, Conv2d, Isa, Linear, Normalize, Shape, SqueezeExcite, Subsample, average_pool_2x2,
    batch_norm_into, blur_pool, global_average_pool, max_pool_3x3, space_to_depth, subsample,
};

/// Activations of one run may take so much; a larger batch goes through in parts. Beyond the caches a larger part
/// gains nothing, and batch norm's running statistics keep images independent.
const ACTIVATION_BYTES: usize = 48 << 20;

/// An op with its weights.
enum Layer {
    Input {
        cell: usize,
    },
    Conv(Vec<Conv2d>, Activation),
    Norm(FixedNorm, Activation),
    BlurPool,
    AveragePool2x2,
    MaxPool3x3,
    Subsample(Subsample),
    /// Boxed: it is much larger than the others.
    SqueezeExcite(Box<SqueezeExcite>, Activation),
    /// Its value is its input's, in the same buffer.
    Nothing,
    GlobalAveragePool,
    Linear(Linear),
}

/// A batch norm with running statistics.
struct FixedNorm {
    statistics: BatchStatistics,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A network for evaluation: batch norm folded into the convolutions.
pub struct Network {
    graph: Graph,
    layers: Vec<Layer>,
    normalize: Normalize,
    /// One a concurrent caller.
    arenas: Mutex<Vec<Arena>>,
    isa: Isa,
}

impl Network {
    /// Asks `weights` for every parameter of the graph, in the graph's order, and lays them out for `isa`. Bytes will
    /// be normalised with `mean` and `std`, one a channel.
    pub fn bind(graph: Graph, weights: &VarBuilder, mean: &[f32], std: &[f32], isa: Isa) -> Result<Self> {
        let binder = Binder { graph: &graph, weights, isa };
        let layers = graph.nodes.iter().map(|node| binder.layer(&node.op)).collect::<Result<_>>()?;
        Ok(Self { graph, layers, normalize: Normalize::new(mean, std), arenas: Mutex::default(), isa })
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Computes `value`, `[batch, channels]`, for images `[batch, height, width, channels]`: bytes, which are
    /// normalised first, or f32, which are taken as they are.
    pub fn run(&self, images: &Tensor, value: Value) -> Result<Tensor> {
        self.run_recorded(images, value, &mut Recorder::default())
    }

    /// What `recorder` counted of this network's runs, op by op.
    pub fn recorded(&self, recorder: &Recorder) -> Result<Vec<OpProfile>> {
        recorder.ops(&self.graph, self.isa, false)
    }

    /// As [`Self::run`], with each op's time added to `recorder`.
    pub fn run_recorded(&self, images: &Tensor, value: Value, recorder: &mut Recorder) -> Result<Tensor> {
        let (batch, height, width, channels) = images.dims4().context("images are [batch, height, width, channels]")?;
        let part = self.part(Shape::new(1, height, width, channels), value)?;
        let images = images.contiguous()?;
        let mut arena = self.arenas().pop().unwrap_or_default();
        let mut out = Vec::with_capacity(batch * self.graph.channels(value));
        for first in (0..batch).step_by(part) {
            let images = images.narrow(0, first, part.min(batch - first))?;
            self.run_part(&images, value, (&mut arena, recorder), &mut out)?;
        }
        self.arenas().push(arena);
        Ok(Tensor::from_vec(out, (batch, self.graph.channels(value)), images.device())?)
    }

    fn arenas(&self) -> std::sync::MutexGuard<'_, Vec<Arena>> {
        // An arena holds nothing that a panic elsewhere could have left half done.
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Images that go through at a time.
    fn part(&self, image: Shape, value: Value) -> Result<usize> {
        let plan = Plan::new(&self.graph, &self.graph.shapes(image)?, value);
        let bytes = plan.sizes.iter().sum::<usize>() * size_of::<f32>();
        Ok((ACTIVATION_BYTES / bytes.max(1)).max(1))
    }

    /// Appends `value` for a contiguous part of the batch.
    fn run_part(
        &self,
        images: &Tensor,
        value: Value,
        (arena, recorder): (&mut Arena, &mut Recorder),
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (batch, height, width, channels) = images.dims4()?;
        let image = Shape::new(batch, height, width, channels);
        let shapes = self.graph.shapes(image)?;
        let plan = Plan::new(&self.graph, &shapes, value);
        arena.reserve(&plan);
        recorder.begin(image);
        for (at, layer) in self.layers[..=value.0].iter().enumerate() {
            if matches!(layer, Layer::Nothing) {
                continue;
            }
            let started = recorder.start();
            let mut buffer = arena.take(plan.slots[at]);
            let written = &mut buffer[..shapes[at].len()];
            let inputs = self.graph.nodes[at].inputs.iter().map(|input| {
                let shape = shapes[input.0];
                (&arena.slot(plan.slots[input.0])[..shape.len()], shape)
            });
            let result = match layer {
                Layer::Input { cell } => self.read_images(images, image, *cell, written),
                layer => layer.run(inputs, written),
            };
            arena.put_back(plan.slots[at], buffer);
            result?;
            recorder.enter(at);
            recorder.stop(started, Part::Forward);
        }
        out.extend_from_slice(&arena.slot(plan.slots[value.0])[..shapes[value.0].len()]);
        Ok(())
    }

    fn read_images(&self, images: &Tensor, shape: Shape, cell: usize, out: &mut [f32]) -> Result<()> {
        let (storage, layout) = images.storage_and_layout();
        let range = layout.start_offset()..layout.start_offset() + shape.len();
        match &*storage {
            Storage::Cpu(CpuStorage::U8(pixels)) => self.normalize.forward(&pixels[range], shape, cell, out),
            Storage::Cpu(CpuStorage::F32(values)) => space_to_depth(&values[range], shape, cell, out),
            _ => bail!(
                "images are u8 or f32 in the processor's memory, not {:?} on {:?}",
                images.dtype(),
                images.device()
            ),
        }
        Ok(())
    }
}

impl Layer {
    fn run<'a>(&self, mut inputs: impl Iterator<Item = (&'a [f32], Shape)>, out: &mut [f32]) -> Result<()> {
        let Some((input, shape)) = inputs.next() else { bail!("an op has no input") };
        let residual = inputs.next().map(|(values, _)| values);
        match self {
            Self::Input { .. } => bail!("the input is not computed"),
            Self::Nothing => Ok(()),
            Self::Conv(convs, activation) => {
                convs.iter().try_for_each(|conv| conv.forward(input, shape, residual, *activation, out))
            }
            Self::Norm(FixedNorm { statistics, weight, bias }, activation) => {
                batch_norm_into(input, statistics, weight, bias, None, *activation, out);
                Ok(())
            }
            Self::MaxPool3x3 => max_pool_3x3(input, shape, out),
            Self::Subsample(op) => {
                subsample(*op, input, shape, out);
                Ok(())
            }
            Self::BlurPool => blur_pool(input, shape, out),
            Self::AveragePool2x2 => {
                average_pool_2x2(input, shape, out);
                Ok(())
            }
            Self::SqueezeExcite(gate, activation) => gate.forward(input, shape, residual, *activation, out).map(drop),
            Self::GlobalAveragePool => global_average_pool(input, shape, out),
            Self::Linear(linear) => linear.forward(input, shape.batch, Activation::Identity, out),
        }
    }
}

/// Gives ops their weights.
struct Binder<'a> {
    graph: &'a Graph,
    weights: &'a VarBuilder<'a>,
    isa: Isa,
}

impl Binder<'_> {
    fn layer(&self, op: &Op) -> Result<Layer> {
        Ok(match op {
            &Op::Input { cell } => Layer::Input { cell },
            Op::Conv { convs, norm, activation } => Layer::Conv(self.convs(convs, *norm)?, *activation),
            Op::Norm { norm, activation } => Layer::Norm(self.norm(*norm)?, *activation),
            Op::BlurPool => Layer::BlurPool,
            Op::AveragePool2x2 => Layer::AveragePool2x2,
            Op::MaxPool3x3 => Layer::MaxPool3x3,
            Op::Subsample(op) => Layer::Subsample(*op),
            &Op::SqueezeExcite { hidden, reduce, expand, between, activation } => {
                let channels = self.graph.parameters()[expand.bias].shape[0];
                let (reduce, expand) = (self.affine(reduce)?, self.affine(expand)?);
                let [reduce, expand] = [&reduce, &expand].map(|[weight, bias]| [&weight[..], &bias[..]]);
                let op = SqueezeExcite::new([channels, hidden], reduce, expand, between, self.isa);
                Layer::SqueezeExcite(Box::new(op), activation)
            }
            Op::Dropout { .. } => Layer::Nothing,
            Op::GlobalAveragePool => Layer::GlobalAveragePool,
            &Op::Linear { affine } => {
                let [outputs, inputs] = self.graph.parameters()[affine.weight].shape[..] else {
                    bail!("a linear layer's weight has two dimensions");
                };
                let bias = self.parameter(affine.bias)?;
                let laid_out = |weight: &[f32]| Linear::new(inputs, outputs, weight, Some(&bias), self.isa);
                Layer::Linear(self.laid_out(affine.weight, laid_out)?)
            }
        })
    }

    /// Batch norm of a convolution is the convolution scaled and shifted.
    fn convs(&self, convs: &[Conv], norm: Option<Norm>) -> Result<Vec<Conv2d>> {
        let folded = norm.map(|norm| self.folded(norm)).transpose()?;
        let part = |Conv { spec, .. }: &Conv, values: &Vec<f32>| -> Vec<f32> {
            values[spec.output.first..][..spec.out_channels].to_vec()
        };
        let laid_out = convs.iter().map(|conv| {
            let [scale, shift] = [0, 1].map(|which| folded.as_ref().map(|folded| part(conv, &folded[which])));
            let laid_out =
                |weight: &[f32]| Conv2d::new(conv.spec, weight, scale.as_deref(), shift.as_deref(), self.isa);
            self.laid_out(conv.weight, laid_out)
        });
        laid_out.collect()
    }

    fn folded(&self, norm: Norm) -> Result<[Vec<f32>; 2]> {
        let [gamma, beta, mean, variance] =
            [norm.weight, norm.bias, norm.mean, norm.variance].map(|parameter| self.parameter(parameter));
        Ok(fold([&gamma?, &beta?, &mean?, &variance?], self.graph.norm_epsilon()))
    }

    fn norm(&self, norm: Norm) -> Result<FixedNorm> {
        let [weight, bias] = [self.parameter(norm.weight)?, self.parameter(norm.bias)?];
        let (mean, variance) = (self.parameter(norm.mean)?, self.parameter(norm.variance)?);
        let epsilon = self.graph.norm_epsilon();
        let inverse_deviation = variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
        Ok(FixedNorm { statistics: BatchStatistics { mean, variance, inverse_deviation }, weight, bias })
    }

    fn affine(&self, affine: Affine) -> Result<[Vec<f32>; 2]> {
        Ok([self.parameter(affine.weight)?, self.parameter(affine.bias)?])
    }

    fn parameter(&self, id: usize) -> Result<Vec<f32>> {
        self.laid_out(id, <[f32]>::to_vec)
    }

    /// What `lay_out` makes of a parameter's values, which are not copied for it: large ones would cost as much time as
    /// the reading.
    fn laid_out<T>(&self, id: usize, lay_out: impl FnOnce(&[f32]) -> T) -> Result<T> {
        let parameter = &self.graph.parameters()[id];
        let tensor = self.weights.get_with_hints(&parameter.shape[..], &parameter.name, parameter.init)?;
        let (storage, layout) = tensor.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(lay_out(&values[start..end])),
            _ => bail!("the values of {} are not f32 in the processor's memory, one after another", parameter.name),
        }
    }
}
