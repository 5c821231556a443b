//! Networks that stay on a GPU while their weights change, as those of validations between epochs do.

use candle_core::{DType, Device, Shape as Dims, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tresnet::models::{Architecture, Request, find};
use tresnet::nn::{CudaPlace, DeviceNetwork};
use tresnet::ops::{Parameters, Shape, load};

use crate::compare::ELEMENTS;
use crate::{formula, place};

/// The weights of a formula, others for each of its names.
struct Formula(&'static str);

impl SimpleBackend for Formula {
    fn get(&self, shape: Dims, name: &str, _: Init, _: DType, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_vec(formula::value(&format!("{}.{name}", self.0), shape.dims()), shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

#[test]
fn a_network_with_other_weights_gives_the_bits_of_one_that_was_bound_to_them() {
    if !place::is_there() {
        return;
    }
    const IMAGES: usize = 5;
    const SIDE: usize = 32;
    let pixels = formula::pixels(IMAGES, SIDE, 3);
    let images = Tensor::from_vec(pixels, (IMAGES, SIDE, SIDE, 3), &Device::Cpu).unwrap();
    let weights = |name| VarBuilder::from_backend(Box::new(Formula(name)), DType::F32, Device::Cpu);
    // Norms on their own; filters a channel, gates and mixed convolutions.
    for model in ["PreActResNet20", "mixnet_s"] {
        for element in ELEMENTS {
            let Architecture { graph, logits, .. } = find(model).unwrap().architecture(&Request::new(10, 3)).unwrap();
            let place = CudaPlace { number: 0, element, deterministic: true };
            let bound = |name| {
                let normalization = [&[0.48, 0.45, 0.4][..], &[0.22, 0.23, 0.25][..]];
                DeviceNetwork::bind(graph.clone(), &weights(name), normalization, place).unwrap()
            };
            let answers = |network: &DeviceNetwork| {
                let logits = network.run(&images, logits).unwrap().flatten_all().unwrap();
                logits.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let mut network = bound("first");
            network.expect(Shape::new(IMAGES, SIDE, SIDE, 3), logits).unwrap();
            let first = answers(&network);
            network.rebind(&weights("second")).unwrap();
            let second = answers(&network);
            assert!(second == answers(&bound("second")), "{model} in {}", element.name());
            assert!(first != second, "{model} in {} answers the same whatever its weights", element.name());
            network.rebind(&weights("first")).unwrap();
            assert!(first == answers(&network), "{model} in {}", element.name());
        }
    }
}

#[test]
fn another_networks_weights_are_refused() {
    if !place::is_there() {
        return;
    }
    let graph = |classes| find("resnet20").unwrap().architecture(&Request::new(classes, 3)).unwrap().graph;
    let weights = VarBuilder::from_backend(Box::new(Formula("own")), DType::F32, Device::Cpu);
    let [ten, eleven] = [10, 11].map(|classes| graph(classes).constants(&weights).unwrap());
    let (constants, mean, std) = (&ten[..], &[0.5; 3][..], &[0.5; 3][..]);
    let parameters = Parameters { element: ELEMENTS[0], deterministic: true, constants, mean, std };
    let loaded = load(0, &parameters).unwrap();
    loaded.replace(&ten).unwrap();
    assert_eq!(loaded.replace(&eleven).unwrap_err().to_string(), "another network's constants");
}
