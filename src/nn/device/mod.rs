//! Networks on a GPU: their parameters as it takes them, the convolutions that it is asked for, and the schedule of a
//! forward pass. All of it is data, made and tested without one.

mod constants;
mod convolutions;
mod fit;
mod form;
mod network;
mod schedule;
mod training;

pub use convolutions::Use;
pub use fit::largest_fitting;
pub use network::{CudaPlace, DeviceNetwork};
pub use training::{DeviceTrainable, DeviceTraining, LearntState, NormChoice, NormMode, TrainingOptions};
