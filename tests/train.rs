//! `tresnet train` as its users meet it: on the shipped digits, stopped and resumed, given what cannot be meant.

#[path = "cli/run.rs"]
#[allow(dead_code)]
mod run;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use run::{command, sample, tresnet};
use tempfile::TempDir;

/// A data set of the first digits of three classes: 48 to train on, 9 to validate.
fn few_digits() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, tar, count) in [("train", "digits-train.tar", 16), ("val", "digits-val.tar", 3)] {
        let mut archive = tar::Archive::new(fs::File::open(sample(tar)).unwrap());
        let mut kept = [0; 3];
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            let class: usize = path.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
            if class < 3 && kept[class] < count {
                kept[class] += 1;
                let to = folder.path().join(split).join(class.to_string());
                fs::create_dir_all(&to).unwrap();
                entry.unpack(to.join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    folder
}

/// Two epochs of six updates with everything random switched on.
fn line(data: &Path, output: &Path, experiment: &str) -> Vec<String> {
    let flags = "--model resnet20 -b=8 --epochs=2 --lr=0.05 --warmup-epochs 0 --model-ema --model-ema-decay 0.5 \
                 --aa=rand-m9-mstd0.5-inc1 --mixup=0.2 --reprob=0.4 --remode=pixel --drop=0.1 --drop-path=0.2 --recovery-interval 1 --quiet";
    let mut line = vec!["train".to_owned(), data.display().to_string()];
    line.extend(flags.split_whitespace().map(str::to_owned));
    line.extend([format!("--output={}", output.display()), format!("--experiment={experiment}")]);
    line
}

/// Starts the run, sends it `signal` after its third update, and waits for its end; the exit status.
fn stopped_by(signal: &str, mut run: Command, folder: &Path) -> Option<i32> {
    let mut child = run.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let updates = || fs::read_to_string(folder.join("steps.jsonl")).unwrap_or_default().lines().count();
    while updates() < 3 && Instant::now() < deadline {
        sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap().code()
}

#[test]
fn a_run_that_was_stopped_and_resumed_ends_as_one_that_never_was() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let (data, output) = (data.path(), output.path());
    tresnet(line(data, output, "whole")).ended_with(0);
    let weights = |experiment: &str| fs::read(output.join(experiment).join("last.safetensors")).unwrap();
    for (experiment, signal, status) in [("terminated", "-TERM", Some(143)), ("killed", "-KILL", None)] {
        let mut first = command(line(data, output, experiment));
        first.env("RAYON_NUM_THREADS", "1").arg("--workers=1");
        assert_eq!(stopped_by(signal, first, &output.join(experiment)), status, "{experiment}");
        tresnet(line(data, output, experiment).into_iter().chain(["--resume=auto".into()])).ended_with(0);
        assert!(weights(experiment) == weights("whole"), "{experiment}: the weights differ");
        let steps = fs::read_to_string(output.join(experiment).join("steps.jsonl")).unwrap();
        assert_eq!(steps.lines().count(), 12, "{experiment}");
    }
}

#[test]
fn a_run_leaves_its_settings_rows_and_weights_and_they_can_be_used() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let (data, output) = (data.path(), output.path());
    tresnet(line(data, output, "one").into_iter().chain(["--log=tensorboard".into()])).ended_with(0);
    let folder = output.join("one");
    let summary = fs::read_to_string(folder.join("summary.csv")).unwrap();
    assert!(summary.starts_with("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n"), "{summary}");
    assert_eq!(summary.lines().count(), 3, "{summary}");
    for name in ["args.yaml", "last.safetensors", "model_best.safetensors", "last.resume.safetensors"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let model = format!("--model-path={}", folder.join("last.safetensors").display());
    let val = format!("--val-dir={}", data.join("val").display());
    let evaluated = tresnet(["infer", &val, &model, "--model-name=resnet20", "--json"]).ended_with(0).json();
    let last = summary.lines().last().unwrap();
    let top1: f64 = last.split(',').nth(3).unwrap().parse().unwrap();
    assert!((evaluated["top1"].as_f64().unwrap() - top1).abs() < 1e-9, "{evaluated} {last}");
    tresnet(["report", folder.to_str().unwrap()]).ended_with(0);
    assert!(fs::read_to_string(folder.join("curves.svg")).unwrap().starts_with("<svg"));

    // The settings that it wrote make the same run again.
    let config = format!("--config={}", folder.join("args.yaml").display());
    tresnet(["train", &config, "--experiment=again", "--quiet"]).ended_with(0);
    let weights = |experiment: &str| fs::read(output.join(experiment).join("last.safetensors")).unwrap();
    assert!(weights("again") == weights("one"), "args.yaml makes another run");
}

#[test]
fn a_second_run_does_not_overwrite_the_first() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let line = line(data.path(), output.path(), "one");
    tresnet(&line).ended_with(0);
    let refused = tresnet(&line).ended_with(1);
    assert!(refused.stderr.contains("--resume auto"), "{}", refused.stderr);
    // Nor where only its results are left.
    let folder = output.path().join("one");
    fs::remove_file(folder.join("last.resume.safetensors")).unwrap();
    let _ = fs::remove_file(folder.join("previous.resume.safetensors"));
    let summary = fs::read(folder.join("summary.csv")).unwrap();
    let refused = tresnet(&line).ended_with(1);
    assert!(refused.stderr.contains("results of an earlier run"), "{}", refused.stderr);
    assert!(fs::read(folder.join("summary.csv")).unwrap() == summary);
}

#[test]
fn copies_of_each_image_are_learnt_from_together() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let line = line(data.path(), output.path(), "copies");
    let flags = ["--mixup=0", "--aa=augmix-m3-w3", "--aug-splits=3", "--jsd-loss", "--resplit", "--log-interval=1"];
    let finished = tresnet(line.into_iter().chain(flags.map(str::to_owned))).ended_with(0);
    let steps = std::fs::read_to_string(output.path().join("copies/steps.jsonl")).unwrap();
    assert!(steps.lines().count() > 1 && !steps.contains("null,\"lr"), "{}{steps}", finished.stderr);
}

#[test]
fn an_unreadable_image_is_named_skipped_and_counted() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    fs::write(data.path().join("train/0/broken.png"), "no image").unwrap();
    let finished = tresnet(line(data.path(), output.path(), "one")).ended_with(3);
    assert!(finished.stderr.contains("0/broken.png"), "{}", finished.stderr);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_its_state_saved() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let line = line(data.path(), output.path(), "one").into_iter();
    let line = line.map(|flag| if flag.starts_with("--lr=") { "--lr=1e30".to_owned() } else { flag });
    let line = line.map(|flag| if flag.starts_with("--epochs=") { "--epochs=5".to_owned() } else { flag });
    let finished = tresnet(line).ended_with(1);
    assert!(finished.stderr.contains("not finite") && finished.stderr.contains("--lr"), "{}", finished.stderr);
    assert!(output.path().join("one/last.resume.safetensors").is_file());
}

#[test]
fn what_cannot_be_trained_is_refused_with_the_remedy() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let refused = |flags: &[&str], status: i32, word: &str| {
        let line = line(data.path(), output.path(), "refused").into_iter().filter(|flag| flag != "-b=8");
        let finished = tresnet(line.chain(flags.iter().map(|&flag| flag.to_owned()))).ended_with(status);
        assert!(finished.stderr.contains(word), "{flags:?}: {}", finished.stderr);
    };
    refused(&["-b=7"], 2, "mixup");
    refused(&["-b=100"], 1, "--batch-size");
    refused(&["-b=8", "--num-classes=2"], 1, "--num-classes");
    refused(&["-b=8", "--opt=sdg"], 2, "sgd");
    refused(&["-b=8", "--resume=/no/such/file"], 1, "/no/such/file");
}

#[test]
fn fine_tuning_replaces_the_head_for_other_classes_and_says_so() {
    let (data, output) = (few_digits(), tempfile::tempdir().unwrap());
    let pretrained = format!("--pretrained-path={}", sample("resnet20-digits.pth").display());
    let line: Vec<String> = line(data.path(), output.path(), "one")
        .into_iter()
        .filter(|flag| flag != "--quiet")
        .chain([pretrained])
        .collect();
    let finished = tresnet(line).ended_with(0);
    assert!(finished.stderr.contains("the head for 3 starts afresh"), "{}", finished.stderr);
}
