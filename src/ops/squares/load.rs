//! Squares on a GPU, behind an interface that every build has.

use anyhow::Result;

use super::Squares;

/// Prepares CUDA device `number` to make squares, with nvJPEG as it is found; `threads` of the processor may help it.
/// Not yet run on a GPU.
///
/// # Errors
/// In one line why there is no such device, where nvJPEG was sought, or why it cannot be used.
#[cfg(feature = "cuda")]
pub fn load(number: usize, threads: usize) -> Result<Squares> {
    use std::sync::Arc;

    use crate::ops::cuda::Device;
    use crate::ops::nvjpeg::{Decoder, Library};
    use crate::runtime::cuda::probe;
    use crate::runtime::libraries::Surroundings;

    let surroundings = Surroundings::of_process();
    let library = Library::find(&surroundings)?;
    let found = probe(&surroundings).map_err(|absence| anyhow::anyhow!("cuda:{number}: {absence}"))?;
    let device = Arc::new(Device::new(&found, number)?);
    let decoder = Decoder::new(&library, &*device, threads)?;
    Squares::new(device, decoder)
}

/// Prepares CUDA device `number` to make squares.
///
/// # Errors
/// Always: this build has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn load(number: usize, _: usize) -> Result<Squares> {
    anyhow::bail!("cuda:{number}: {}", crate::runtime::cuda::Absence::NotBuilt)
}
