//! Networks on a GPU: which convolutions it is asked for.

mod convolutions;

pub use convolutions::Use;
