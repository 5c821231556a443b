//! `tresnet train` and `tresnet infer` on each layout.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::run::{Finished, tresnet};
use super::{copy, fixture};

/// An epoch of a small network on `data`, then an evaluation of its weights; the images that were evaluated.
fn learn_and_evaluate(data: &Path, train: &[&str], infer: &[&str]) -> (serde_json::Value, String) {
    let output = tempfile::tempdir().unwrap();
    let data = data.display().to_string();
    let out = format!("--output={}", output.path().display());
    let line = ["train", &data, &out, "--experiment=one", "--model=resnet20", "-b=8", "--epochs=1", "--quiet"];
    tresnet(line.iter().chain(train)).ended_with(0);
    let summary = fs::read_to_string(output.path().join("one/summary.csv")).unwrap();
    let weights = format!("--model-path={}", output.path().join("one/last.safetensors").display());
    // `--val-dir` comes last, so that a list can take its place.
    let line = ["infer", &weights, "--model-name=resnet20", "--json", "--val-dir", &data];
    let evaluated = tresnet(line.iter().chain(infer)).ended_with(0).json();
    let row = summary.lines().last().unwrap();
    let top1: f64 = row.split(',').nth(3).unwrap().parse().unwrap();
    assert!((evaluated["top1"].as_f64().unwrap() - top1).abs() < 1e-9, "{evaluated} {row}");
    (evaluated["images"].clone(), evaluated["num_classes"].to_string())
}

#[test]
fn cars_and_flowers_are_learnt_from_their_own_files() {
    assert_eq!(learn_and_evaluate(&fixture("stanford_cars"), &[], &[]), (8.into(), "4".into()));
    assert_eq!(learn_and_evaluate(&fixture("cars-in-one"), &[], &["--split=test"]), (4.into(), "4".into()));
    assert_eq!(learn_and_evaluate(&fixture("flowers-102"), &[], &[]), (5.into(), "5".into()));
    let before_the_test = ["--train-split=train+val", "--val-split=test"];
    let evaluated = learn_and_evaluate(&fixture("flowers-102"), &before_the_test, &["--split=test"]);
    assert_eq!(evaluated, (10.into(), "5".into()));
}

#[test]
fn lists_are_learnt_from_by_number_and_by_name() {
    let root = copy("flowers-102");
    for (train, val, classes) in [(["0", "1"], ["1", "0"], "2"), (["rose", "lily"], ["lily", "rose"], "2")] {
        let list = |labels: [&str; 2], from: usize, count: usize| -> String {
            let line = |at: usize| format!("jpg/image_{:05}.jpg,{}\n", from + at, labels[at % 2]);
            (0..count).map(line).collect()
        };
        fs::write(root.path().join("train.csv"), format!("path,label\n{}", list(train, 1, 16))).unwrap();
        fs::write(root.path().join("val.csv"), list(val, 17, 6)).unwrap();
        // The lists go before the annotations that lie there too.
        assert_eq!(learn_and_evaluate(root.path(), &[], &["--split=val"]), (6.into(), classes.into()));
        let evaluated = learn_and_evaluate(&root.path().join("train.csv"), &["--val-split=train.csv"], &[]);
        assert_eq!(evaluated, (16.into(), classes.into()));
    }
}

/// CIFAR of two records a training file and three of test: its files, and the folder that they come in.
fn cifar(hundred: bool) -> (&'static str, Vec<(String, Vec<u8>)>) {
    let records = |count: usize, from: usize| -> Vec<u8> {
        let record = |at: usize| {
            let label = if hundred { vec![0, (at * 7 % 100) as u8] } else { vec![(at % 10) as u8] };
            [label, (0..3072).map(|byte| (byte * (at + 3)) as u8).collect()].concat()
        };
        (from..from + count).flat_map(record).collect()
    };
    let names = |count: usize| (0..count).map(|at| format!("class{at}\n")).collect::<String>().into_bytes();
    match hundred {
        true => (
            "cifar-100-binary",
            vec![
                ("train.bin".into(), records(10, 0)),
                ("test.bin".into(), records(3, 0)),
                ("fine_label_names.txt".into(), names(100)),
            ],
        ),
        false => {
            let batches = (0..5).map(|at| (format!("data_batch_{}.bin", at + 1), records(2, 2 * at)));
            let others = [("test_batch.bin".into(), records(3, 4)), ("batches.meta.txt".into(), names(10))];
            ("cifar-10-batches-bin", batches.chain(others).collect())
        }
    }
}

fn archived(folder: &str, files: &[(String, Vec<u8>)], path: &Path) {
    let mut builder = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{folder}/{name}"), &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap().flush().unwrap();
}

#[test]
fn both_cifars_are_learnt_from_unpacked_and_from_the_archive_that_they_come_in() {
    for (hundred, archive, classes) in
        [(false, "cifar-10-binary.tar.gz", "10"), (true, "cifar-100-binary.tar.gz", "100")]
    {
        let (folder, files) = cifar(hundred);
        let (unpacked, packed): (TempDir, TempDir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inner = unpacked.path().join(folder);
        fs::create_dir(&inner).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(inner.join(name), bytes).unwrap());
        let archive = packed.path().join(archive);
        archived(folder, &files, &archive);
        let places: [PathBuf; 4] = [inner, unpacked.path().to_owned(), packed.path().to_owned(), archive];
        for place in places {
            assert_eq!(learn_and_evaluate(&place, &[], &[]), (3.into(), classes.into()), "{}", place.display());
        }
    }
}

#[track_caller]
fn refused(run: Finished, status: i32, words: &[&str]) {
    let run = run.ended_with(status);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_read_is_one_message() {
    let train = |data: &Path, flags: &[&str]| {
        let data = data.display().to_string();
        tresnet(["train", &data, "--model=resnet20", "-b=4", "--epochs=1"].iter().chain(flags))
    };
    let flags = ["--train-split=train+val"];
    refused(train(&fixture("stanford_cars"), &flags), 2, &["--train-split train+val: ", "name one of train, test"]);
    let root = copy("flowers-102");
    fs::write(root.path().join("imagelabels.mat"), "MATLAB 7.3 MAT-file").unwrap();
    refused(train(root.path(), &[]), 1, &["imagelabels.mat: no MAT file"]);
    let list = root.path().join("train.csv");
    fs::write(&list, "jpg/image_00001.jpg,0\nelsewhere.jpg,1\n").unwrap();
    refused(train(&list, &[]), 1, &["train.csv: 1 of its 2 images are not in", "elsewhere.jpg"]);
}
