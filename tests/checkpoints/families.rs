//! Networks of every family from files under their libraries' own names: the layout is recognised, the head's classes
//! and the image's channels are found, and the logits are PyTorch's (`tests/fixtures/models/`).

use candle_core::{Device, Tensor};
use tresnet::checkpoint::{Checkpoint, TensorFile};
use tresnet::models::{ModelKwargs, Request, find};
use tresnet::{ModelOptions, create_model};

use crate::formula;

/// A file of the formula's weights of a network of 10 classes, as its library would name them.
fn written(name: &str, folder: &std::path::Path, prefix: &str) -> std::path::PathBuf {
    let graph = find(name).unwrap().architecture(&Request::new(10, 3)).unwrap().graph;
    let mut parameters = graph.parameters().to_vec();
    let values: Vec<Vec<f32>> = parameters.iter().map(|p| formula::value(&p.name, &p.shape)).collect();
    parameters.iter_mut().for_each(|parameter| parameter.name.insert_str(0, prefix));
    let path = folder.join("weights.safetensors");
    TensorFile::weights(&parameters, &values, 7).unwrap().save(&path).unwrap();
    path
}

fn assert_loads(name: &str, layout: &str, side: usize, prefix: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = written(name, folder.path(), prefix);
    let weights = Checkpoint::open(&path).unwrap().weights(false).unwrap();
    assert_eq!(weights.layout().to_string(), layout, "{name}");
    assert_eq!((weights.num_classes(), weights.in_chans()), (Some(10), Some(3)), "{name}");
    let options = ModelOptions {
        pretrained: Some(path.clone()),
        mean: Some([0.0; 3]),
        std: Some([1.0; 3]),
        ..ModelOptions::default()
    };
    let model = create_model(name, &options).unwrap();
    let images = Tensor::from_vec(formula::pixels(2, side, 3), (2, side, side, 3), &Device::Cpu).unwrap();
    let ours = model.forward(&images).unwrap();
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/reference.safetensors");
    let mut references = candle_core::safetensors::load(reference, &Device::Cpu).unwrap();
    let theirs = references.remove(&format!("{name}.logits")).unwrap();
    let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(largest(&(&ours - &theirs).unwrap()) <= 1e-4 * largest(&theirs), "logits of {name}");
    // A head for other classes starts afresh on the file's features.
    let model = create_model(name, &ModelOptions { num_classes: Some(7), ..options }).unwrap();
    assert_eq!(model.num_classes(), 7);
}

#[test]
fn resnets_load_by_the_names_that_torchvision_and_timm_share() {
    assert_loads("resnet18", "torchvision", 76, "");
    assert_loads("resnet26d", "torchvision", 76, "module.");
    assert_loads("seresnext50_32x4d", "torchvision", 76, "");
}

#[test]
fn torch_resnets_networks_load_with_either_order_of_activation() {
    assert_loads("ResNet18", "torch-resnet", 76, "");
    assert_loads("PreActResNet18", "torch-resnet", 76, "_orig_mod.");
    assert_loads("PreActResNet20", "torch-resnet", 32, "module.");
}

#[test]
fn mobile_networks_load_by_timms_names() {
    for name in ["efficientnet_b0", "mixnet_s"] {
        let folder = tempfile::tempdir().unwrap();
        let path = written(name, folder.path(), "module.");
        let weights = Checkpoint::open(&path).unwrap().weights(false).unwrap();
        assert_eq!(weights.layout().to_string(), "timm", "{name}");
        let model = create_model(name, &ModelOptions { pretrained: Some(path), ..ModelOptions::default() }).unwrap();
        assert_eq!((model.num_classes(), model.in_chans()), (10, 3), "{name}");
    }
}

/// torchvision's name of a tensor of timm's EfficientNet.
fn torchvisions(timms: &str) -> String {
    let parts: Vec<&str> = timms.split('.').collect();
    match parts[..] {
        ["conv_stem", leaf] => format!("features.0.0.{leaf}"),
        ["bn1", leaf] => format!("features.0.1.{leaf}"),
        ["conv_head", leaf] => format!("features.8.0.{leaf}"),
        ["bn2", leaf] => format!("features.8.1.{leaf}"),
        ["classifier", leaf] => format!("classifier.1.{leaf}"),
        ["blocks", stage, block, ref rest @ ..] => {
            let stage = stage.parse::<usize>().unwrap() + 1;
            // The first stage's blocks do not widen.
            let (filter, gate, narrow) = if stage == 1 { (0, 1, 2) } else { (1, 2, 3) };
            let place = match rest {
                ["conv_dw", leaf] => format!("{filter}.0.{leaf}"),
                ["se", "conv_reduce", leaf] => format!("{gate}.fc1.{leaf}"),
                ["se", "conv_expand", leaf] => format!("{gate}.fc2.{leaf}"),
                ["conv_pwl", leaf] => format!("{narrow}.0.{leaf}"),
                ["conv_pw", leaf] => format!("{}.0.{leaf}", if stage == 1 { narrow } else { 0 }),
                [norm, leaf] => {
                    let norm: usize = norm.trim_start_matches("bn").parse().unwrap();
                    let order = if stage == 1 { [filter, narrow, 0] } else { [0, filter, narrow] };
                    format!("{}.1.{leaf}", order[norm - 1])
                }
                _ => panic!("{timms}"),
            };
            format!("features.{stage}.{block}.block.{place}")
        }
        _ => panic!("{timms}"),
    }
}

#[test]
fn torchvisions_larger_efficientnets_bring_their_norms_epsilon_and_a_saved_file_keeps_it() {
    const NAME: &str = "efficientnet_b5";
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/reference.safetensors");
    let mut references = candle_core::safetensors::load(reference, &Device::Cpu).unwrap();
    let mut of = |what: &str| references.remove(&format!("{NAME} torchvision.{what}")).unwrap();
    let (theirs, gain) = (of("logits"), of("gain").to_scalar::<f32>().unwrap());
    let graph = find(NAME).unwrap().architecture(&Request::new(10, 3)).unwrap().graph;
    let value = |parameter: &tresnet::nn::Parameter| {
        let mut values = formula::value(&parameter.name, &parameter.shape);
        if parameter.shape.len() == 4 {
            values.iter_mut().for_each(|value| *value *= gain);
        }
        values
    };
    let mut parameters = graph.parameters().to_vec();
    let values: Vec<Vec<f32>> = parameters.iter().map(value).collect();
    let folder = tempfile::tempdir().unwrap();
    let [own, saved] = ["torchvision.safetensors", "saved.safetensors"].map(|name| folder.path().join(name));
    // As a run that went on from torchvision's file would save it: by timm's names.
    TensorFile::weights(&parameters, &values, 7).unwrap().norm_epsilon(1e-3).save(&saved).unwrap();
    parameters.iter_mut().for_each(|parameter| parameter.name = torchvisions(&parameter.name));
    TensorFile::weights(&parameters, &values, 7).unwrap().save(&own).unwrap();

    let images = Tensor::from_vec(formula::pixels(2, 76, 3), (2, 76, 76, 3), &Device::Cpu).unwrap();
    let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let deviation = |file: &std::path::Path, bn_eps: Option<f32>| {
        let options = ModelOptions {
            pretrained: Some(file.to_owned()),
            mean: Some([0.0; 3]),
            std: Some([1.0; 3]),
            kwargs: ModelKwargs { bn_eps, ..ModelKwargs::default() },
            ..ModelOptions::default()
        };
        let logits = create_model(NAME, &options).unwrap().forward(&images).unwrap();
        largest(&(&logits - &theirs).unwrap()) / largest(&theirs)
    };
    for file in [&own, &saved] {
        assert!(deviation(file, None) <= 1e-4, "{}", file.display());
    }
    // The argument counts before the file; timm's epsilon is another network.
    assert!(deviation(&own, Some(1e-5)) > 1e-3);
    let weights = Checkpoint::open(&own).unwrap().weights(false).unwrap();
    assert_eq!(weights.layout().to_string(), "torchvision");
    let error = create_model("resnet18", &ModelOptions { pretrained: Some(own), ..ModelOptions::default() });
    assert!(error.err().unwrap().to_string().contains("does not fit resnet18"));
}
