//! Whole models on a GPU, with cuDNN where it is found, against the same models on the CPU.

use candle_core::{Device, Tensor};
use tresnet::metrics::Verdict;
use tresnet::ops::Shape;
use tresnet::ops::cuda::Element;
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

fn pixels(images: usize, side: usize) -> Tensor {
    Tensor::from_vec(formula::pixels(images, side, 3), (images, side, side, 3), &Device::Cpu).unwrap()
}

fn check(name: &str, side: usize, images: usize) {
    check_in(name, side, images, Element::F16, 1e-2);
}

fn check_in(name: &str, side: usize, images: usize, element: Element, tolerance: f32) {
    if !place::is_there() {
        return;
    }
    let options = ModelOptions { num_classes: Some(10), seed: 3, ..Default::default() };
    let cpu = create_model(name, &options).unwrap();
    let gpu = create_model(name, &ModelOptions { cuda: Some(0), cuda_element: element, ..options }).unwrap();
    let pixels = pixels(images, side);
    let first = pixels.narrow(0, 0, images.min(2)).unwrap();
    // Two images prepare a small batch, all of them a larger one; then two go through the larger.
    for images in [&first, &pixels, &first] {
        let logits = difference(&gpu.forward(images).unwrap(), &cpu.forward(images).unwrap());
        assert!(logits <= tolerance, "{name}: logits differ by {logits} of the largest");
    }
    let features = difference(&gpu.features(&first).unwrap(), &cpu.features(&first).unwrap());
    assert!(features <= tolerance, "{name}: features differ by {features} of the largest");
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

#[test]
fn resnets_on_a_gpu_give_the_cpus_logits_also_with_groups_gates_and_norms_first() {
    for name in ["resnet50", "resnet50d", "seresnext50_32x4d", "PreActResNet20", "wide_resnet50_2"] {
        check(name, 64, 3);
    }
}

#[test]
fn mobile_networks_on_a_gpu_give_the_cpus_logits() {
    for name in ["efficientnet_b0", "efficientnet_b1", "mixnet_s", "mixnet_l"] {
        check(name, 96, 3);
    }
}

#[test]
fn bf16_and_f32_give_the_cpus_logits_within_their_digits() {
    for name in ["tresnet_m", "resnext50_32x4d", "efficientnet_b0"] {
        check_in(name, 64, 3, Element::Bf16, 6e-2);
        // TF32 has the digits of f16.
        check_in(name, 64, 3, Element::F32, 1e-2);
    }
}

#[test]
fn verdicts_from_a_gpu_are_those_of_its_logits_in_the_order_of_the_batches() {
    if !place::is_there() {
        return;
    }
    const KEPT: usize = 3;
    let options = ModelOptions { num_classes: Some(10), seed: 3, cuda: Some(0), ..Default::default() };
    let model = create_model("resnet20", &options).unwrap();
    let images = pixels(IMAGES, 32);
    let logits = model.forward(&images).unwrap().to_vec2::<f32>().unwrap();
    let bytes = images.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let labels: Vec<usize> = (0..IMAGES).map(|image| image % 11).collect();
    // The last batch is not full, and as many are on their way at a time as there are.
    let parts = || bytes.chunks(70 * 32 * 32 * 3).zip(labels.chunks(70));
    let (network, value) = model.on_device().unwrap();
    let shape = |images| Shape::new(images, 32, 32, 3);
    parts().for_each(|(pixels, labels)| {
        network.submit(pixels.into(), shape(labels.len()), value, labels, KEPT).unwrap();
    });
    let ours: Vec<Verdict> = parts().flat_map(|_| network.collect().unwrap()).collect();
    assert!(network.collect().is_err(), "all were collected");
    assert_eq!(ours.len(), IMAGES);
    for (ours, (logits, &label)) in ours.iter().zip(logits.iter().zip(&labels)) {
        let expected = Verdict::of(logits, label, KEPT);
        assert_eq!((ours.rank, &ours.classes, &ours.logits), (expected.rank, &expected.classes, &expected.logits));
        let same = ours.loss == expected.loss;
        assert!(same || (ours.loss - expected.loss).abs() < 1e-5 * expected.loss.max(1.0), "{ours:?}, {expected:?}");
    }
}
