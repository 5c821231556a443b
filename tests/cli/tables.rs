//! `models` and `inspect`: tables for people and for programs.

use std::process::Stdio;

use serde_json::Value;

use crate::run::{command, sample, tresnet};

fn models(filter: &str) -> Vec<Value> {
    let json = tresnet(["models", filter, "--format=json"]).ended_with(0).json();
    json["models"].as_array().unwrap().clone()
}

#[test]
fn models_tell_the_facts_of_each_network() {
    let found = models("tresnet_m");
    let row = found.iter().find(|row| row["model"] == "tresnet_m").unwrap();
    assert_eq!((&row["params"], &row["input_size"]), (&31_389_032.into(), &224.into()));
    assert_eq!((&row["published_top1"], &row["preset"]), (&80.8.into(), &"paper".into()));
    assert!((row["gmacs"].as_f64().unwrap() - 5.7365).abs() < 1e-3, "{row}");
    assert!(found.iter().all(|row| row["model"].as_str().unwrap().contains("tresnet_m")));
    assert_eq!(models("resnet56")[0]["mean"], serde_json::json!([0.4914, 0.4822, 0.4465]));
    let row = &models("efficientnet_b1")[0];
    assert_eq!((&row["params"], &row["input_size"]), (&7_794_184.into(), &240.into()));
    assert_eq!((&row["published_top1"], &row["published_top5"]), (&80.404.into(), &95.152.into()));
    assert_eq!(models("resnet50")[0]["activations"], 11_114_984);
}

#[test]
fn a_filter_may_have_wildcards() {
    let names: Vec<Value> = models("resnet?6").into_iter().map(|row| row["model"].clone()).collect();
    assert_eq!(names, ["resnet56"]);
}

#[test]
fn models_are_as_large_as_their_arguments_make_them_and_those_without_are_left_out() {
    let listed = |filter: &str, kwargs: &str| {
        let run = tresnet(["models", filter, "--format=json", "--model-kwargs", kwargs]).ended_with(0);
        run.json()["models"].as_array().unwrap().clone()
    };
    let wide = &listed("resnet20", "width=2")[0];
    assert!(wide["params"].as_u64().unwrap() > 3 * 272_474, "{wide}");
    assert!(listed("res*", "width=2").iter().all(|row| row["family"] != "resnet" && row["published_top1"].is_null()));
    let refused = tresnet(["models", "tresnet_m", "--model-kwargs", "width=2"]).ended_with(2);
    assert!(refused.stderr.contains("--model-kwargs") && refused.stderr.contains("tresnet"), "{}", refused.stderr);
}

#[test]
fn models_come_as_table_markdown_and_csv() {
    let first = |format: &str| {
        let run = tresnet(["models", "tresnet_m", "--format", format]).ended_with(0);
        run.stdout.lines().next().unwrap().to_owned()
    };
    assert!(first("table").starts_with("model "), "{}", first("table"));
    assert!(first("md").starts_with("| model | params |"), "{}", first("md"));
    assert!(first("csv").starts_with("model,family,aliases,params,gmacs,"), "{}", first("csv"));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = command(["models", "--format=json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn inspect_lists_every_tensor_with_layout_and_metadata() {
    let file = sample("resnet20-digits.pth");
    let json = tresnet(["inspect", file.to_str().unwrap(), "--format=json"]).ended_with(0).json();
    assert_eq!((&json["format"], &json["sets"][0]["layout"]), (&"PyTorch (zip)".into(), &"torch-resnet".into()));
    assert!(json["metadata"].is_object(), "{json}");
    let tensors = json["tensors"].as_array().unwrap();
    assert_eq!(tensors.len(), 128);
    let stem = serde_json::json!({"set": "", "name": "init_layer.0.weight", "shape": [16, 3, 3, 3], "dtype": "f32"});
    assert_eq!(tensors[0], stem);
    let table = tresnet(["inspect", file.to_str().unwrap()]).ended_with(0).stdout;
    assert!(table.contains("weights: 128 tensors of 274,063 elements, torch-resnet layout"), "{table}");
}
