//! From a name to a network with weights: the library's front door.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use crate::checkpoint::{Checkpoint, Fresh, Weights};
use crate::models::{Model, ModelKwargs, Place, Request, Variant, find};
use crate::nn::{CudaPlace, Initializer};
use crate::ops::Isa;
use crate::ops::cuda::Element;

/// What [`create_model`] may be told; the default is the published network with fresh weights.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// A checkpoint to take the weights from. Without one they are initialised as for training.
    pub pretrained: Option<PathBuf>,
    /// Take the checkpoint's moving average of the weights.
    pub use_ema: bool,
    /// Classes of the head. Default: the checkpoint's, else the published network's. A number other than the
    /// checkpoint's gives a fresh head on the checkpoint's features.
    pub num_classes: Option<usize>,
    /// Channels of an image. Default: the checkpoint's, else 3.
    pub in_chans: Option<usize>,
    /// What else the network is told; each family heeds some of it.
    pub kwargs: ModelKwargs,
    /// Subtracted from RGB in [0, 1]. Default: the network's own.
    pub mean: Option<[f32; 3]>,
    /// Divides what is left. Default: the network's own.
    pub std: Option<[f32; 3]>,
    /// What fresh weights are drawn from.
    pub seed: u64,
    /// Round what convolutions multiply to bf16: about one and a half times as fast where the processor multiplies bf16, else
    /// it changes nothing.
    pub bf16: bool,
    /// Run on the CUDA device of this number. Not yet run on a GPU.
    pub cuda: Option<usize>,
    /// What maps and convolutions' weights are made of there. Default: f16.
    pub cuda_element: Element,
}

/// Creates a network by name, with a checkpoint's weights or fresh ones.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use tresnet::{ModelOptions, create_model};
///
/// let model = create_model("tresnet_m", &ModelOptions { num_classes: Some(10), ..Default::default() })?;
/// let images = Tensor::zeros((1, 224, 224, 3), DType::U8, &Device::Cpu)?; // [batch, height, width, channels]
/// assert_eq!(model.forward(&images)?.dims(), [1, 10]); // logits
/// assert_eq!(model.features(&images)?.dims(), [1, 2048]); // pooled embeddings
/// # anyhow::Ok(())
/// ```
///
/// # Errors
///
/// If no network has the name (the message holds the nearest names), the checkpoint cannot be read, its tensors are
/// not the network's, or there is no such CUDA device.
pub fn create_model(name: &str, options: &ModelOptions) -> Result<Model> {
    let variant = find(name)?;
    match &options.pretrained {
        Some(path) => {
            let weights = Checkpoint::open(path)?.weights(options.use_ema)?;
            from_weights(variant, &weights, options)
        }
        None => {
            let fresh = Initializer { seed: options.seed };
            let weights = VarBuilder::from_backend(Box::new(fresh), DType::F32, Device::Cpu);
            let request = Request {
                num_classes: options.num_classes.unwrap_or(variant.num_classes),
                in_chans: options.in_chans.unwrap_or(RGB),
                kwargs: options.kwargs,
            };
            build(variant, &request, &weights, options)
        }
    }
}

/// As [`create_model`], with a checkpoint that is open already.
pub fn from_weights(variant: &'static Variant, weights: &Weights, options: &ModelOptions) -> Result<Model> {
    let held = weights.num_classes();
    let num_classes = options.num_classes.or(held).unwrap_or(variant.num_classes);
    let fresh_head = held
        .is_some_and(|held| held != num_classes)
        .then(|| Fresh { prefix: weights.layout().head_path().to_owned(), seed: options.seed });
    if let (Some(_), Some(held)) = (&fresh_head, held) {
        tracing::warn!("the checkpoint tells {held} classes apart; the head for {num_classes} starts afresh");
    }
    let (builder, binding) = weights.builder(fresh_head);
    let request = Request {
        num_classes,
        in_chans: options.in_chans.or(weights.in_chans()).unwrap_or(RGB),
        kwargs: weights.kwargs(variant, options.kwargs),
    };
    let model = build(variant, &request, &builder, options)?;
    binding.finish(variant.name)?;
    Ok(model)
}

/// Channels of an image where nobody says otherwise.
const RGB: usize = 3;

fn build(variant: &'static Variant, request: &Request, weights: &VarBuilder, options: &ModelOptions) -> Result<Model> {
    let mean = options.mean.unwrap_or(variant.mean);
    let std = options.std.unwrap_or(variant.std);
    let isa = Isa::of(options.bf16);
    let on_cuda = |number| Place::Cuda(CudaPlace { number, element: options.cuda_element, deterministic: false });
    let place = options.cuda.map_or(Place::Cpu(isa), on_cuda);
    Model::new(variant, request, mean, std, weights, place)
}
