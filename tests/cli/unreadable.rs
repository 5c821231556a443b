//! Images that cannot be read are named, left out, and change nothing else.

use std::fs;
use std::path::Path;

use crate::run::{digits_folder, infer, sample};

/// Puts one of every kind of trouble into the data set; returns the paths that must be named.
fn spoil(root: &Path) -> Vec<&'static str> {
    let good = fs::read(root.join("0/0000.png")).unwrap();
    fs::write(root.join("1/empty.png"), "").unwrap();
    fs::write(root.join("2/truncated.png"), &good[..good.len() / 2]).unwrap();
    fs::write(root.join("3/text.jpg"), "this is no image\n").unwrap();
    let mut corrupt = good;
    for byte in corrupt.iter_mut().skip(60).step_by(3) {
        *byte ^= 0x5a;
    }
    fs::write(root.join("4/corrupt.png"), corrupt).unwrap();
    // A JPEG's header with nothing behind it.
    fs::write(root.join("5/head.jpeg"), [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F', 0]).unwrap();
    let mut paths = vec!["1/empty.png", "2/truncated.png", "3/text.jpg", "4/corrupt.png", "5/head.jpeg"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("..", root.join("6/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere.png", root.join("7/dangling.png")).unwrap();
        paths.extend(["6/loop", "7/dangling.png"]);
    }
    paths
}

#[test]
fn they_are_listed_and_the_accuracy_of_the_rest_is_right() {
    let (images, out) = (digits_folder(), tempfile::tempdir().unwrap());
    let paths = spoil(images.path());
    let predictions = out.path().join("p.csv");
    let run = infer(images.path(), &["--json", "--predictions", predictions.to_str().unwrap()]).ended_with(3);
    let json = run.json();
    assert_eq!((&json["images"], &json["correct1"], &json["correct5"]), (&364.into(), &361.into(), &364.into()));
    let mut skipped: Vec<(&str, &str)> = json["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["path"].as_str().unwrap(), image["reason"].as_str().unwrap()))
        .collect();
    skipped.sort_unstable();
    assert_eq!(skipped.iter().map(|(path, _)| *path).collect::<Vec<_>>(), paths);
    for (path, reason) in skipped {
        assert!(!reason.is_empty() && !reason.contains('\n'), "{path}: {reason}");
        assert!(run.stderr.contains(&format!("warning: left out {path}: {reason}\n")), "{path}: {}", run.stderr);
    }
    let rows = fs::read_to_string(predictions).unwrap();
    assert_eq!(rows.lines().count(), 365);
    assert!(!paths.iter().any(|path| rows.contains(path)));
}

#[test]
fn the_summary_counts_them() {
    let images = digits_folder();
    fs::write(images.path().join("1/empty.png"), "").unwrap();
    let run = infer(images.path(), &[]).ended_with(3);
    assert!(run.stdout.contains("skipped: 1 image that could not be read"), "{}", run.stdout);
    assert_eq!(run.stdout.lines().last(), Some("final top-1 validation accuracy: 99.18"));
}

#[test]
fn where_none_can_be_read_the_run_has_failed_and_still_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("0")).unwrap();
    fs::write(folder.path().join("0/a.png"), "").unwrap();
    let run = infer(folder.path(), &["--json"]).ended_with(1);
    let json = run.json();
    assert_eq!((&json["images"], &json["skipped"][0]["path"]), (&0.into(), &"0/a.png".into()));
    assert!(json["top1"].is_null(), "{json}");
    assert!(run.stderr.contains("none of its images could be read"), "{}", run.stderr);
}

#[test]
fn files_of_other_kinds_are_no_images_and_no_trouble() {
    let images = digits_folder();
    fs::write(images.path().join("1/notes.txt"), "not an image, and not named as one").unwrap();
    fs::copy(sample("README.md"), images.path().join("README.md")).unwrap();
    infer(images.path(), &[]).ended_with(0);
}

#[test]
fn a_class_without_images_is_worth_a_remark_and_no_trouble() {
    let images = digits_folder();
    for entry in fs::read_dir(images.path().join("9")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let run = infer(images.path(), &["--json"]).ended_with(0);
    assert_eq!(run.json()["skipped"], serde_json::json!([]));
    assert!(run.stderr.contains("class folders without images: 9\n"), "{}", run.stderr);
}
