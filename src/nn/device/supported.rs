//! What of the graph has kernels on a GPU so far.

use anyhow::{Result, bail, ensure};

use crate::nn::graph::{Norm, Op, ParameterId};
use crate::ops::{Activation, ConvSpec};

/// A convolution that a device knows.
#[derive(Clone, Copy)]
pub struct DeviceConv {
    pub spec: ConvSpec,
    pub weight: ParameterId,
    pub norm: Option<Norm>,
    pub activation: Activation,
}

/// The op as such a convolution; `None` for an op that is no convolution.
///
/// # Errors
/// For a grouped, depthwise or mixed convolution, or SiLU.
pub fn conv(op: &Op) -> Result<Option<DeviceConv>> {
    let Op::Conv { convs, norm, activation } = op else { return Ok(None) };
    let [conv] = convs[..] else { bail!("mixed convolutions have no kernels on a GPU yet") };
    ensure!(conv.spec.is_dense(), "grouped and depthwise convolutions have no kernels on a GPU yet");
    sloped(*activation)?;
    Ok(Some(DeviceConv { spec: conv.spec, weight: conv.weight, norm: *norm, activation: *activation }))
}

/// # Errors
/// For an activation that is no slope.
pub fn sloped(activation: Activation) -> Result<()> {
    ensure!(!activation.is_curved(), "SiLU has no kernels on a GPU yet");
    Ok(())
}
