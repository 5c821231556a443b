//! A run that is asked to stop writes what it has counted; one that is asked twice stops at once.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{command, digits_tar, infer_line};

/// Starts an evaluation that takes minutes: digits enlarged to `size` pixels.
fn start(size: usize, batch: usize, flags: &[String]) -> Child {
    let line = infer_line(&digits_tar()).into_iter().chain(flags.iter().cloned());
    let more = [format!("--input-size={size}"), format!("--batch-size={batch}"), "--log-interval=1".into()];
    command(line.chain(more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// The standard error up to the first line that `found` accepts.
fn wait_for(stderr: &mut impl BufRead, found: impl Fn(&str) -> bool) {
    let mut line = String::new();
    while !found(&line) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the run ended too early");
    }
}

fn send(signal: &str, child: &Child) {
    let line = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

/// Interrupts a run after its first batch; its exit status, standard output and what else it said.
fn stopped_by(signal: &str, flags: &[String]) -> (Option<i32>, String, String) {
    let mut child = start(224, 2, flags);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stderr, |line| line.contains(" images, top-1 "));
    send(signal, &child);
    let (mut said, mut stdout) = (String::new(), String::new());
    stderr.read_to_string(&mut said).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    (child.wait().unwrap().code(), stdout, said)
}

#[test]
fn ctrl_c_prints_and_writes_what_was_counted_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let flags = [format!("--results-file={}", file("r.json")), format!("--predictions={}", file("p.csv"))];
    let (status, stdout, said) = stopped_by("INT", &flags);
    assert_eq!(status, Some(130), "{stdout}{said}");
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with("top-1 validation accuracy so far: ") && last.ends_with(" of 364 images)"), "{last}");
    assert!(said.lines().last().unwrap().starts_with("interrupted after "), "{said}");
    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(file("r.json")).unwrap()).unwrap();
    assert_eq!(results["interrupted"], true);
    let counted = results["images"].as_u64().unwrap();
    assert!((2..364).contains(&counted), "{counted}");
    let rows = fs::read_to_string(file("p.csv")).unwrap();
    assert_eq!(rows.lines().count() as u64, counted + 1);
}

#[test]
fn termination_does_the_same_with_its_own_status() {
    let (status, stdout, said) = stopped_by("TERM", &[]);
    assert_eq!(status, Some(143), "{stdout}{said}");
    assert!(stdout.contains("so far: "), "{stdout}");
    assert!(said.lines().last().unwrap().starts_with("terminated after "), "{said}");
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    // The first signal alone would wait for the end of a batch that takes seconds, and then print a summary.
    let mut child = start(448, 16, &[]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stderr, |line| line.starts_with("dtype: "));
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "two signals did not end it");
        send("INT", &child);
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!((child.wait().unwrap().code(), stdout.as_str()), (Some(130), ""));
}

#[test]
fn an_interrupted_benchmark_prints_what_was_measured_so_far() {
    let line = ["bench", "--models=resnet20,resnet56", "--iters=1000000", "-b=1", "--format=json"];
    let mut child = command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stderr, |line| line.starts_with("dtype: "));
    std::thread::sleep(Duration::from_millis(500));
    send("TERM", &child);
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{stdout}");
    let run: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let rows = run["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["model"] == "resnet20" && row["error"].is_null()), "{stdout}");
}
