//! Whole networks by their schedules: all their launches, in one arena, against the CPU's network. (A GPU with cuDNN has
//! its convolutions from there; here they are our own.)

use candle_core::{DType, Device, Shape as Dims, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tresnet::models::efficientnet::EfficientNet;
use tresnet::models::mixnet::MixNet;
use tresnet::models::resnet::{Block, ResNet};
use tresnet::models::torch_resnet::TorchResNet;
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Architecture, Config, ModelKwargs, Request, Shortcut};
use tresnet::nn::{Network, Value};
use tresnet::ops::cuda::Element;
use tresnet::ops::{Constant, Isa, Memory, Schedule, Shape};

use crate::formula;
use crate::memory::{Memory as Buffer, run};

/// Two images: their tones alternate.
const BATCH: usize = 2;
const MEAN: [f32; 3] = [0.48, 0.45, 0.4];
const STD: [f32; 3] = [0.22, 0.23, 0.25];

struct Formula;

impl SimpleBackend for Formula {
    fn get(&self, shape: Dims, name: &str, _: Init, _: DType, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_vec(formula::value(name, shape.dims()), shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// The network's values from a schedule's launches, `[batch, channels]`.
fn scheduled(schedule: &Schedule, constants: &[Constant], pixels: &[u8]) -> Vec<f32> {
    let constant = |constant: &Constant| match constant {
        Constant::Weight(values) => Buffer::values(schedule.element, values),
        Constant::Exact(values) => Buffer::floats(values),
    };
    let constants: Vec<Buffer> = constants.iter().map(constant).collect();
    let arena = Buffer::fresh(schedule.arena_bytes);
    let [images, mean, std] = [Buffer::of_bytes(pixels), Buffer::floats(&MEAN), Buffer::floats(&STD)];
    let ones = Buffer::floats(&[1.0]);
    let memory = Memory {
        element: schedule.element,
        arena: (*arena).clone(),
        images: (*images).clone(),
        normalization: [(*mean).clone(), (*std).clone()],
        constants: constants.iter().map(|memory| (**memory).clone()).collect(),
        ones: (*ones).clone(),
    };
    for step in &schedule.steps {
        for launch in step.launches(&memory).unwrap() {
            run(Ok(launch));
        }
    }
    let output = schedule.output.offset / size_of::<f32>();
    let rows = &arena.read_floats()[output..][..schedule.output.bytes / size_of::<f32>()];
    rows.chunks_exact(schedule.output_width).flat_map(|row| row[..schedule.output_channels].to_vec()).collect()
}

fn check(config: &dyn Config, side: usize, element: Element, tolerance: f32) {
    check_with(config, ModelKwargs::default(), side, element, tolerance);
}

fn check_with(config: &dyn Config, kwargs: ModelKwargs, side: usize, element: Element, tolerance: f32) {
    let request = Request { kwargs, ..Request::new(5, 3) };
    let Architecture { graph, features, logits } = config.architecture(&request).unwrap();
    let weights = VarBuilder::from_backend(Box::new(Formula), DType::F32, Device::Cpu);
    let constants = graph.constants(&weights).unwrap();
    let network = Network::bind(graph.clone(), &weights, &MEAN, &STD, Isa::detect()).unwrap();
    let pixels = formula::pixels(BATCH, side, 3);
    let images = Tensor::from_vec(pixels.clone(), (BATCH, side, side, 3), &Device::Cpu).unwrap();
    let values: [(Value, &str); 2] = [(logits, "logits"), (features, "features")];
    for (value, name) in values {
        let schedule = graph.schedule(Shape::new(BATCH, side, side, 3), value, element).unwrap();
        assert_eq!(schedule.conflict(), None);
        let ours = scheduled(&schedule, &constants, &pixels);
        let expected = network.run(&images, value).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(ours.len(), expected.len());
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        for (ours, expected) in ours.iter().zip(&expected) {
            let difference = (ours - expected).abs();
            assert!(difference <= tolerance * largest, "{name}: {ours} and not {expected}, of {largest}");
        }
    }
}

/// Small, with every kind of layer, odd channels and odd feature maps.
const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 5, basic_stages: 2 };

pub fn a_scheduled_tresnet_gives_the_networks_logits_and_features() {
    check(&TINY, 100, Element::F32, 1e-4);
}

pub fn a_scheduled_tresnet_in_f16_is_within_one_per_cent() {
    check(&TINY, 64, Element::F16, 1e-2);
}

/// For CIFAR; with a dropout that evaluation passes over.
const BOTTLENECK: TorchResNet =
    TorchResNet { blocks: &[1, 1, 1], bottleneck: true, pre_activation: false, width: 1, drop_rate: 0.0 };
const BASIC: TorchResNet = TorchResNet { bottleneck: false, drop_rate: 0.3, ..BOTTLENECK };

pub fn a_scheduled_resnet_with_its_strided_shortcuts_gives_the_networks_logits() {
    check(&BOTTLENECK, 12, Element::F32, 1e-4);
    let kwargs = ModelKwargs { shortcut: Some(Shortcut::Identity), ..ModelKwargs::default() };
    check_with(&BASIC, kwargs, 13, Element::F32, 1e-4);
}

pub fn a_scheduled_network_with_its_norms_first_gives_the_networks_logits() {
    check(&TorchResNet { pre_activation: true, ..BOTTLENECK }, 12, Element::F32, 1e-4);
    check(&TorchResNet { pre_activation: true, ..BASIC }, 12, Element::F16, 1e-2);
}

pub fn a_scheduled_resnet_of_groups_and_gates_and_one_with_a_deep_stem_give_the_networks_logits() {
    let groups = Block::Bottleneck { groups: 32, width: 4 };
    let network = ResNet { blocks: [1, 1, 0, 0], block: groups, deep: false, squeeze_excite: true };
    check(&network, 33, Element::F32, 1e-4);
    check(&ResNet { block: Block::Basic, deep: true, squeeze_excite: false, ..network }, 34, Element::Bf16, 4e-2);
}

pub fn scheduled_mobile_networks_give_the_networks_logits() {
    check(&EfficientNet { width: 0.25, depth: 0.3 }, 37, Element::F32, 1e-4);
    check(&MixNet { small: true, width: 0.3, depth: 0.3 }, 40, Element::F32, 1e-4);
    check(&MixNet { small: false, width: 0.25, depth: 0.3 }, 32, Element::F16, 2e-2);
}
