//! Weight decay and learning-rate scale of every parameter.

use std::collections::HashMap;

use tresnet::models::{Request, find};
use tresnet::nn::Parameter;
use tresnet::optim::{GroupOptions, Groups};

use super::fixture;

const PLAIN: GroupOptions = GroupOptions { weight_decay: 1e-4, layer_decay: None, layer_decay_min_scale: 0.0 };

fn parameters(model: &str) -> Vec<Parameter> {
    let variant = find(model).unwrap();
    variant.architecture(&Request::new(variant.num_classes, 3)).unwrap().graph.parameters().to_vec()
}

fn groups(model: &str, options: &GroupOptions) -> Groups {
    let parameters = parameters(model);
    Groups::new(&parameters, &vec![false; parameters.len()], options).unwrap()
}

/// Compares with a row of groups.json.
fn assert_grouped(key: &str, model: &str, options: &GroupOptions) {
    let mut expected = fixture::<HashMap<String, HashMap<String, [f64; 2]>>>("groups.json").remove(key).unwrap();
    for member in groups(model, options).members() {
        let [decay, scale] = expected.remove(&member.name).unwrap_or_else(|| panic!("timm has no {}", member.name));
        assert_eq!(member.weight_decay, decay, "decay of {}", member.name);
        assert!((member.lr_scale / scale - 1.0).abs() < 1e-12, "{} has {}, not {scale}", member.name, member.lr_scale);
    }
    assert!(expected.is_empty(), "{expected:?} are not grouped");
}

#[test]
fn norms_and_biases_do_not_decay() {
    assert_grouped("tresnet_m", "tresnet_m", &PLAIN);
}

#[test]
fn tresnets_layers_learn_at_timms_rates() {
    let options = GroupOptions { layer_decay: Some(0.75), layer_decay_min_scale: 0.01, ..PLAIN };
    assert_grouped("tresnet_m 0.75", "tresnet_m", &options);
}

#[test]
fn cifar_resnets_layers_learn_at_the_rates_of_a_matcher_by_block() {
    assert_grouped("resnet20 0.6", "resnet20", &GroupOptions { layer_decay: Some(0.6), ..PLAIN });
}

#[test]
fn resnets_and_mobile_networks_layers_learn_at_timms_rates() {
    let options = GroupOptions { layer_decay: Some(0.6), ..PLAIN };
    assert_grouped("resnet26d 0.6", "resnet26d", &options);
    assert_grouped("mixnet_s 0.6", "mixnet_s", &options);
}

#[test]
fn the_classifier_is_the_head() {
    let groups = groups("tresnet_m", &PLAIN);
    let head: Vec<&str> = groups.members().iter().filter(|m| m.head).map(|m| &m.name[..]).collect();
    assert_eq!(head, ["head.fc.weight", "head.fc.bias"]);
}

#[test]
fn frozen_parameters_are_no_members() {
    let parameters = parameters("resnet20");
    let frozen: Vec<bool> = parameters.iter().map(|p| !p.name.starts_with("head.")).collect();
    let groups = Groups::new(&parameters, &frozen, &PLAIN).unwrap();
    let names: Vec<&str> = groups.members().iter().map(|m| &m.name[..]).collect();
    assert_eq!(names, ["head.weight", "head.bias"]);
}

#[test]
fn freezing_everything_is_refused() {
    let parameters = parameters("resnet20");
    let error = Groups::new(&parameters, &vec![true; parameters.len()], &PLAIN).unwrap_err().to_string();
    assert!(error.contains("nothing is left to train"), "{error}");
}
