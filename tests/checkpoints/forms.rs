//! The forms of checkpoints, and the same numbers out of each.

use tresnet::checkpoint::{Checkpoint, ElementType, Format, Layout, Weights};

use crate::{fixture, formula, open};

/// Tensors of the whole tiny network without its counters: 14 convolutions with four numbers of their norms each,
/// three squeeze-excites of four, and the head's two.
const WHOLE: usize = 84;
/// Of the part in the smaller files: three convolutions with their norms, and the head's two.
const PART: usize = 17;

fn weights(name: &str) -> Weights {
    open(name).weights(false).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Every tensor is the formula's of its canonical name, to `tolerance` of its magnitude.
fn holds_the_formula(weights: &Weights, stream: &str, count: usize, tolerance: f32) {
    let names: Vec<(String, Vec<usize>)> =
        weights.names().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
    assert_eq!(names.len(), count, "{names:?}");
    for (name, shape) in names {
        let tensor = weights.tensor(&name).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(tensor.dims(), shape, "{name}");
        let found: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let expected = formula::value(&format!("{stream}{name}"), &shape);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= tolerance * expected.abs(), "{name}: {found} for {expected}");
        }
    }
}

#[test]
fn a_timm_file_gives_its_weights_to_the_bit() {
    let checkpoint = open("timm.pth");
    assert_eq!(checkpoint.format(), Format::PytorchZip);
    let weights = checkpoint.weights(false).unwrap();
    assert_eq!(weights.layout(), Layout::Timm);
    assert_eq!((weights.num_classes(), weights.in_chans()), (Some(5), Some(3)));
    holds_the_formula(&weights, "", WHOLE, 0.0);
}

#[test]
fn an_original_file_from_before_pytorch_1_6_gives_the_same_weights() {
    let checkpoint = open("original-legacy.pth");
    assert_eq!(checkpoint.format(), Format::PytorchLegacy);
    let weights = checkpoint.weights(false).unwrap();
    assert_eq!(weights.layout(), Layout::OriginalTresnet);
    assert_eq!((weights.num_classes(), weights.in_chans()), (Some(5), Some(3)));
    // |w| + 1e-5 undoes the script's subtraction to a rounding of f32.
    holds_the_formula(&weights, "", WHOLE, 2e-7);
    for blurred in
        ["body.layer2.0.conv1.bn.weight", "body.layer3.0.conv2.bn.bias", "body.layer2.0.downsample.1.bn.weight"]
    {
        assert!(weights.shape(blurred).is_some(), "{blurred}");
    }
}

#[test]
fn an_original_file_in_a_zip_gives_the_same_weights() {
    holds_the_formula(&weights("original-zip.pth"), "", PART, 2e-7);
}

#[test]
fn every_pickle_protocol_reads_the_same_in_both_serializations() {
    for protocol in 2..=5 {
        holds_the_formula(&weights(&format!("protocol{protocol}.pth")), "", PART, 0.0);
        holds_the_formula(&weights(&format!("protocol{protocol}-legacy.pth")), "", PART, 0.0);
    }
}

#[test]
fn every_floating_type_becomes_f32_to_its_rounding() {
    for (name, element, tolerance) in [
        ("float64.pth", ElementType::F64, 0.0),
        ("float16.pth", ElementType::F16, 1.0 / 2048.0 + 1e-3),
        ("bfloat16.pth", ElementType::BF16, 1.0 / 256.0),
    ] {
        let checkpoint = open(name);
        let dict = checkpoint.state_dict(false).unwrap();
        assert_eq!(dict.entries.first().unwrap().element(), element);
        assert_eq!(dict.path, "model");
        holds_the_formula(&checkpoint.weights(false).unwrap(), "", PART, tolerance);
    }
}

#[test]
fn safetensors_read_like_pickles() {
    let checkpoint = open("timm.safetensors");
    assert_eq!(checkpoint.format(), Format::Safetensors);
    let notes: Vec<(&str, &str)> = checkpoint.metadata().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(notes, [("arch", "tresnet_m"), ("epoch", "17")]);
    holds_the_formula(&checkpoint.weights(false).unwrap(), "", PART, 0.0);
    holds_the_formula(&weights("half.safetensors"), "", PART, 1.0 / 2048.0 + 1e-3);
}

#[test]
fn a_training_checkpoint_has_weights_averaged_weights_and_metadata() {
    for name in ["training.pth.tar", "training-legacy.pth.tar"] {
        let checkpoint = open(name);
        holds_the_formula(&checkpoint.weights(false).unwrap(), "", PART, 0.0);
        holds_the_formula(&checkpoint.weights(true).unwrap(), "ema.", PART, 0.0);
        let paths: Vec<&str> = checkpoint.state_dicts().iter().map(|dict| dict.path.as_str()).collect();
        assert_eq!(paths, ["state_dict", "state_dict_ema"]);
        let value = |key| checkpoint.metadata().iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        assert_eq!(value("epoch"), Some("17"));
        assert_eq!(value("arch"), Some("tresnet_m"));
        assert_eq!(value("metric"), Some("80.81"));
        assert_eq!(value("args.lr"), Some("0.25"));
        assert_eq!(value("args.amp"), Some("true"));
    }
}

#[test]
fn averaged_weights_are_neither_invented_nor_taken_unasked() {
    let error = format!("{:#}", open("timm.pth").weights(true).unwrap_err());
    assert!(error.contains("timm.pth") && error.contains("no averaged (EMA) weights"), "{error}");
    let error = format!("{:#}", open("ema-alone.pth").weights(false).unwrap_err());
    assert!(error.contains("--use-ema") && error.contains("state_dict_ema"), "{error}");
    holds_the_formula(&open("ema-alone.pth").weights(true).unwrap(), "ema.", PART, 0.0);
}

#[test]
fn views_shared_storages_parameters_and_scalars_come_out_in_order() {
    for name in ["views.pth", "views-legacy.pth"] {
        let checkpoint = open(name);
        let weights = checkpoint.weights(false).unwrap();
        let expected = formula::value("scalar", &[1]);
        assert_eq!(weights.tensor("scalar").unwrap().to_scalar::<f32>().unwrap(), expected[0]);
        let expanded = weights.tensor("expanded").unwrap();
        assert_eq!(expanded.dims(), [3, 4]);
        assert_eq!(expanded.flatten_all().unwrap().to_vec1::<f32>().unwrap(), vec![expected[0]; 12]);
        let mut checked = 0;
        for (name, shape) in weights.names().filter(|(name, _)| name.contains('.')) {
            let found: Vec<f32> = weights.tensor(name).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(found, formula::value(name, shape), "{name}");
            checked += 1;
        }
        assert_eq!(checked, PART);
        let dict = checkpoint.state_dict(false).unwrap();
        let element = |name: &str| dict.entries.iter().find(|entry| entry.name == name).map(|entry| entry.element());
        assert_eq!(element("mask"), Some(ElementType::Bool));
        assert_eq!(element("torch.int16"), Some(ElementType::I16));
        let error = format!("{:#}", weights.tensor("torch.int16").unwrap_err());
        assert!(error.contains("torch.int16") && error.contains("i16"), "{error}");
    }
}

#[test]
fn a_deflated_archive_reads_like_the_stored_one() {
    holds_the_formula(&weights("deflated.pth"), "", PART, 0.0);
}

#[test]
fn a_file_on_disk_and_its_bytes_in_memory_read_the_same() {
    let bytes = std::fs::read(fixture("protocol4.pth")).unwrap();
    holds_the_formula(&Checkpoint::from_bytes(bytes).unwrap().weights(false).unwrap(), "", PART, 0.0);
}

#[test]
fn entries_are_listed_in_the_order_of_the_file_with_counters() {
    let checkpoint = open("timm.pth");
    let dict = checkpoint.state_dict(false).unwrap();
    let names: Vec<&str> = dict.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"body.conv1.conv.weight"));
    assert_eq!(names.last(), Some(&"head.fc.bias"));
    let counter = dict.entries.iter().find(|entry| entry.name == "body.conv1.bn.num_batches_tracked").unwrap();
    assert_eq!((counter.element(), counter.shape()), (ElementType::I64, &[][..]));
}

#[test]
fn the_shipped_torch_resnet_checkpoint_is_recognised() {
    for name in ["resnet20-digits.safetensors", "resnet20-digits.pth"] {
        let path = fixture(&format!("../../../samples/{name}"));
        let weights = Checkpoint::open(path).unwrap().weights(false).unwrap();
        assert_eq!(weights.layout(), Layout::TorchResnet);
        assert_eq!((weights.num_classes(), weights.in_chans()), (Some(10), Some(3)));
    }
}

#[test]
fn an_archive_whose_name_has_21_letters_is_read_like_any_other() {
    let [short, long] =
        ["small.pth", "twenty-one-characters.pth"].map(|name| weights(name).tensor("fc.weight").unwrap());
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(numbers(&short), numbers(&long));
}
