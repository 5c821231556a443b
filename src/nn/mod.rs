//! Networks as graphs of the op vocabulary: described once, then counted, bound to weights and run.

mod arena;
mod device;
mod fold;
mod graph;
mod initialize;
mod layers;
mod network;
mod profile;
mod segments;
mod shapes;
mod training;

pub use device::{
    CudaPlace, DeviceNetwork, DeviceTrainable, DeviceTraining, LearntState, NormChoice, NormMode, TrainingOptions, Use,
    largest_fitting,
};
pub use graph::{Graph, NORM_EPSILON, Parameter, Value};
pub use initialize::Initializer;
pub use layers::{ConvLayer, Grouping, SqueezeExciteLayer, kaiming_normal_fan_out, torch_default};
pub use network::Network;
pub use profile::{OpProfile, Recorder};
pub use training::{Drops, Images, Tape, Trainable, weights_of};
