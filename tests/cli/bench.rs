//! `bench`: what is measured, what happens to a row that fails, and what is kept of a run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run::{Finished, digits_tar, tresnet};

/// `tresnet bench` of the smallest network in JSON, as quick as can be, with more flags.
fn bench(flags: &[&str]) -> Finished {
    bench_of("resnet20", flags)
}

fn bench_of(models: &str, flags: &[&str]) -> Finished {
    let line = ["bench", "--models", models, "--format=json", "--iters=1", "--warmup=0", "-b=2"];
    tresnet(line.iter().chain(flags))
}

fn rows(run: &Finished) -> Vec<Value> {
    run.json()["rows"].as_array().unwrap().clone()
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[test]
fn each_mode_gets_its_figure_with_its_spread() {
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
fn without_images_it_makes_its_own_and_names_the_bottleneck() {
    let run =
        tresnet(["bench", "--models=tresnet_m", "--modes=load,e2e", "-b=1", "--iters=1", "--warmup=0"]).ended_with(0);
    assert!(run.stderr.contains("images: 256 synthetic JPEGs of 500x375"), "{}", run.stderr);
    assert!(run.stdout.contains("tresnet_m: the bottleneck is "), "{}", run.stdout);
}

#[test]
fn passes_over_the_rows_add_to_the_measurements() {
    let rows = rows(&bench(&["--repeats=2", "--iters=2", "--modes=both", "--input-size=16"]).ended_with(0));
    assert_eq!((&rows[0]["infer_img_per_sec_n"], &rows[0]["train_img_per_sec_n"]), (&4.into(), &4.into()));
    assert_eq!(rows[0]["input_size"], 16);
}

#[test]
fn a_network_is_told_its_arguments() {
    let row = &rows(&bench(&["--model-kwargs", "width=2"]).ended_with(0))[0];
    assert!(row["params"].as_u64().unwrap() > 3 * 272_474 && row["model_kwargs"] == "width=2", "{row}");
}

#[test]
fn a_row_that_fails_says_why_and_the_others_go_on() {
    let run = bench_of("resnet20,resnet50", &["--model-kwargs", "width=2", "--modes=infer,train"]).ended_with(3);
    let rows = rows(&run);
    assert!(rows[0]["infer_img_per_sec"].is_f64() && rows[0]["error"].is_null(), "{}", rows[0]);
    assert!(rows[1]["infer_img_per_sec"].is_null(), "{}", rows[1]);
    assert!(rows[1]["error"].as_str().unwrap().contains("takes no width"), "{}", rows[1]);
    assert!(run.stderr.contains("resnet50: ") && !run.stderr.contains("stack backtrace"), "{}", run.stderr);
    let none = bench_of("resnet50,resnet18", &["--model-kwargs", "width=2"]).ended_with(1);
    assert!(none.stderr.contains("error: nothing could be measured"), "{}", none.stderr);
}

#[test]
fn the_largest_batch_is_looked_for_on_a_gpu_too_where_there_is_one() {
    for flags in [["--device=cuda:99", "-b=max"], ["--device=cuda:99", "--memory-limit=1"]] {
        let run = bench(&flags);
        assert!(run.stderr.contains("--device cuda:99"), "{}", run.stderr);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use super::*;

    #[test]
    fn a_row_that_runs_out_of_memory_says_at_which_batch_and_the_others_go_on() {
        let limited = ["--modes=infer,train", "--memory-limit=0.0625", "--input-size=16"];
        for batch in ["2000", "1000000"] {
            let run = bench(&[&limited[..], &["--train-batch-size", batch]].concat()).ended_with(3);
            let row = &rows(&run)[0];
            assert!(row["infer_img_per_sec"].is_f64() && row["train_img_per_sec"].is_null(), "{row}");
            assert_eq!(row["error"], format!("train: out of memory at batch {batch} within 64 MiB"), "{row}");
        }
    }

    #[test]
    fn the_largest_batch_fits_and_speeds_are_measured_at_nine_tenths_of_it() {
        let run = bench(&["--modes=train", "-b=max", "--memory-limit=0.09375", "--input-size=16"]).ended_with(0);
        let row = &rows(&run)[0];
        let (largest, batch) = (row["max_train_batch"].as_u64().unwrap(), row["train_batch"].as_u64().unwrap());
        assert!((20..2000).contains(&largest) && batch == largest * 9 / 10, "{row}");
        let peak = row["train_peak_memory_bytes"].as_u64().unwrap();
        assert!((64 << 20..=96 << 20).contains(&peak), "{row}");
        assert_eq!(run.json()["memory_limit_bytes"], 96 << 20);
    }

    #[test]
    fn a_limit_that_no_batch_keeps_is_out_of_memory_at_one_image() {
        let run = bench(&["--modes=infer,train", "--memory-limit=0.01", "--format=md"]).ended_with(1);
        assert!(run.stdout.contains("; train: out of memory at batch 1 within 10 MiB |"), "{}", run.stdout);
    }

    #[test]
    fn a_limit_beyond_what_is_free_is_wrong_usage() {
        let run = bench(&["--memory-limit=1000000"]).ended_with(2);
        assert!(run.stderr.contains("are free here; give less"), "{}", run.stderr);
    }
}

#[test]
fn runs_are_kept_in_a_file_and_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.json");
    bench(&["--iters=3", &flag("results-file", &file)]).ended_with(0);
    let run = bench(&["--iters=3", &flag("results-file", &file), &flag("compare", &file)]).ended_with(0);
    let figure = &run.json()["comparison"]["figures"][0];
    assert_eq!((&figure["model"], &figure["figure"]), (&"resnet20".into(), &"infer_img_per_sec".into()));
    let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let runs = kept["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["rows"][0]["model"]), (2, &"resnet20".into()));
    assert!(runs[0]["date"].as_str().unwrap().ends_with('Z') && runs[0]["instructions"].is_string(), "{}", runs[0]);
    let text = bench(&["--format=table", &flag("compare", &file)]).ended_with(0).stdout;
    assert!(text.contains("beside the run of 2") && text.contains("too few measurements"), "{text}");
}

#[test]
fn files_that_cannot_be_used_are_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.json");
    fs::write(&other, r#"{"model": "tresnet_m", "top1": 80.8}"#).unwrap();
    let missing = folder.path().join("no/such/folder/a");
    for flag in [
        flag("compare", &other),
        flag("compare", &missing),
        flag("results-file", &other),
        flag("results-file", &missing),
        flag("plot", &missing),
    ] {
        let run = bench(&[&flag]).ended_with(1);
        let path = flag.split_once('=').unwrap().1;
        assert!(run.stderr.contains(path) && !run.stderr.contains("img/s") && run.stdout.is_empty(), "{}", run.stderr);
    }
    assert!(fs::read_to_string(&other).unwrap().contains("80.8"), "nothing is lost");
}

#[test]
fn the_picture_shows_measured_and_published_speeds() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("speed.svg");
    let flags = ["--published", &flag("plot", &picture), "--input-size=64"];
    bench_of("mixnet_s,resnet18", &flags).ended_with(0);
    let drawn = fs::read_to_string(&picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert_eq!(drawn.matches("<circle").count(), 2, "neither is the paper's: {drawn}");
    assert!(drawn.contains(">mixnet_s</text>") && drawn.contains(">resnet18</text>"), "{drawn}");
}
