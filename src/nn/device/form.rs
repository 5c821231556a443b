//! A convolution of the graph as a device computes it.

use anyhow::Result;

use crate::nn::graph::{Conv, Norm, Op, ParameterId};
use crate::ops::cuda::padded;
use crate::ops::{Activation, Bands, ConvSpec, Piece};

/// A convolution with its surroundings.
pub struct DeviceConv<'a> {
    pub form: Form,
    /// What it is made of, with their weights.
    pub convs: &'a [Conv],
    pub norm: Option<Norm>,
    pub activation: Activation,
}

/// How it is computed.
#[derive(Debug, PartialEq)]
pub enum Form {
    /// A product over the channels of the whole map, or of groups of them; its channels are not padded yet. A mixed
    /// convolution becomes one with zeros where an output does not see an input: pointwise ones are bound by memory,
    /// which the zeros do not touch, and windows of channels would be.
    Product(ConvSpec),
    /// A filter a channel.
    Depthwise(Bands),
}

/// The op as such a convolution; `None` for an op that is no convolution.
///
/// # Errors
/// If its parts do not make up one.
pub fn conv(op: &Op) -> Result<Option<DeviceConv<'_>>> {
    let Op::Conv { convs, norm, activation } = op else { return Ok(None) };
    let specs: Vec<ConvSpec> = convs.iter().map(|conv| conv.spec).collect();
    let form = match specs[..] {
        _ if Bands::make_up(&specs) => Form::Depthwise(Bands::new(&specs)?),
        [spec] if fits_in_groups(&spec) => Form::Product(spec),
        _ => Form::Product(ConvSpec::joined(&specs)?),
    };
    Ok(Some(DeviceConv { form, convs, norm: *norm, activation: *activation }))
}

/// Whether groups stay as they are on a device: no channel is added.
fn fits_in_groups(spec: &ConvSpec) -> bool {
    spec.groups > 1
        && [(spec.in_channels, spec.input), (spec.out_channels, spec.output)]
            .into_iter()
            .all(|(channels, window)| channels == window.of && padded(channels) == channels)
}

impl DeviceConv<'_> {
    /// The weight that a device takes as it is: of a product of one part over the channels of that part. All others are
    /// joined of their parts' weights.
    pub fn whole(&self) -> Option<(ConvSpec, ParameterId)> {
        match (&self.form, self.convs) {
            (Form::Product(spec), [only]) if only.spec == *spec => Some((*spec, only.weight)),
            _ => None,
        }
    }

    /// Where the parts' weights lie in the joined one.
    ///
    /// # Errors
    /// If the parts leave output channels out.
    pub fn pieces(&self) -> Result<Vec<Piece>> {
        let parts: Vec<ConvSpec> = self.convs.iter().map(|conv| conv.spec).collect();
        match &self.form {
            Form::Product(spec) => spec.pieces(&parts),
            Form::Depthwise(bands) => Ok(bands.pieces(&parts)),
        }
    }
}

impl Form {
    /// Values of the weight on a device.
    pub fn weight_len(&self) -> usize {
        match self {
            Self::Product(spec) => spec.padded().weight_shape().iter().product(),
            Self::Depthwise(bands) => bands.weight_len(),
        }
    }
}
