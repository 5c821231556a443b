//! The shipped checkpoint on the shipped digits, beside PyTorch's own evaluation of it.

use std::collections::HashMap;
use std::fs;

use serde_json::Value;
use tresnet::ops::Isa;

use crate::run::{digits_folder, digits_tar, infer, infer_line, sample, tresnet};

fn pytorch() -> Value {
    serde_json::from_str(&fs::read_to_string(sample("resnet20-digits.json")).unwrap()).unwrap()
}

#[test]
fn the_shipped_sample_gives_exactly_pytorchs_count() {
    let (ours, theirs) = (infer(&digits_tar(), &["--json"]).ended_with(0).json(), pytorch());
    for key in ["images", "correct1", "correct5", "input_size", "crop_pct", "mean", "std"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    let loss = |json: &Value| json["loss"].as_f64().unwrap();
    assert!((loss(&ours) - loss(&theirs)).abs() < 1e-5, "{} and PyTorch's {}", loss(&ours), loss(&theirs));
}

#[test]
fn a_damaged_checkpoint_of_our_own_is_told_by_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.safetensors");
    let mut bytes = fs::read(sample("resnet20-digits.safetensors")).unwrap();
    let evaluated = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let images = format!("--val-dir={}", digits_tar().display());
        let model = format!("--model-path={}", file.display());
        tresnet(["infer", &images, &model, "--limit=1", "--quiet", "--model-name=resnet20"]).ended_with(0).stderr
    };
    assert_eq!(evaluated(&bytes).matches("WARN").count(), 0);
    let middle = bytes.len() / 2 / 4 * 4;
    bytes[middle] ^= 1;
    let said = evaluated(&bytes);
    assert!(said.contains("damaged.safetensors: it is damaged: its checksum is"), "{said}");
}

#[test]
fn every_image_gets_pytorchs_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.csv");
    infer(&digits_tar(), &["--topk=1", "--predictions", file.to_str().unwrap()]).ended_with(0);
    let (ours, theirs) =
        (fs::read_to_string(file).unwrap(), fs::read_to_string(sample("resnet20-digits.csv")).unwrap());
    assert_eq!(ours.lines().count(), 365);
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        let ((ours, our_score), (theirs, their_score)) =
            (ours.rsplit_once(',').unwrap(), theirs.rsplit_once(',').unwrap());
        assert_eq!(ours, theirs);
        if let (Ok(our_score), Ok(their_score)) = (our_score.parse::<f64>(), their_score.parse::<f64>()) {
            assert!((our_score - their_score).abs() < 1e-4, "{ours}: {our_score} and PyTorch's {their_score}");
        }
    }
}

/// Each image's path and its ten classes' logits, best first.
fn logits(dtype: &str) -> Vec<(String, Vec<(String, f32)>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.csv");
    let predictions = format!("--predictions={}", file.display());
    let flags = ["--device=cpu", &format!("--dtype={dtype}"), "--topk=10", "--scores=logit", &predictions];
    infer(&digits_tar(), &flags).ended_with(0);
    let text = fs::read_to_string(file).unwrap();
    let image = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let classes = fields[2..12].iter().map(|class| (*class).to_owned());
        let scores = fields[12..22].iter().map(|score| score.parse().unwrap());
        (fields[0].to_owned(), classes.zip(scores).collect())
    };
    text.lines().skip(1).map(image).collect()
}

#[test]
fn bf16_moves_logits_by_less_than_two_per_cent_and_hardly_an_answer() {
    if Isa::bf16().is_none() {
        return;
    }
    let (f32s, bf16s) = (logits("f32"), logits("bf16"));
    assert_eq!((f32s.len(), bf16s.len()), (364, 364));
    let (mut largest, mut difference, mut same) = (0.0f32, 0.0f32, 0);
    for ((path, f32s), (bf16_path, bf16s)) in f32s.iter().zip(&bf16s) {
        assert_eq!(path, bf16_path);
        same += usize::from(f32s[0].0 == bf16s[0].0);
        let rounded: HashMap<_, _> = bf16s.iter().cloned().collect();
        for (class, logit) in f32s {
            largest = largest.max(logit.abs());
            difference = difference.max((logit - rounded[class]).abs());
        }
    }
    assert!(difference > 0.0, "--dtype bf16 rounds nothing");
    assert!(difference <= 0.02 * largest, "logits differ by {difference}, of {largest}");
    assert!(same as f64 >= 0.99 * f32s.len() as f64, "only {same} of {} answers are the same", f32s.len());
}

#[test]
fn the_originals_command_line_works_as_written() {
    let folder = digits_folder();
    let line = format!(
        "infer --val_dir={} --model_path={} --model_name=resnet20 --num_classes=10 --input_size=32 --val_zoom_factor=1 \
         --batch_size=48 --num_workers=8 --remove_aa_jit",
        folder.path().display(),
        sample("resnet20-digits.pth").display()
    );
    let run = tresnet(line.split(' ')).ended_with(0);
    assert_eq!(run.stdout.lines().last(), Some("final top-1 validation accuracy: 99.18"));
    assert!(run.stderr.starts_with("device: cpu (auto: "), "{}", run.stderr);
    assert!(run.stderr.lines().any(|line| line.starts_with("364/364 images, top-1 99.18")), "{}", run.stderr);
}

#[test]
fn json_and_results_file_carry_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.json");
    let printed = infer(&digits_tar(), &["--json", "--results-file", file.to_str().unwrap()]).ended_with(0).json();
    let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(printed, written);
    let contract = "model images correct1 correct5 top1 top5 loss skipped input_size crop_pct resize_mode interpolation \
                    mean std device dtype batch_size param_count seconds img_per_sec";
    for key in contract.split_whitespace() {
        assert!(!printed[key].is_null(), "{key} in {printed}");
    }
    for key in ["loading_seconds", "computing_seconds", "waiting_seconds"] {
        assert!(printed[key].as_f64().is_some_and(|seconds| seconds >= 0.0), "{key} in {printed}");
    }
    assert_eq!(printed["bottleneck"], "computing");
    assert_eq!((&printed["model"], &printed["param_count"]), (&"resnet20".into(), &272_474.into()));
}

#[test]
fn a_limit_takes_the_first_images() {
    let json = infer(&digits_tar(), &["--json", "--limit", "10"]).ended_with(0).json();
    assert_eq!((&json["images"], &json["dataset_images"]), (&10.into(), &10.into()));
}

#[test]
fn mirroring_changes_the_loss_and_is_reported() {
    let plain = infer(&digits_tar(), &["--json", "--limit=40"]).ended_with(0).json();
    let mirrored = infer(&digits_tar(), &["--json", "--limit=40", "--tta=hflip"]).ended_with(0).json();
    assert_eq!((&plain["tta"], &mirrored["tta"]), (&Value::Null, &"hflip".into()));
    assert_ne!(plain["loss"], mirrored["loss"]);
}

#[test]
fn a_class_map_says_which_folder_is_which_output() {
    let folder = tempfile::tempdir().unwrap();
    let map = |names: &str| {
        let path = folder.path().join("map.txt");
        fs::write(&path, names).unwrap();
        let json = infer(&digits_tar(), &["--json", "--class-map", path.to_str().unwrap()]).ended_with(0).json();
        json["correct1"].as_u64().unwrap()
    };
    assert_eq!(map("0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"), 361);
    // Two names swapped: of 364 images in ten even classes, those of two are wrong now.
    assert!((280..300).contains(&map("1\n0\n2\n3\n4\n5\n6\n7\n8\n9\n")));
}

#[test]
fn quiet_leaves_nothing_but_results() {
    let run = infer(&digits_tar(), &["--quiet"]).ended_with(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_flag_given_again_replaces_what_it_was_in_either_spelling() {
    let line = infer_line(&digits_tar()).to_vec();
    let replaced = tresnet(line.iter().cloned().chain(["--val_dir=elsewhere".into()])).ended_with(1);
    assert!(replaced.stderr.contains("elsewhere"), "{}", replaced.stderr);
    tresnet(["infer".into(), "--val_dir=elsewhere".to_owned()].into_iter().chain(line.into_iter().skip(1)))
        .ended_with(0);
}
