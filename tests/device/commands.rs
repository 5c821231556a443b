//! The program itself on a GPU, or on the stand-in where there is none.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::place;
use crate::stand_in::on_stand_in;

/// How a run ended.
pub struct Finished {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The program that was built with these tests; on another machine the one beside them.
fn program() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_tresnet"));
    if built.exists() { built } else { std::env::current_exe().unwrap().with_file_name("tresnet") }
}

/// Runs it on the GPU; on the stand-in with these settings.
pub fn tresnet(line: &str, settings: &[(&str, &str)]) -> Finished {
    let on_gpu = std::env::var_os("STAND_IN").is_none();
    let mut command = if on_gpu { Command::new(program()) } else { on_stand_in(&program(), settings) };
    let output = command.args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Finished { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// What only the stand-in can be told to do.
pub fn on_stand_in_alone() -> bool {
    place::is_there() && std::env::var_os("STAND_IN").is_some()
}

const INFER: &str = "infer --val-dir samples/digits-val.tar --model-path samples/resnet20-digits.safetensors \
                     --model-name resnet20 --limit 100 --batch-size 32 --json";

/// Asserts that a run counted what the processor counts.
#[track_caller]
fn assert_counts(found: &Value) {
    let expected = tresnet(&format!("{INFER} --device cpu"), &[]).json();
    assert_eq!(found["device"], "cuda:0");
    for count in ["images", "correct1", "correct5"] {
        assert_eq!(found[count], expected[count], "{count}");
    }
    let [ours, theirs] = [found, &expected].map(|run| run["loss"].as_f64().unwrap());
    assert!((ours / theirs - 1.0).abs() < 1e-2, "a loss of {ours}, and {theirs} by the processor");
}

#[test]
fn infer_counts_what_the_processor_counts() {
    if place::is_there() {
        assert_counts(&tresnet(&format!("{INFER} --device cuda"), &[]).json());
    }
}

#[test]
fn infer_counts_the_same_by_whatever_kernels_cudnn_has() {
    if on_stand_in_alone() {
        for has in ["bare", "failing"] {
            assert_counts(&tresnet(&format!("{INFER} --device cuda"), &[("STAND_IN_CUDNN", has)]).json());
        }
        let none = tresnet(&format!("{INFER} --device cuda --dtype f32"), &[("STAND_IN_CUDNN", "nothing")]);
        assert!(none.stderr.contains("by a slow kernel of our own"), "{}", none.stderr);
        assert_counts(&none.json());
    }
}

#[test]
fn infer_counts_the_same_where_cudnns_kernels_compute_something_else_and_says_which_do() {
    if on_stand_in_alone() {
        for has in ["wrong", "all-wrong"] {
            let run = tresnet(&format!("{INFER} --device cuda"), &[("STAND_IN_CUDNN", has)]);
            assert!(
                run.stderr.contains("conv + bias + relu: cuDNN's engine 0 computes something else: "),
                "{}",
                run.stderr
            );
            assert_eq!(run.stderr.contains("by a slow kernel of our own"), has == "all-wrong", "{}", run.stderr);
            assert_said_once(&run.stderr);
            assert_counts(&run.json());
        }
    }
}

/// Asserts that it is said once of an engine that it does not compute a problem: by several graphs, in the cache and anew.
#[track_caller]
fn assert_said_once(stderr: &str) {
    let lines = stderr.lines().filter(|line| line.contains(": cuDNN's engine "));
    let mut said: Vec<&str> = lines.filter_map(|line| Some(line.split_once(" computes something else")?.0)).collect();
    let count = said.len();
    said.sort_unstable();
    said.dedup();
    assert!(count > 0 && said.len() == count, "{count} lines, of which {} differ: {stderr}", said.len());
}

/// Changes every entry of a cache of plans; how many there are, and how many of them were verified.
fn entries(cache: &TempDir, change: impl Fn(&mut Value)) -> [usize; 2] {
    let mut found = [0; 2];
    for path in cache.path().read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        let mut entry: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        found[0] += 1;
        found[1] += usize::from(entry["verified"] == true);
        change(&mut entry);
        std::fs::write(&path, entry.to_string()).unwrap();
    }
    found
}

#[test]
fn a_plan_in_the_cache_that_was_not_verified_is_verified_once() {
    if on_stand_in_alone() {
        let cache = tempfile::tempdir().unwrap();
        let place = ("TRESNET_CUDNN_CACHE", cache.path().to_str().unwrap());
        let infer = |settings: &[(&str, &str)]| tresnet(&format!("{INFER} --device cuda"), settings);
        let cold = infer(&[place]).stderr;
        let [count, verified] = entries(&cache, |entry| entry["verified"] = false.into());
        assert!(count > 5 && verified == count, "{verified} of {count} were verified");
        assert!(cold.contains(&format!("planned {count} convolutions, 0 of them from the cache")), "{cold}");
        assert!(cold.contains(&format!("verifying {count} of them")), "{cold}");
        let again = infer(&[place]).stderr;
        assert!(again.contains(&format!("{count} of them from the cache")), "{again}");
        assert!(again.contains(&format!("verifying {count} of them")), "{again}");
        assert_eq!(entries(&cache, |_| {}), [count, count]);
        let warm = infer(&[place]).stderr;
        assert!(!warm.contains("verifying"), "{warm}");
        // What was not verified is not trusted, wherever it comes from.
        entries(&cache, |entry| {
            let plan = entry["plan"].as_str().unwrap().split_once(' ').unwrap().1.to_owned();
            entry["choice"]["engine"] = 0.into();
            entry["plan"] = format!("0 {plan}").into();
            entry["verified"] = false.into();
        });
        let wrong = infer(&[place, ("STAND_IN_CUDNN", "wrong")]);
        assert_said_once(&wrong.stderr);
        let said = wrong.stderr.matches("cuDNN's engine 0 computes something else").count();
        assert_eq!(said, count, "{}", wrong.stderr);
        assert_counts(&wrong.json());
        let engines = entries(&cache, |entry| assert_eq!(entry["choice"]["engine"], 7));
        assert_eq!(engines, [count, count]);
    }
}

#[test]
fn a_batch_that_does_not_fit_goes_through_in_parts_and_none_is_a_failure() {
    if on_stand_in_alone() {
        // cuDNN's workspace takes 256 MiB of it.
        let parts = tresnet(&format!("{INFER} --device cuda"), &[("STAND_IN_MEMORY", "270500000")]);
        assert!(parts.stderr.contains("images go through "), "{}", parts.stderr);
        assert_counts(&parts.json());
        let none = tresnet(&format!("{INFER} --device cuda"), &[("STAND_IN_MEMORY", "1000000")]);
        assert_eq!(none.status, Some(1));
        assert!(none.stderr.contains("error: ") && none.stderr.contains("out of GPU memory"), "{}", none.stderr);
    }
}

#[test]
fn a_device_that_is_lost_ends_infer_with_one_message() {
    if on_stand_in_alone() {
        let lost = tresnet(&format!("{INFER} --device cuda"), &[("STAND_IN_LOSE", "global_average_pool:4")]);
        assert_eq!(lost.status, Some(1), "{}", lost.stdout);
        let errors: Vec<&str> = lost.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains("LAUNCH_FAILED"), "{}", lost.stderr);
    }
}

#[test]
fn bench_times_inference_and_training_on_a_gpu() {
    if place::is_there() {
        let line = "bench --models resnet20 --input-size 32 --batch-size 8 --modes infer,train --device cuda --warmup 1 \
                    --iters 2 --format json";
        let table = tresnet(line, &[]).json();
        let row = &table["rows"][0];
        for speed in ["infer_img_per_sec", "train_img_per_sec"] {
            assert!(row[speed].as_f64().is_some_and(|speed| speed > 0.0), "{row}");
        }
    }
}

#[test]
fn ctrl_c_ends_a_profile_after_the_run_that_it_is_in() {
    if !on_stand_in_alone() {
        return;
    }
    let line = "bench --models resnet20,resnet56 --input-size 32 --batch-size 8 --device cuda --iters 1000000 \
                --format json --profile=1000";
    for mode in ["infer", "train"] {
        let mut command = on_stand_in(&program(), &[]);
        command.args(line.split_whitespace()).arg(format!("--modes={mode}")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        // It is asked once, wherever it is then, and has to come to an end by itself: a second signal would kill it.
        std::thread::sleep(Duration::from_secs(5));
        let ask = format!("kill -INT {}", child.id());
        assert!(Command::new("sh").args(["-c", &ask]).status().unwrap().success());
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(120) {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{mode}: {}", output.status);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let profiles = report["profiles"].as_array().unwrap();
        assert_eq!(profiles.len(), 1, "{mode}: the second network is profiled too");
        let batches = profiles[0]["batches"].as_u64().unwrap();
        assert!((1..1_000_000).contains(&batches), "{mode}: {batches} batches");
        assert!(profiles[0]["ops"].as_array().is_some_and(|ops| ops.len() > 5), "{mode}: {report}");
    }
}

#[test]
fn a_profile_on_a_gpu_names_its_kernels_and_cudnns_engines() {
    if place::is_there() {
        let line = "bench --models resnet20 --input-size 32 --batch-size 8 --modes infer,train --device cuda --warmup 1 \
                    --iters 2 --format json --profile=1000";
        let report = tresnet(line, &[]).json();
        assert!(report["limits"]["gflop_per_sec"].as_f64().is_some_and(|rate| rate > 0.0), "{}", report["limits"]);
        let profiles = report["profiles"].as_array().unwrap();
        // What a batch begins with, and a product in each direction that the mode has. With what else in the same kernel
        // is the clock's choice.
        let expected = [&["forward"][..], &["forward", "input gradient", "weight gradient"]];
        for (profile, passes) in profiles.iter().zip(expected) {
            let ops = profile["ops"].as_array().unwrap();
            let is = |op: &Value, kind: &str| op["kind"].as_str().is_some_and(|own| own.starts_with(kind));
            let of_kind =
                |kind: &str| ops.iter().find(|op| is(op, kind)).unwrap_or_else(|| panic!("no {kind}: {ops:?}"));
            assert_eq!(of_kind("normalize_f16")["shape"], "[8, 32, 32, 3]");
            for pass in passes {
                let conv = of_kind(&format!("conv 3x3/1: {pass}"));
                assert!(conv["op"].as_str().is_some_and(|name| name.starts_with("cuDNN's engine ")), "{conv}");
                assert!(conv["gflop_per_sec"].as_f64().is_some_and(|rate| rate > 0.0), "{conv}");
            }
            let sum = |figure: &str| ops.iter().filter_map(|op| op[figure].as_f64()).sum::<f64>();
            assert!(sum("ms") > 0.0 && profile["batch_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{profile}");
        }
    }
}
