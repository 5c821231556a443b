//! What room a device has, behind an interface that every build has.

use anyhow::Result;

/// Bytes on CUDA device `number` that nobody has taken, beside what opening it takes. Not yet run on a GPU.
///
/// # Errors
/// In one line why there is no such device, or what it says.
#[cfg(feature = "cuda")]
pub fn free_device_memory(number: usize) -> Result<usize> {
    super::gpu::opening::open(number)?.0.free_memory()
}

/// Bytes on CUDA device `number` that nobody has taken.
///
/// # Errors
/// Always: this build has no CUDA.
#[cfg(not(feature = "cuda"))]
pub fn free_device_memory(number: usize) -> Result<usize> {
    anyhow::bail!("cuda:{number}: {}", crate::runtime::cuda::Absence::NotBuilt)
}

/// Bytes on a device that convolutions work in, one at a time, beside their tensors.
pub fn convolution_workspace() -> usize {
    #[cfg(feature = "cuda")]
    let bytes = super::gpu::convolution::Convolutions::footprint();
    #[cfg(not(feature = "cuda"))]
    let bytes = 0;
    bytes
}

/// Whether what an error comes from is that the device has no memory left.
pub fn is_out_of_device_memory(error: &anyhow::Error) -> bool {
    #[cfg(feature = "cuda")]
    {
        use crate::ops::cudnn::StatusError;
        use cudarc::driver::{DriverError, sys::CUresult};
        let short = |error: &DriverError| error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY;
        let cudnn_short = StatusError::is_out_of_device_memory;
        error.chain().any(|cause| {
            cause.downcast_ref::<DriverError>().is_some_and(short)
                || cause.downcast_ref::<StatusError>().is_some_and(cudnn_short)
        })
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = error;
        false
    }
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use anyhow::anyhow;
    use cudarc::driver::{DriverError, sys::CUresult};

    use super::is_out_of_device_memory;

    #[test]
    fn lack_of_memory_is_known_through_whatever_is_said_about_it() {
        let error = |code| anyhow!(DriverError(code)).context("3 bytes wanted").context("cannot prepare a batch of 9");
        assert!(is_out_of_device_memory(&error(CUresult::CUDA_ERROR_OUT_OF_MEMORY)));
        assert!(!is_out_of_device_memory(&error(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS)));
        assert!(!is_out_of_device_memory(&anyhow!("out of memory")));
    }
}
