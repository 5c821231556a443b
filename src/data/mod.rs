//! From files to batches: where images lie, what their bytes mean, and in which order they come.

pub mod decode;
pub mod loader;
pub mod sampler;
pub mod source;

/// Something that was left out, and why. Shown to the user as `path: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the data set, where it lies within.
    pub path: String,
    pub reason: String,
}
