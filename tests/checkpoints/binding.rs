//! Weights in a network's hands, and what is said when they do not fit.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use tresnet::checkpoint::{Checkpoint, Fresh, Weights};

use crate::{fixture, formula, open, writer};

fn stem(builder: &VarBuilder) -> candle_core::Result<Tensor> {
    builder.pp("body.conv1.conv").get((4, 48, 3, 3), "weight")
}

/// Asks for everything that the file holds, in its own shapes.
fn take_all(weights: &Weights, builder: &VarBuilder, except: &str) {
    for (name, shape) in weights.names().filter(|(name, _)| !name.starts_with(except)) {
        builder.get(shape, name).unwrap();
    }
}

#[test]
fn a_network_that_fits_gets_every_number() {
    let weights = open("original-legacy.pth").weights(false).unwrap();
    let (builder, binding) = weights.builder(None);
    take_all(&weights, &builder, "nothing");
    let found: Vec<f32> = stem(&builder).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(found, formula::value("body.conv1.conv.weight", &[4, 48, 3, 3]));
    binding.finish("tresnet_m").unwrap();
}

#[test]
fn one_error_lists_what_is_missing_misshapen_and_unexpected() {
    let weights = open("protocol2.pth").weights(false).unwrap();
    let (builder, binding) = weights.builder(None);
    stem(&builder).unwrap();
    for stage in 0..7 {
        let stand_in = builder.get((2, 3), &format!("absent.{stage}")).unwrap();
        assert_eq!(stand_in.to_vec2::<f32>().unwrap(), [[0.0; 3]; 2]);
    }
    builder.get((1000, 128), "head.fc.weight").unwrap();
    let error = format!("{:#}", binding.finish("tresnet_l").unwrap_err());
    for part in [
        "protocol2.pth does not fit tresnet_l (read as timm layout from the outermost object)",
        "7 missing: absent.0, absent.1, absent.2, absent.3, absent.4, ...",
        "1 misshapen: head.fc.weight (file [5, 128], network [1000, 128])",
        "15 unexpected: body.conv1.bn.weight",
        "--model-name",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_fresh_head_is_initialised_as_its_layer_wishes_and_by_its_seed() {
    let weights = open("timm.pth").weights(false).unwrap();
    let head = |seed| {
        let (builder, binding) = weights.builder(Some(Fresh { prefix: "head.".to_owned(), seed }));
        take_all(&weights, &builder, "head.");
        let bias = builder.get_with_hints(7, "head.fc.bias", Init::Const(0.25)).unwrap();
        assert_eq!(bias.to_vec1::<f32>().unwrap(), [0.25; 7]);
        let wish = Init::Randn { mean: 0.0, stdev: 0.01 };
        let weight = builder.get_with_hints((7, 128), "head.fc.weight", wish).unwrap();
        binding.finish("tresnet_m").unwrap();
        weight.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(head(1), head(1));
    assert_ne!(head(1), head(2));
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let pickle = writer::Pickle::one_tensor(("0", 3), 0, &[3], &[1]);
        let file = writer::legacy(&pickle, &[("0", &[1.0, bad, 3.0])]);
        let weights = Checkpoint::from_bytes(file).unwrap().weights(false).unwrap();
        let (builder, binding) = weights.builder(None);
        builder.get(3, "weight").unwrap();
        let error = format!("{:#}", binding.finish("resnet20").unwrap_err());
        assert!(error.contains("1 unusable: weight (holds NaN or infinity)"), "{error}");
    }
}

#[test]
fn the_shipped_checkpoint_builds_its_network() {
    let weights = Checkpoint::open(fixture("../../../samples/resnet20-digits.pth")).unwrap().weights(false).unwrap();
    let (builder, binding) = weights.builder(None);
    let variant = tresnet::models::find("resnet20").unwrap();
    tresnet::models::Model::new(
        variant,
        &tresnet::models::Request::new(10, 3),
        [0.0; 3],
        [1.0; 3],
        &builder,
        tresnet::ops::Isa::detect(),
    )
    .unwrap();
    binding.finish("resnet20").unwrap();
}
