//! The compiled kernels inside the binary.

/// Name of a kernel file, names of its kernels, and its fatbin: machine code for the GPUs that build.rs names, PTX for
/// all others.
pub(super) const MODULES: &[(&str, &[&str], &[u8])] = include!(concat!(env!("OUT_DIR"), "/modules.in"));
