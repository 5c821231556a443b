//! Weights for users: canonical names, counters, notes.

use safetensors::{Dtype, SafeTensors};
use tresnet::checkpoint::{Checkpoint, ElementType, Layout, TensorFile};

use crate::{parameters, save_state, values};

#[test]
fn a_network_gets_back_every_bit_and_the_notes() {
    for (model, layout) in [("tresnet_m", Layout::Timm), ("resnet20", Layout::TorchResnet)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let (parameters, saved) = (parameters(model), values(&parameters(model), ""));
        let file = TensorFile::weights(&parameters, &saved, 7).unwrap().note("model", model).note("epoch", 3);
        file.save(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert!(checkpoint.verify().unwrap());
        let note =
            |key: &str| checkpoint.metadata().iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str());
        assert_eq!((note("model"), note("epoch"), note("format")), (Some(model), Some("3"), Some("pt")));
        let weights = checkpoint.weights(false).unwrap();
        assert_eq!((weights.layout(), weights.num_classes()), (layout, Some(10)));
        assert_eq!(weights.names().count(), parameters.len());
        for (parameter, saved) in parameters.iter().zip(&saved) {
            let tensor = weights.tensor(&parameter.name).unwrap();
            assert_eq!(tensor.dims(), parameter.shape);
            assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), *saved, "{}", parameter.name);
        }
    }
}

#[test]
fn each_batch_norm_has_its_counter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let parameters = parameters("resnet20");
    let saved = values(&parameters, "");
    TensorFile::weights(&parameters, &saved, 123).unwrap().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let counter = tensors.tensor("layers.1.0.shortcut.1.num_batches_tracked").unwrap();
    assert_eq!((counter.dtype(), counter.shape(), counter.data()), (Dtype::I64, &[][..], &123i64.to_le_bytes()[..]));
    let names = tensors.names();
    let of = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count();
    assert_eq!((of("num_batches_tracked"), of("running_var")), (21, 21));
    let checkpoint = Checkpoint::open(&path).unwrap();
    let entries = &checkpoint.state_dicts()[0].entries;
    assert_eq!(entries.iter().filter(|entry| entry.element() == ElementType::I64).count(), 21);
}

#[test]
fn values_that_are_not_the_networks_are_refused_before_anything_is_written() {
    let parameters = parameters("resnet20");
    let mut values = values(&parameters, "");
    values[3].pop();
    let error = TensorFile::weights(&parameters, &values, 0).unwrap_err().to_string();
    assert!(error.contains(&format!("`{}`", parameters[3].name)), "{error}");
    values.pop();
    assert!(TensorFile::weights(&parameters, &values, 0).is_err());
}

#[test]
fn the_state_of_a_run_serves_as_a_checkpoint_too() {
    let folder = tempfile::tempdir().unwrap();
    save_state(&mut tresnet::checkpoint::ResumeFiles::new(folder.path()), 5).unwrap();
    let checkpoint = Checkpoint::open(folder.path().join("last.resume.safetensors")).unwrap();
    let sets: Vec<&str> = checkpoint.state_dicts().iter().map(|dict| dict.path.as_str()).collect();
    assert_eq!(sets, ["model", "ema"]);
    let parameters = parameters("resnet20");
    for (use_ema, stream) in [(false, "model 5 "), (true, "ema 5 ")] {
        let weights = checkpoint.weights(use_ema).unwrap();
        assert_eq!((weights.layout(), weights.num_classes()), (Layout::TorchResnet, Some(10)));
        let head = weights.tensor("head.weight").unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let at = parameters.iter().position(|parameter| parameter.name == "head.weight").unwrap();
        assert_eq!(head, values(&parameters, stream)[at]);
    }
}
