//! Training by the program on the stand-in: runs that are lost, and kernels that are wrong.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::commands::{Finished, on_stand_in_alone, tresnet};

/// Six images of each digit to train on and two to validate.
pub fn few_digits() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, of_a_class) in [("train", 6), ("val", 2)] {
        let mut kept = std::collections::HashMap::new();
        let file = std::fs::File::open(format!("samples/digits-{split}.tar")).unwrap();
        for entry in tar::Archive::new(file).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            let class = path.parent().map(Path::to_owned).unwrap_or_default();
            let count = kept.entry(class).or_insert(0);
            if entry.header().entry_type().is_file() && *count < of_a_class {
                *count += 1;
                let to = folder.path().join(split).join(path);
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                entry.unpack(to).unwrap();
            }
        }
    }
    folder
}

pub fn train(data: &TempDir, out: &TempDir, experiment: &str, more: &str, settings: &[(&str, &str)]) -> Finished {
    let [data, out] = [data, out].map(|folder| folder.path().display().to_string());
    let line = format!(
        "train {data} --model resnet20 --input-size 32 -b 16 --epochs 3 --lr 0.02 --sched cosine --model-ema \
         --device cuda --deterministic --output {out} --experiment {experiment} {more}"
    );
    tresnet(&line, settings)
}

#[test]
fn a_run_whose_device_was_lost_goes_on_to_the_very_bits_of_one_that_was_not() {
    if on_stand_in_alone() {
        let (data, out) = (few_digits(), tempfile::tempdir().unwrap());
        let whole = train(&data, &out, "whole", "", &[]);
        assert_eq!(whole.status, Some(0), "{}", whole.stderr);
        let steps = std::fs::read_to_string(out.path().join("whole/steps.jsonl")).unwrap();
        for step in steps.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            // Nothing that computes here does a step of 2 billion multiplications within a millisecond.
            assert!(step["step_seconds"].as_f64().is_some_and(|seconds| seconds > 1e-3), "{step}");
        }
        // Of three updates an epoch the second in the second one.
        let lost = train(&data, &out, "lost", "", &[("STAND_IN_LOSE", "sgd:6")]);
        assert_eq!(lost.status, Some(1), "{}", lost.stderr);
        let told = lost.stderr.lines().last().unwrap_or_default();
        assert!(told.starts_with("error: ") && told.contains("LAUNCH_FAILED"), "{told}");
        assert!(told.contains("the state after 3 updates is saved in "), "{told}");
        // Once more before anything is saved anew: what was gone on from is still there, as it is for another run.
        let state = out.path().join("lost/last.resume.safetensors").display().to_string();
        for (experiment, resume) in [("lost", "auto"), ("other", state.as_str())] {
            let again = train(&data, &out, experiment, &format!("--resume {resume}"), &[("STAND_IN_LOSE", "sgd:2")]);
            assert_eq!(again.status, Some(1), "{}", again.stderr);
            let told = again.stderr.lines().last().unwrap_or_default();
            assert!(told.starts_with("error: ") && told.contains("LAUNCH_FAILED"), "{told}");
            assert!(told.contains("; the state after 3 updates is saved in "), "{told}");
            assert!(told.ends_with(&format!(": --resume {resume} goes on from it")), "{told}");
        }
        let resumed = train(&data, &out, "lost", "--resume auto", &[]);
        assert_eq!(resumed.status, Some(0), "{}", resumed.stderr);
        let file = |experiment: &str, name: &str| std::fs::read(out.path().join(experiment).join(name)).unwrap();
        assert!(
            file("whole", "last.safetensors") == file("lost", "last.safetensors"),
            "the resumed run has other weights"
        );
        assert!(file("whole", "summary.csv") == file("lost", "summary.csv"), "the resumed run has another history");
    }
}

#[test]
fn training_goes_on_to_the_very_bits_where_cudnns_first_kernels_compute_something_else() {
    if on_stand_in_alone() {
        let (data, out) = (few_digits(), tempfile::tempdir().unwrap());
        let right = train(&data, &out, "right", "", &[]);
        let wrong = train(&data, &out, "wrong", "", &[("STAND_IN_CUDNN", "wrong")]);
        assert_eq!([right.status, wrong.status], [Some(0); 2], "{}{}", right.stderr, wrong.stderr);
        assert!(!right.stderr.contains("computes something else"), "{}", right.stderr);
        for pass in ["conv + statistics", "input gradient", "input gradient + add", "weight gradient"] {
            let told = format!("{pass}: cuDNN's engine 0 computes something else: ");
            assert!(wrong.stderr.contains(&told), "{pass}: {}", wrong.stderr);
        }
        // The stand-in's other engine computes what the first one should.
        let weights = |experiment: &str| std::fs::read(out.path().join(experiment).join("last.safetensors")).unwrap();
        assert!(weights("right") == weights("wrong"), "another kernel gave other weights");
    }
}
