//! The op vocabulary: what every network is made of, one op a file.
//!
//! A feature map is `[batch, height, width, channels]`, f32, channels contiguous: the order in which pixels arrive,
//! and the order in which a 1x1 convolution is one matrix product. The slices that the ops read and write are those
//! of candle's CPU storage and of the arena in `nn`. Every op writes all of its output and allocates nothing that
//! grows with the batch.

mod activation;
mod batch_norm;
mod bf16;
mod blur_pool;
mod conv2d;
pub mod cuda;
#[cfg(feature = "cuda")]
pub mod cudnn;
mod device_profile;
mod drop;
mod kernels;
mod limits;
mod linear;
mod max_pool;
mod normalize;
pub mod nvjpeg;
mod pool;
mod schedule;
mod scratch;
mod shape;
mod simd;
pub mod squares;
mod squeeze_excite;
mod subsample;
pub mod training;

pub use activation::{Activation, activation_gradient, silu_gradient};
pub use batch_norm::{BatchStatistics, Saved, batch_norm, batch_norm_gradient, batch_norm_into, batch_statistics};
pub use blur_pool::{blur_pool, blur_pool_gradient, blur_pool_shape};
pub use conv2d::{
    Algorithm, Band, Bands, Conv2d, ConvPass, ConvProblem, ConvSpec, Fusion, PaddedConv, PaddedLinear, Piece, Window,
    conv2d_input_gradient, conv2d_weight_gradient, padded_vector,
};
pub use device_profile::{DeviceOp, DeviceProfile};
pub use drop::{Dropout, join_scaled, scale_runs};
pub use limits::{Bandwidth, Limits, device_limits};
pub use linear::{Linear, LinearGradients, linear_gradient};
pub use max_pool::{max_pool_3x3, max_pool_3x3_gradient, max_pool_3x3_shape};
pub use normalize::{Normalize, space_to_depth};
pub use pool::{
    average_pool_2x2, average_pool_2x2_gradient, average_pool_2x2_shape, global_average_pool,
    global_average_pool_gradient,
};
#[cfg(feature = "cuda")]
pub use schedule::gpu::convolution::{Convolutions, Operands};
pub use schedule::{
    Constant, Constants, GateScratch, Loaded, Memory, Parameters, Request, Run, Schedule, Slot, Step, Verdicts,
    convolution_workspace, free_device_memory, is_out_of_device_memory, load, place,
};
pub use shape::Shape;
pub use simd::Isa;
pub(crate) use simd::vectorized;
pub use squeeze_excite::{Gate, SqueezeExcite};
pub use subsample::{Subsample, subsample, subsample_gradient};
