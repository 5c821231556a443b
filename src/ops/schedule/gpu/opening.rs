//! A GPU with the library that convolutions come from. Not yet run on a GPU.

use std::sync::Arc;

use anyhow::{Result, anyhow};

use crate::ops::cuda::Device;
use crate::ops::cudnn::Library;
use crate::runtime::cuda::probe;
use crate::runtime::libraries::Surroundings;

/// Opens the GPU of this number, and cuDNN; where that is missing, which is said, convolutions are our own, and slow.
///
/// # Errors
/// Where there is no such GPU; the message says why.
pub fn open(number: usize) -> Result<(Arc<Device>, Option<Arc<Library>>)> {
    let found = probe(&Surroundings::of_process()).map_err(|absence| anyhow!("cuda:{number}: {absence}"))?;
    let device = Arc::new(Device::new(&found, number)?);
    let folder = found.libraries.as_ref().ok().and_then(|libraries| libraries.cudnn.parent());
    let cudnn = folder.map(|folder| Library::open(Some(folder))).transpose();
    let cudnn = cudnn.unwrap_or_else(|error| {
        tracing::warn!("convolutions will be slow: {error:#}");
        None
    });
    Ok((device, cudnn))
}
