//! Which tensors of a file are the weights, in pickles that today's PyTorch does not write itself.

use tresnet::checkpoint::Checkpoint;

use crate::refusal;
use crate::writer::{Pickle, legacy};

const NUMBERS: &[f32] = &[1., 2., 3., 4.];

/// `{name: {"weight": first two numbers}, ...}`, all over one storage.
fn file(sets: &[&str]) -> Vec<u8> {
    let mut pickle = Pickle::new().raw(b"}");
    for name in sets {
        pickle = pickle.text(name).raw(b"}").text("weight").tensor(("0", 4), 0, &[2], &[1]).raw(b"ss");
    }
    legacy(&pickle.raw(b".").0, &[("0", NUMBERS)])
}

fn chosen(sets: &[&str], use_ema: bool) -> String {
    Checkpoint::from_bytes(file(sets)).unwrap().state_dict(use_ema).unwrap().path.clone()
}

fn numbers(pickle: &[u8], name: &str) -> Vec<f32> {
    let weights = Checkpoint::from_bytes(legacy(pickle, &[("0", NUMBERS)])).unwrap().weights(false).unwrap();
    weights.tensor(name).unwrap().to_vec1().unwrap()
}

#[test]
fn customary_names_are_preferred_in_timms_order() {
    assert_eq!(chosen(&["model", "state_dict", "state_dict_ema"], false), "state_dict");
    assert_eq!(chosen(&["teacher", "model", "model_ema"], false), "model");
    assert_eq!(chosen(&["model", "model_ema"], true), "model_ema");
    assert_eq!(chosen(&["schema", "ema"], true), "ema");
    assert_eq!(chosen(&["backbone", "optimizer"], false), "backbone");
}

#[test]
fn sets_that_no_custom_tells_apart_are_refused() {
    let error = refusal(file(&["generator", "discriminator"]));
    assert!(error.contains("several sets") && error.contains("`generator`, `discriminator`"), "{error}");
}

#[test]
fn two_tensors_of_one_canonical_name_are_refused() {
    let tensor = |pickle: Pickle| pickle.tensor(("0", 4), 0, &[2], &[1]).raw(b"s");
    let pickle = tensor(tensor(Pickle::new().raw(b"}").text("weight")).text("module.weight"));
    let error = refusal(legacy(&pickle.raw(b".").0, &[("0", NUMBERS)]));
    assert!(error.contains("two of its tensors are `weight`"), "{error}");
}

#[test]
fn a_repeated_key_takes_the_last_value_as_in_python() {
    let pickle = Pickle::new().raw(b"}").text("weight").tensor(("0", 4), 0, &[2], &[1]).raw(b"s");
    let pickle = pickle.text("weight").tensor(("0", 4), 2, &[2], &[1]).raw(b"s.");
    assert_eq!(numbers(&pickle.0, "weight"), [3., 4.]);
}

#[test]
fn an_ordered_dict_of_python_2_is_read_from_its_pairs() {
    // OrderedDict([["weight", tensor]]), its key a byte string.
    let pickle = Pickle::new().global("collections", "OrderedDict").raw(b"](]U\x06weighta");
    let pickle = pickle.tensor(("0", 4), 1, &[3], &[1]).raw(b"ae\x85R.");
    assert_eq!(numbers(&pickle.0, "weight"), [2., 3., 4.]);
}

#[test]
fn a_storage_may_be_a_part_of_another_one() {
    for (first, count, expected) in [(1, 3, Some([2., 3.])), (2, 2, Some([3., 4.])), (3, 1, None), (2, 3, None)] {
        let pickle = Pickle::new().raw(b"}").text("weight").global("torch._utils", "_rebuild_tensor_v2").raw(b"((");
        let pickle = pickle.text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(4).raw(b"(");
        let pickle = pickle.text("part").int(first).int(count).raw(b"ttQ").int(0).ints(&[2]).ints(&[1]);
        let pickle = pickle.raw(b"\x89NtRs.").0;
        match expected {
            Some(expected) => assert_eq!(numbers(&pickle, "weight"), expected),
            None => assert!(refusal(legacy(&pickle, &[("0", NUMBERS)])).contains("`weight`")),
        }
    }
}
