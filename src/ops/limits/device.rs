//! What a GPU can do at most, behind a function that every build has.

use anyhow::Result;

use super::Limits;
use crate::ops::cuda::Element;

/// Measures CUDA device `number` with products of `element`.
///
/// # Errors
/// In one line why there is no such device, or what it says.
#[cfg(feature = "cuda")]
pub fn device_limits(number: usize, element: Element) -> Result<Limits> {
    super::gpu::measure(number, element)
}

/// Measures CUDA device `number` with products of `element`.
///
/// # Errors
/// Always: this build has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn device_limits(number: usize, _: Element) -> Result<Limits> {
    anyhow::bail!("cuda:{number}: {}", crate::runtime::cuda::Absence::NotBuilt)
}
