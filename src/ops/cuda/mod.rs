//! The ops on an NVIDIA GPU: kernels of our own, each in a `.cu` file beside its op, and their launches.
//!
//! Every op here writes to memory that the caller laid out beforehand, allocates nothing and waits for nothing, so that
//! any sequence of launches can be captured as a graph. What a launch is made of (name, grid, arguments, bounds) is
//! plain Rust in every build; a [`Launch`] is run by `Device` with the feature `cuda`, or by the tests on the host.
//! Not yet run on a GPU.

pub mod activation;
pub mod batch_norm;
pub mod blur_pool;
pub mod clip;
#[cfg(feature = "cuda")]
mod clock;
mod columns;
pub mod conv2d;
pub mod cross_entropy;
pub mod depthwise;
#[cfg(feature = "cuda")]
mod device;
#[cfg(feature = "cuda")]
mod download;
pub mod drop;
mod element;
pub mod filter_parts;
#[cfg(feature = "cuda")]
mod graph;
mod launch;
pub mod linear;
mod machine;
pub mod max_pool;
#[cfg(feature = "cuda")]
mod memory;
#[cfg(feature = "cuda")]
mod modules;
pub mod normalize;
pub mod optimizer;
#[cfg(feature = "cuda")]
mod pinned;
pub mod pool;
pub mod resize;
pub mod softmax_terms;
pub mod squeeze_excite;
#[cfg(feature = "cuda")]
mod stopwatch;
pub mod subsample;
pub mod training;
#[cfg(feature = "cuda")]
mod upload;
pub mod verification;

pub use columns::image_splits;
#[cfg(feature = "cuda")]
pub use device::Device;
#[cfg(feature = "cuda")]
pub use download::Download;
pub use element::Element;
#[cfg(feature = "cuda")]
pub use graph::Graph;
pub use launch::{ALIGNMENT, Argument, BLOCK, Launch, Region, padded};
pub use machine::{Event, Machine, Outbox};
#[cfg(feature = "cuda")]
pub use memory::Arena;
#[cfg(feature = "cuda")]
pub use stopwatch::Stopwatch;
#[cfg(feature = "cuda")]
pub use upload::Upload;
