//! What cannot be done is said in one message: what was wrong, with which file or flag, and what to do.

use std::fs;
use std::path::Path;

use crate::run::{Finished, digits_folder, digits_tar, infer, sample, tresnet};

/// Asserts one error that contains all of `words`, and nothing that looks like a program coming apart.
#[track_caller]
fn refused(run: Finished, status: i32, words: &[&str]) {
    let run = run.ended_with(status);
    let errors = run.stderr.matches("error: ").count();
    assert_eq!(errors, 1, "{}", run.stderr);
    assert_eq!(run.stdout, "");
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} in {}", run.stderr);
    }
    for ugly in ["panicked", "stack backtrace", "   0: ", "RUST_BACKTRACE"] {
        assert!(!run.stderr.contains(ugly), "{}", run.stderr);
    }
}

fn infer_with(model: &Path, name: &str) -> Finished {
    let (images, model) = (digits_tar(), model.display().to_string());
    tresnet(["infer", "--val-dir", images.to_str().unwrap(), "--model-path", &model, "--model-name", name])
}

#[test]
fn a_missing_folder_is_named() {
    refused(infer(Path::new("no/such/folder"), &[]), 1, &["no/such/folder", "No such file"]);
}

#[test]
fn an_empty_folder_says_what_it_should_hold() {
    let folder = tempfile::tempdir().unwrap();
    refused(infer(folder.path(), &[]), 1, &[folder.path().to_str().unwrap(), "class"]);
}

#[test]
fn class_folders_without_images_say_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cat")).unwrap();
    refused(infer(folder.path(), &[]), 1, &[folder.path().to_str().unwrap(), "no images"]);
}

#[test]
fn a_wrong_model_name_gets_the_nearest_ones() {
    let run = infer_with(&sample("resnet20-digits.pth"), "tresnet_n");
    refused(run, 2, &["tresnet_n", "tresnet_m", "tresnet models"]);
    refused(tresnet(["models", "preactresnet18"]), 2, &["nearest names are PreActResNet18"]);
    refused(tresnet(["models", "resnet21"]), 2, &["resnet21", "resnet20"]);
    refused(tresnet(["bench", "--models", "resnet5"]), 2, &["resnet5", "resnet56"]);
}

#[test]
fn a_checkpoint_of_another_network_names_what_does_not_fit() {
    let run = infer_with(&sample("resnet20-digits.pth"), "tresnet_m");
    refused(run, 1, &["resnet20-digits.pth", "tresnet_m", "torch-resnet layout", "missing", "--model-name"]);
}

#[test]
fn a_file_that_is_no_checkpoint_is_named() {
    refused(infer_with(&sample("README.md"), "resnet20"), 1, &["README.md"]);
    refused(infer_with(&sample("digits-val.tar"), "resnet20"), 1, &["digits-val.tar", "tar"]);
    refused(infer_with(Path::new("absent.pth"), "resnet20"), 1, &["absent.pth", "no such file"]);
    refused(tresnet(["inspect", "absent.pth"]), 1, &["absent.pth", "no such file"]);
}

#[test]
fn a_checkpoint_that_was_cut_off_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pth");
    let whole = fs::read(sample("resnet20-digits.pth")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(infer_with(&cut, "resnet20"), 1, &[cut.to_str().unwrap()]);
}

#[test]
fn another_class_count_than_the_checkpoints_is_refused() {
    let run = infer(&digits_tar(), &["--num-classes", "1000"]);
    refused(run, 1, &["--num-classes 1000", "resnet20-digits.safetensors", "10 classes"]);
}

#[test]
fn more_folders_than_classes_are_refused() {
    let images = digits_folder();
    fs::create_dir(images.path().join("ten")).unwrap();
    fs::copy(images.path().join("0/0000.png"), images.path().join("ten/a.png")).unwrap();
    refused(infer(images.path(), &[]), 1, &["11 classes", "--class-map"]);
}

#[test]
fn files_that_cannot_be_written_are_found_before_anything_is_computed() {
    for flag in ["--results-file=no/such/folder/r.json", "--predictions=no/such/folder/p.csv"] {
        let run = infer(Path::new("not/even/looked/at"), &[flag]);
        refused(run, 1, &["cannot write no/such/folder/", "name a file in a folder"]);
    }
    refused(infer(&digits_tar(), &["--predictions=p.txt"]), 2, &["--predictions p.txt", ".csv or .jsonl"]);
}

#[test]
fn a_failed_run_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("{}/{name}", folder.path().display());
    let flags = [format!("--results-file={}", file("r.json")), format!("--predictions={}", file("p.csv"))];
    infer(Path::new("no/such/folder"), &flags.each_ref().map(String::as_str)).ended_with(1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn wrong_usage_names_the_flag() {
    for (flags, word) in [
        (&["--device=cuda"][..], "use --device cpu"),
        (&["--dtype=f16"], "--dtype bf16 or f32"),
        (&["--amp", "--dtype=f32"], "--amp"),
        (&["--mean=1,2"], "--mean 1,2: give three numbers"),
        (&["--std=0,1,1"], "--std 0"),
        (&["--crop-pct=2"], "--val-zoom-factor 2"),
        (&["--crop-pct=0.0001"], "--crop-pct 0.0001"),
        (&["--input-size=100000"], "--input-size 100000"),
        (&["--batch-size=0"], "--batch-size"),
        (&["--limit=-1"], "--limit"),
        (&["--interpolation=nearest"], "bilinear, bicubic"),
        (&["--no-such-flag"], "--no-such-flag"),
    ] {
        refused(infer(&digits_tar(), flags), 2, &[word]);
    }
    refused(tresnet(["bench", "--batch-size=0"]), 2, &["--batch-size 0"]);
    refused(tresnet(["bench", "--memory-limit=0"]), 2, &["--memory-limit 0"]);
}
