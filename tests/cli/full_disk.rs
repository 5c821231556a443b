//! What was computed is said even where a file of it cannot be written. `/dev/full` is a disk without room.
#![cfg(target_os = "linux")]

use std::fs::{self, File};

use crate::run::{command, digits_tar, infer, infer_line};

const LAST_LINE: &str = "final top-1 validation accuracy: 99.18\n";

#[test]
fn results_that_cannot_be_written_are_printed_all_the_same() {
    let run = infer(&digits_tar(), &["--quiet", "--results-file=/dev/full"]).ended_with(1);
    assert!(run.stdout.ends_with(LAST_LINE), "{}", run.stdout);
    assert!(run.stderr.starts_with("error: cannot write /dev/full: No space left"), "{}", run.stderr);
    let run = infer(&digits_tar(), &["--quiet", "--json", "--results-file=/dev/full"]).ended_with(1);
    assert_eq!(run.json()["correct1"], 361);
}

#[test]
fn the_other_file_is_written_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (full, results) = (folder.path().join("full.csv"), folder.path().join("r.json"));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    // A batch of all: its rows are written when the file is full of them, the last ones at the end.
    let flags = [format!("--predictions={}", full.display()), format!("--results-file={}", results.display())];
    let run = infer(&digits_tar(), &["--quiet", "--limit=20", &flags[0], &flags[1]]).ended_with(1);
    assert!(run.stdout.contains("images: 20, "), "{}", run.stdout);
    assert!(fs::read_to_string(results).unwrap().contains("\"images\": 20"));
}

#[test]
fn counts_stand_where_predictions_find_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.csv");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let flag = format!("--predictions={}", full.display());
    let run = infer(&digits_tar(), &["--quiet", "--json", "--batch-size=8", &flag]).ended_with(1);
    let json = run.json();
    let images = json["images"].as_u64().unwrap();
    assert!(images > 0 && images < 364 && json["interrupted"] == true, "{json}");
    let counted = format!("error: after {images} of 364 images, whose counts stand: cannot write ");
    assert!(run.stderr.starts_with(&counted), "{}", run.stderr);
}

#[test]
fn a_results_file_that_is_the_standard_output_loses_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let line = infer_line(&digits_tar()).into_iter().chain(["--results-file=/dev/stdout".into()]);
    assert!(command(line).stdout(File::create(&out).unwrap()).status().unwrap().success());
    let text = fs::read_to_string(out).unwrap();
    assert!(text.starts_with("{") && text.ends_with(LAST_LINE), "{text}");
}
