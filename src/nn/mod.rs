//! Networks as graphs of the op vocabulary: described once, then counted, bound to weights and run.

mod arena;
mod graph;
mod initialize;
mod network;
mod shapes;
mod training;

pub use graph::{ConvNorm, Graph, Parameter, Value, torch_default};
pub use initialize::Initializer;
pub use network::Network;
pub use training::{Drops, Images, Tape, Trainable, weights_of};
