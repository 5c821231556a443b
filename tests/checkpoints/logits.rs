//! A network built from a file gives PyTorch's logits (`tests/fixtures/models/`).

use candle_core::{Device, Tensor};
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Config, Request};
use tresnet::nn::Network;
use tresnet::ops::Isa;

use crate::{formula, open};

/// The tiny network that the files hold.
const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 4, basic_stages: 2 };

/// The greatest difference from PyTorch's logits, as a share of the greatest of them.
fn deviation(file: &str) -> f32 {
    let (weights, binding) = open(file).weights(false).unwrap().builder(None);
    let architecture = TINY.architecture(&Request::new(5, 3)).unwrap();
    let network = Network::bind(architecture.graph, &weights, &[0.0; 3], &[1.0; 3], Isa::detect()).unwrap();
    binding.finish("the tiny TResNet").unwrap();
    let images = Tensor::from_vec(formula::pixels(2, 64, 3), (2, 64, 64, 3), &Device::Cpu).unwrap();
    let logits = network.run(&images, architecture.logits).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/reference.safetensors");
    let theirs = candle_core::safetensors::load(path, &Device::Cpu).unwrap().remove("tresnet_tiny.logits").unwrap();
    let greatest = |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    greatest((logits - &theirs).unwrap()) / greatest(theirs)
}

#[test]
fn a_timm_zip_and_an_original_file_from_before_pytorch_1_6_give_the_logits_of_pytorch() {
    for file in ["timm.pth", "original-legacy.pth"] {
        let deviation = deviation(file);
        assert!(deviation <= 1e-4, "{file}: {deviation}");
    }
}
