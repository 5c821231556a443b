//! Which folder or file is a split, and how two splits agree on the numbers of their classes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tresnet::data::source::Source;
use tresnet::data::{Split, locate, open_split};

use super::sources::folder;

fn first(path: &Path, split: Split) -> String {
    open_split(path, split, None).unwrap().samples()[0].path.display().to_string()
}

fn refusal(path: &Path, split: Split) -> String {
    format!("{:#}", open_split(path, split, None).unwrap_err())
}

/// A tar of one image of that name.
fn write_tar(path: &Path, image: &str) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, image, &b"x"[..]).unwrap();
    builder.finish().unwrap();
}

#[test]
fn a_folder_is_found_by_every_name_that_timm_knows() {
    let splits = [
        (Split::Train, &["train", "training"][..]),
        (Split::Val, &["val", "valid", "validation", "eval", "evaluation"]),
    ];
    for (split, names) in splits {
        for name in names {
            let root = folder(&[&format!("{name}/a/{name}.jpg"), "other/b/2.jpg"]);
            assert_eq!(first(root.path(), split), format!("a/{name}.jpg"));
        }
        let both = folder(&[&format!("{}/a/1.jpg", names[0]), &format!("{}/a/2.jpg", names[1])]);
        assert_eq!(first(both.path(), split), "a/1.jpg", "the first name is preferred");
    }
}

#[test]
fn a_tar_is_found_by_its_end_and_comes_after_a_folder() {
    let root = tempfile::tempdir().unwrap();
    write_tar(&root.path().join("digits-train.tar"), "a/digits.jpg");
    write_tar(&root.path().join("val.tar"), "a/own.jpg");
    write_tar(&root.path().join("digits-val.tar"), "a/other.jpg");
    assert_eq!(first(root.path(), Split::Train), "a/digits.jpg");
    assert_eq!(first(root.path(), Split::Val), "a/own.jpg");
    fs::create_dir_all(root.path().join("train/b")).unwrap();
    fs::write(root.path().join("train/b/1.jpg"), "").unwrap();
    assert_eq!(first(root.path(), Split::Train), "b/1.jpg");
}

#[test]
fn the_name_given_goes_before_those_that_stand_for_it_and_may_be_any() {
    let root = folder(&["val/a/1.jpg", "validation/a/2.jpg", "rest/b/3.jpg"]);
    let first =
        |name| locate(root.path(), Split::Val, Some(name)).unwrap().open(None).unwrap().samples()[0].path.clone();
    assert_eq!(["validation", "eval", "rest"].map(first), ["a/2.jpg", "a/1.jpg", "b/3.jpg"].map(Path::new));
    let error = locate(root.path(), Split::Val, Some("")).unwrap_err().to_string();
    assert!(error.contains("no  split"), "the folder itself is none: {error}");
}

#[test]
fn two_tars_that_could_be_it_are_both_named() {
    let root = tempfile::tempdir().unwrap();
    write_tar(&root.path().join("b-train.tar"), "a/1.jpg");
    write_tar(&root.path().join("a-train.tar"), "a/1.jpg");
    let message = refusal(root.path(), Split::Train);
    assert!(message.ends_with("files could be the train split; name one of a-train.tar, b-train.tar"), "{message}");
}

#[test]
fn a_missing_split_is_an_error_that_lists_what_is_there() {
    let root = folder(&["Train/a/1.jpg", "readme.txt"]);
    let message = refusal(root.path(), Split::Train);
    assert!(message.contains("no train split"), "{message}");
    assert!(message.ends_with("there is Train, readme.txt"), "{message}");
    let nothing = tempfile::tempdir().unwrap();
    assert!(refusal(nothing.path(), Split::Val).ends_with("there is nothing"));
    assert!(refusal(&root.path().join("gone"), Split::Val).contains("gone: no data set can be read there"));
    assert!(refusal(&root.path().join("readme.txt"), Split::Val).contains("no val split"), "looked for beside it");
}

/// Both splits of a folder, the second numbered as the first.
fn numbered(root: &TempDir) -> (Source, anyhow::Result<Source>) {
    let train = open_split(root.path(), Split::Train, None).unwrap();
    let mut val = open_split(root.path(), Split::Val, None).unwrap();
    let result = val.number_as(&train).map(|()| val);
    (train, result)
}

#[test]
fn validation_labels_take_the_numbers_of_training() {
    let root = folder(&["train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "val/a/1.jpg", "val/c/1.jpg"]);
    let (train, val) = numbered(&root);
    let val = val.unwrap();
    assert_eq!(val.classes(), train.classes());
    assert_eq!(val.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(), [0, 2]);
    let remark = format!("no images of 1 of the 3 classes of {}: b", root.path().join("train").display());
    assert_eq!(val.remarks(), [remark]);
}

#[test]
fn a_validation_class_that_training_lacks_is_an_error_that_names_it() {
    let root = folder(&["train/a/1.jpg", "val/a/1.jpg", "val/new/1.jpg", "val/odd/1.jpg"]);
    let error = numbered(&root).1.unwrap_err().to_string();
    assert!(error.contains("classes that") && error.contains("lacks: new, odd;"), "{error}");
}

#[test]
fn an_empty_folder_of_validation_is_no_class_that_training_lacks() {
    let root = folder(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg", "val/0/notes.txt"]);
    let val = numbered(&root).1.unwrap();
    assert_eq!(val.samples().iter().map(|sample| sample.label).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(val.classes(), ["a", "b"]);
}
