//! Whole models on a GPU, with cuDNN where it is found, against the same models on the CPU.

use candle_core::{Device, Tensor};
use tresnet::{ModelOptions, create_model};

use crate::{formula, place};

/// More images than a prepared batch, of which the last part is not full.
const IMAGES: usize = 300;

/// max |a - b| over max |b|
fn difference(ours: &Tensor, theirs: &Tensor) -> f32 {
    let largest = |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(ours.dims(), theirs.dims());
    largest((ours - theirs).unwrap()) / largest(theirs.clone())
}

fn check(name: &str, side: usize, images: usize) {
    if !place::is_there() {
        return;
    }
    let options = ModelOptions { num_classes: Some(10), seed: 3, ..Default::default() };
    let cpu = create_model(name, &options).unwrap();
    let gpu = create_model(name, &ModelOptions { cuda: Some(0), ..options }).unwrap();
    let pixels = formula::pixels(images, side, 3);
    let pixels = Tensor::from_vec(pixels, (images, side, side, 3), &Device::Cpu).unwrap();
    let first = pixels.narrow(0, 0, images.min(2)).unwrap();
    // Two images prepare a small batch, all of them a larger one; then two go through the larger.
    for images in [&first, &pixels, &first] {
        let logits = difference(&gpu.forward(images).unwrap(), &cpu.forward(images).unwrap());
        assert!(logits <= 1e-2, "{name}: logits differ by {logits} of the largest");
    }
    let features = difference(&gpu.features(&first).unwrap(), &cpu.features(&first).unwrap());
    assert!(features <= 1e-2, "{name}: features differ by {features} of the largest");
    let (once, twice) = (gpu.forward(&pixels).unwrap(), gpu.forward(&pixels).unwrap());
    assert_eq!(difference(&once, &twice), 0.0, "{name}: the same images give other logits");
}

#[test]
fn a_tresnet_on_a_gpu_gives_the_cpus_logits_within_one_per_cent() {
    check("tresnet_m", 224, 3);
}

#[test]
fn a_tresnet_of_odd_widths_on_a_gpu_gives_the_cpus_logits_within_one_per_cent() {
    check("tresnet_xl", 64, 2);
}

#[test]
fn batches_that_go_through_in_parts_keep_their_order() {
    check("resnet20", 32, IMAGES);
}
