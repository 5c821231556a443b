//! `models`, `inspect` and `bench`: tables for people and for programs.

use std::process::Stdio;

use serde_json::Value;

use crate::run::{command, digits_tar, sample, tresnet};

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

#[test]
fn bench_gives_each_mode_its_figure_with_its_spread() {
    let images = digits_tar();
    let flags =
        ["--models=resnet20", "--modes=infer,load,e2e,train", "-b=4", "--iters=3", "--warmup=1", "--format=json"];
    let line = ["bench", "--val-dir", images.to_str().unwrap()].into_iter().chain(flags);
    let json = tresnet(line).ended_with(0).json();
    assert_eq!((&json["device"], &json["versions"]["tresnet"]), (&"cpu".into(), &env!("CARGO_PKG_VERSION").into()));
    let row = &json["rows"][0];
    assert_eq!((&row["model"], &row["params"], &row["infer_batch"]), (&"resnet20".into(), &272_474.into(), &4.into()));
    for mode in ["infer", "load", "e2e", "train"] {
        let number = |suffix: &str| row[format!("{mode}_img_per_sec{suffix}")].as_f64().unwrap();
        assert!(0.0 < number("_min") && number("_min") <= number("") && number("") <= number("_max"), "{row}");
        assert_eq!(number("_n"), 3.0);
    }
    assert!(row["train_batch"] == 4 && row["max_train_batch"].is_null(), "{row}");
    assert!(["loading", "computing"].contains(&row["bottleneck"].as_str().unwrap()), "{row}");
    assert!(cfg!(not(target_os = "linux")) || row["peak_memory_bytes"].as_u64().unwrap() > 1 << 20, "{row}");
}

#[test]
fn bench_makes_its_own_images_and_names_the_bottleneck() {
    let run =
        tresnet(["bench", "--models=tresnet_m", "--modes=load,e2e", "-b=1", "--iters=1", "--warmup=0"]).ended_with(0);
    assert!(run.stderr.contains("images: 256 synthetic JPEGs of 500x375"), "{}", run.stderr);
    assert!(run.stdout.contains("tresnet_m: the bottleneck is "), "{}", run.stdout);
}
