//! A network's parameters in a device's flat arrays, and back: a filter's input channels last, channels padded with
//! zeros that no checkpoint sees.

use std::ops::Range;

use anyhow::{Result, ensure};

use crate::nn::device::form::conv;
use crate::nn::graph::{Affine, Graph, Norm, Op, ParameterId};
use crate::ops::ConvSpec;
use crate::ops::cuda::padded;
use crate::ops::training::{AffinePlaces, FlatLayout, NormPlaces, Place};

/// How a parameter's values lie in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// `[out_channels, in_channels, kernel, kernel]` as `[out_channels, kernel, kernel, in_channels]`, both channels
    /// padded, or of a group the inputs as they are.
    Filter(ConvSpec),
    /// Rows and columns, each with its number on the device. A vector has one row.
    Matrix { own: [usize; 2], on_device: [usize; 2] },
}

/// Where all parameters of a graph lie.
#[derive(Clone, Debug)]
pub struct DeviceParameters {
    forms: Vec<Form>,
    pub layout: FlatLayout,
}

impl DeviceParameters {
    /// For a graph of which `frozen` parameters, one flag each, are not stepped.
    ///
    /// # Errors
    /// If the parts of a convolution do not make up one.
    pub fn new(graph: &Graph, frozen: &[bool]) -> Result<Self> {
        let parameters = graph.parameters();
        ensure!(frozen.len() == parameters.len(), "one flag is needed for each of {} parameters", parameters.len());
        // What no op claims is a vector: norms' parameters, and the parts of which convolutions' weights are joined.
        let vector = |len: usize| Form::Matrix { own: [1, len], on_device: [1, padded(len)] };
        let len = |id: ParameterId| parameters[id].shape.iter().product::<usize>();
        let mut forms: Vec<Form> = (0..parameters.len()).map(|at| vector(len(at))).collect();
        let mut linear = |Affine { weight, bias }: Affine, pad: [fn(usize) -> usize; 2]| {
            let outputs = len(bias);
            let own = [outputs, len(weight) / outputs.max(1)];
            forms[weight] = Form::Matrix { own, on_device: [pad[0](own[0]), pad[1](own[1])] };
            forms[bias] = Form::Matrix { own: [1, outputs], on_device: [1, pad[0](outputs)] };
        };
        for node in &graph.nodes {
            match node.op {
                Op::SqueezeExcite { reduce, expand, .. } => {
                    linear(reduce, [as_is, padded]);
                    linear(expand, [padded, as_is]);
                }
                Op::Linear { affine } => linear(affine, [as_is, padded]),
                _ => {}
            }
        }
        for node in &graph.nodes {
            if let Some((spec, weight)) = conv(&node.op)?.and_then(|conv| conv.whole()) {
                forms[weight] = Form::Filter(spec);
            }
        }
        let trained = |wanted: bool| {
            let numbers = parameters.iter().enumerate().filter(|(_, parameter)| parameter.trainable);
            numbers.map(|(at, _)| at).filter(|&at| frozen[at] != wanted).collect::<Vec<usize>>()
        };
        let lens: Vec<usize> = forms.iter().map(Form::len).collect();
        let mut layout = FlatLayout::new(&lens, trained(true), &trained(false))?;
        layout.units = forms.iter().zip(parameters).map(|(form, own)| form.unit(&own.shape)).collect();
        Ok(Self { forms, layout })
    }

    /// Parameters as a checkpoint holds them, in the flat order.
    pub fn pack(&self, parameters: &[Vec<f32>]) -> Vec<f32> {
        let mut flat = vec![0.0; self.layout.len];
        for (number, values) in parameters.iter().enumerate() {
            self.pack_one(number, values, &mut flat);
        }
        flat
    }

    /// One of them, into the flat array.
    pub fn pack_one(&self, number: usize, values: &[f32], flat: &mut [f32]) {
        let place = &mut flat[self.range(number)];
        self.forms[number].each(|own, on_device| place[on_device] = values[own]);
    }

    /// The other way, for parameter `number`.
    pub fn unpack(&self, number: usize, flat: &[f32]) -> Vec<f32> {
        let place = &flat[self.range(number)];
        let mut values = vec![0.0; self.forms[number].own_len()];
        self.forms[number].each(|own, on_device| values[own] = place[on_device]);
        values
    }

    fn range(&self, number: usize) -> Range<usize> {
        let Place { start, len } = self.layout.places[number];
        start..start + len
    }

    pub fn place(&self, number: ParameterId) -> Place {
        self.layout.places[number]
    }

    pub(super) fn norm(&self, norm: Norm) -> NormPlaces {
        let [weight, bias, mean, variance] =
            [norm.weight, norm.bias, norm.mean, norm.variance].map(|number| self.place(number));
        NormPlaces { weight, bias, mean, variance }
    }

    pub(super) fn affine(&self, affine: Affine) -> AffinePlaces {
        AffinePlaces { weight: self.place(affine.weight), bias: self.place(affine.bias) }
    }
}

impl Form {
    /// Values on the device.
    fn len(&self) -> usize {
        match self {
            Self::Filter(spec) => spec.padded().weight_shape().iter().product(),
            Self::Matrix { on_device, .. } => on_device.iter().product(),
        }
    }

    /// Values on the device of an output unit of a parameter that has this shape in checkpoints.
    fn unit(&self, shape: &[usize]) -> usize {
        match (self, shape) {
            (Self::Filter(spec), _) => spec.padded().weight_shape()[1..].iter().product(),
            // A part of a joined weight, as checkpoints hold it.
            (Self::Matrix { own: [1, columns], .. }, [outputs, _, ..]) => columns / (*outputs).max(1),
            (Self::Matrix { on_device: [_, columns], .. }, _) => *columns,
        }
    }

    fn own_len(&self) -> usize {
        match self {
            Self::Filter(spec) => spec.weight_shape().iter().product(),
            Self::Matrix { own, .. } => own.iter().product(),
        }
    }

    /// Tells of each value where it is in a checkpoint and where on the device.
    fn each(&self, mut tell: impl FnMut(usize, usize)) {
        match self {
            Self::Filter(spec) => {
                let [outputs, inputs, kernel, _] = spec.weight_shape();
                let (taps, wide) = (kernel * kernel, if spec.groups > 1 { inputs } else { padded(inputs) });
                for at in 0..outputs * inputs * taps {
                    let (tap, input, output) = (at % taps, at / taps % inputs, at / taps / inputs);
                    tell(at, (output * taps + tap) * wide + input);
                }
            }
            Self::Matrix { own: [rows, columns], on_device: [_, wide] } => {
                for at in 0..rows * columns {
                    tell(at, at / columns * wide + at % columns);
                }
            }
        }
    }
}

fn as_is(size: usize) -> usize {
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{ConvLayer, Grouping, SqueezeExciteLayer, torch_default};
    use crate::ops::cuda::conv2d::filter_for_device;
    use candle_nn::Init;

    fn graph() -> Graph {
        let (mut graph, image) = Graph::new(3, 1);
        let layer = ConvLayer { kernels: &[3], ..ConvLayer::normed("conv".into(), "bn".into(), 12) };
        let x = graph.conv(image, layer);
        let layer = |name: &str, kernels| ConvLayer { kernels, ..ConvLayer::new(name.into(), 16) };
        let x = graph.conv(x, layer("mixed", &[1, 1]));
        let x = graph.conv(x, ConvLayer { grouping: Grouping::Groups(4), ..layer("groups", &[3]) });
        let x = graph.conv(x, ConvLayer { grouping: Grouping::Depthwise, ..layer("filters", &[3, 5, 7]) });
        let x = graph.squeeze_excite(x, SqueezeExciteLayer::new("se", 5));
        let x = graph.global_average_pool(x);
        graph.linear(x, "fc", 7, [Init::Const(0.0), torch_default(16)]);
        graph
    }

    #[test]
    fn parameters_come_back_as_they_were() {
        let graph = graph();
        let parameters = DeviceParameters::new(&graph, &vec![false; graph.parameters().len()]).unwrap();
        let count = |at: usize| graph.parameters()[at].shape.iter().product::<usize>();
        let values = |at: usize| (0..count(at)).map(|value| (at * 1000 + value) as f32 + 1.0).collect();
        let own: Vec<Vec<f32>> = (0..graph.parameters().len()).map(values).collect();
        let flat = parameters.pack(&own);
        let padding = flat.iter().filter(|value| **value == 0.0).count();
        assert_eq!(padding, flat.len() - own.iter().map(Vec::len).sum::<usize>());
        for (number, own) in own.iter().enumerate() {
            assert_eq!(&parameters.unpack(number, &flat), own, "{}", graph.parameters()[number].name);
        }
    }

    #[test]
    fn an_output_units_values_lie_together() {
        let graph = graph();
        let parameters = DeviceParameters::new(&graph, &vec![false; graph.parameters().len()]).unwrap();
        for (number, own) in graph.parameters().iter().enumerate() {
            let units = if own.shape.len() > 1 { own.shape[0] } else { 1 };
            let len = own.shape.iter().product::<usize>();
            // Each value is its unit's number.
            let values: Vec<f32> = (0..len).map(|at| (at / (len / units)) as f32 + 1.0).collect();
            let mut flat = vec![0.0; parameters.layout.len];
            parameters.pack_one(number, &values, &mut flat);
            let (first, wide) = (parameters.place(number).start, parameters.layout.units[number]);
            for unit in 0..units {
                let held: Vec<f32> =
                    flat[first + unit * wide..][..wide].iter().copied().filter(|x| *x != 0.0).collect();
                assert_eq!(held, vec![unit as f32 + 1.0; len / units], "unit {unit} of {}", own.name);
            }
        }
    }

    #[test]
    fn filters_lie_as_evaluations_do() {
        for spec in [ConvSpec::new(3, 12, 3, 1), ConvSpec { groups: 4, ..ConvSpec::new(8, 16, 3, 1) }] {
            let weight: Vec<f32> = (0..spec.weight_shape().iter().product()).map(|value| value as f32).collect();
            let mut ours = vec![0.0; Form::Filter(spec).len()];
            Form::Filter(spec).each(|own, on_device| ours[on_device] = weight[own]);
            assert_eq!(ours, filter_for_device(&spec, &weight, padded));
        }
    }
}
