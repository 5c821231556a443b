//! Networks against PyTorch: the same formula's weights and pixels, logits and features from
//! `tests/fixtures/models/` (made by `scripts/fixtures/models.py`).

#[path = "models/families.rs"]
mod families;
#[path = "common/formula.rs"]
mod formula;
#[path = "common/random.rs"]
mod random;

use std::collections::HashMap;

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tresnet::models::tresnet::TResNet;
use tresnet::models::{Architecture, Config, Model, ModelKwargs, Request, Variant, find, variants};
use tresnet::nn::Network;
use tresnet::ops::Isa;

/// The formula as a source of weights, with a factor of the kernels.
struct Formula {
    gain: f32,
}

impl SimpleBackend for Formula {
    fn get(&self, shape: Shape, name: &str, _: Init, _: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut values = formula::value(name, shape.dims());
        if shape.rank() == 4 {
            values.iter_mut().for_each(|value| *value *= self.gain);
        }
        Tensor::from_vec(values, shape, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

fn formula_weights() -> VarBuilder<'static> {
    weights_with_gain(1.0)
}

fn weights_with_gain(gain: f32) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Formula { gain }), DType::F32, Device::Cpu)
}

fn images(batch: usize, side: usize, channels: usize) -> Tensor {
    Tensor::from_vec(formula::pixels(batch, side, channels), (batch, side, side, channels), &Device::Cpu).unwrap()
}

fn references() -> HashMap<String, Tensor> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/reference.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn reference(name: &str) -> Tensor {
    references().remove(name).unwrap_or_else(|| panic!("the fixtures hold no {name}"))
}

/// max |a - b| <= 1e-4 max |b|
fn assert_agrees(ours: &Tensor, name: &str) {
    assert_agrees_within(ours, name, 1e-4);
}

fn assert_agrees_within(ours: &Tensor, name: &str, share: f32) {
    let theirs = reference(name);
    assert_eq!(ours.dims(), theirs.dims(), "{name}");
    let max = |tensor: Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let (difference, scale) = (max((ours - &theirs).unwrap()), max(theirs));
    assert!(difference <= share * scale, "{name} differs by {difference}, of {scale}");
}

/// A network by its name and its arguments, as the fixtures spell both: `ResNet20 shortcut=A`.
fn named(name: &str) -> (&'static Variant, ModelKwargs) {
    let mut words = name.split(' ');
    (find(words.next().unwrap()).unwrap(), ModelKwargs::parse(words).unwrap())
}

fn model(variant: &'static Variant, request: &Request, weights: &VarBuilder) -> Model {
    Model::new(variant, request, [0.0; 3], [1.0; 3], weights, Isa::detect()).unwrap()
}

fn assert_model_agrees(name: &str) {
    let variant = find(name).unwrap();
    let model = model(variant, &Request::new(variant.num_classes, 3), &formula_weights());
    let images = images(2, variant.input_size, 3);
    assert_agrees(&model.forward(&images).unwrap(), &format!("{name}.logits"));
    assert_agrees(&model.features(&images).unwrap(), &format!("{name}.features"));
}

#[test]
fn tresnet_m_gives_the_logits_of_pytorch() {
    assert_model_agrees("tresnet_m");
}

#[test]
fn tresnet_l_gives_the_logits_of_pytorch() {
    assert_model_agrees("tresnet_l");
}

#[test]
fn tresnet_xl_gives_the_logits_of_pytorch() {
    assert_model_agrees("tresnet_xl");
}

#[test]
fn tresnet_v2_l_gives_the_logits_of_pytorch() {
    assert_model_agrees("tresnet_v2_l");
}

#[test]
fn resnet20_gives_the_logits_of_pytorch() {
    assert_model_agrees("resnet20");
}

#[test]
fn resnet56_gives_the_logits_of_pytorch() {
    assert_model_agrees("resnet56");
}

#[test]
fn resnet110_gives_the_logits_of_pytorch() {
    assert_model_agrees("resnet110");
}

#[test]
fn resnet164_with_its_bottlenecks_gives_the_logits_of_pytorch() {
    assert_model_agrees("resnet164");
}

/// One block a stage and four channels: small, yet with every kind of layer.
const TINY: TResNet = TResNet { blocks: [1, 1, 1, 1], width: 4, basic_stages: 2 };

fn tiny(in_chans: usize) -> (Network, Architecture) {
    let Architecture { graph, features, logits } = TINY.architecture(&Request::new(5, in_chans)).unwrap();
    let (mean, std) = (vec![0.0; in_chans], vec![1.0; in_chans]);
    let network = Network::bind(graph.clone(), &formula_weights(), &mean, &std, Isa::detect()).unwrap();
    (network, Architecture { graph, features, logits })
}

#[test]
fn odd_feature_maps_are_blurred_and_pooled_as_in_pytorch() {
    let (network, tiny) = tiny(3);
    let logits = network.run(&images(2, 100, 3), tiny.logits).unwrap();
    assert_agrees(&logits, "tresnet_tiny_odd.logits");
}

#[test]
fn a_network_of_one_input_channel_gives_the_logits_of_pytorch() {
    let (network, tiny) = tiny(1);
    let logits = network.run(&images(2, 64, 1), tiny.logits).unwrap();
    assert_agrees(&logits, "tresnet_tiny_gray.logits");
}

#[test]
fn normalised_floats_give_what_their_bytes_give() {
    let (network, tiny) = tiny(3);
    let bytes = images(2, 64, 3);
    let floats = (bytes.to_dtype(DType::F32).unwrap() / 255.0).unwrap();
    let logits = network.run(&floats, tiny.logits).unwrap();
    assert_agrees(&logits, "tresnet_tiny.logits");
}

#[test]
fn a_batch_gives_what_its_images_give_alone() {
    let (network, tiny) = tiny(3);
    let batch = images(9, 64, 3);
    let together = network.run(&batch, tiny.logits).unwrap().to_vec2::<f32>().unwrap();
    for (at, row) in together.iter().enumerate() {
        let alone = network.run(&batch.narrow(0, at, 1).unwrap(), tiny.logits).unwrap();
        assert_eq!(&alone.to_vec2::<f32>().unwrap()[0], row, "image {at}");
    }
}

#[test]
fn an_input_that_does_not_divide_into_the_stems_cells_is_refused() {
    let (network, tiny) = tiny(3);
    let error = network.run(&images(1, 66, 3), tiny.logits).unwrap_err().to_string();
    assert!(error.contains("66x66") && error.contains("multiple of 4"), "{error}");
}

#[test]
fn an_image_of_other_channels_is_refused() {
    let (network, tiny) = tiny(3);
    let error = network.run(&images(1, 64, 1), tiny.logits).unwrap_err().to_string();
    assert!(error.contains("images of 3 channels and got 1"), "{error}");
}

#[test]
fn bf16_products_move_logits_by_less_than_two_per_cent() {
    let Some(isa) = Isa::bf16() else { return };
    for (name, classes, side) in [("tresnet_m", 1000, 224), ("resnet50", 10, 76), ("resnext50_32x4d", 10, 76)] {
        let request = Request::new(classes, 3);
        let model = Model::new(find(name).unwrap(), &request, [0.0; 3], [1.0; 3], &formula_weights(), isa).unwrap();
        assert_agrees_within(&model.forward(&images(2, side, 3)).unwrap(), &format!("{name}.logits"), 2e-2);
    }
}

#[test]
fn parameters_macs_activations_and_layers_are_those_of_the_references() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/counts.json");
    let counts: HashMap<String, HashMap<String, u64>> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, counts) in &counts {
        let (variant, kwargs) = named(name);
        let request = Request { kwargs, ..Request::new(variant.num_classes, 3) };
        let graph = variant.architecture(&request).unwrap().graph;
        for (key, &expected) in counts {
            let counted = match key.split_once('_') {
                Some(("macs", side)) => graph.macs(side.parse().unwrap()).unwrap(),
                Some((_, side)) => graph.activations(side.parse().unwrap()).unwrap(),
                None if key == "layers" => graph.layer_count() as u64,
                None => graph.param_count() as u64,
            };
            assert_eq!(counted, expected, "{key} of {name}");
        }
    }
    // Names with a point or a size are other weights or inputs of a network that is counted.
    let own = variants().filter(|variant| !variant.name.contains('.') && !variant.name.ends_with("_448"));
    let uncounted = own.filter(|v| std::iter::once(&v.name).chain(v.aliases).all(|name| !counts.contains_key(*name)));
    assert_eq!(uncounted.map(|variant| variant.name).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn an_argument_that_a_network_does_not_heed_is_named_with_those_it_does() {
    let (variant, kwargs) = named("resnet50 width=2");
    let error = variant.architecture(&Request { kwargs, ..Request::new(1000, 3) }).err().unwrap();
    let error = format!("{error:#}");
    assert!(error.contains("resnet50") && error.contains("no width") && error.contains("zero_init"), "{error}");
    let (variant, kwargs) = named("ResNet50 drop_rate=0.1");
    let error = variant.architecture(&Request { kwargs, ..Request::new(1000, 3) }).err().unwrap();
    assert!(format!("{error:#}").contains("bottlenecks have no dropout"), "{error:#}");
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest() {
    let error = find("tresnet_n").err().unwrap().to_string();
    assert!(error.contains("\"tresnet_n\"") && error.contains("tresnet_m"), "{error}");
}

#[test]
fn names_and_aliases_are_unique() {
    let mut names: Vec<&str> = variants().flat_map(|v| [v.name].into_iter().chain(v.aliases.iter().copied())).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
