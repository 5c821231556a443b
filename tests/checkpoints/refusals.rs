//! Files that are no checkpoint, or one that is not read: each says what it is and what to do.

use std::fs;

use tresnet::checkpoint::Checkpoint;

use crate::{fixture, refusal};

fn refused(name: &str) -> String {
    format!("{:#}", Checkpoint::open(fixture(name)).unwrap_err())
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let error = refused("nowhere.pth");
    assert!(error.contains("nowhere.pth") && error.contains("no such file"), "{error}");
    let error = refused("");
    assert!(error.contains("checkpoints") && error.contains("folder"), "{error}");
}

#[test]
fn an_object_without_tensors_says_what_it_holds() {
    let error = refused("no-tensors.pth");
    assert!(error.contains("no-tensors.pth") && error.contains("epoch, history"), "{error}");
}

#[test]
fn an_unknown_class_is_refused_by_name_with_the_remedy() {
    let error = refused("custom-class.pth");
    assert!(error.contains("`__main__.Custom`") && error.contains("torch.save(model.state_dict()"), "{error}");
}

#[test]
fn a_torchscript_program_is_no_state_dict() {
    assert!(refused("torchscript.pt").contains("TorchScript"), "{}", refused("torchscript.pt"));
}

#[test]
fn a_renamed_image_a_web_page_and_a_git_lfs_pointer_are_called_by_name() {
    for (bytes, name) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "PNG image"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"", "empty"),
    ] {
        let error = refusal(bytes.to_vec());
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn the_name_of_a_file_says_nothing_about_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::copy(fixture("protocol2-legacy.pth"), &path).unwrap();
    assert!(Checkpoint::open(&path).unwrap().weights(false).is_ok());
}

#[test]
fn a_file_cut_off_anywhere_says_so_and_never_panics() {
    for name in ["small-legacy.pth", "small.pth", "small.safetensors", "small-deflated.pth"] {
        let whole = fs::read(fixture(name)).unwrap();
        for len in 0..whole.len() {
            let error = refusal(whole.get(..len).unwrap().to_vec());
            assert!(error.starts_with("cannot"), "{name} at {len}: {error}");
        }
    }
}

#[test]
fn a_truncated_file_asks_whether_the_download_is_complete() {
    for name in ["original-legacy.pth", "timm.pth", "timm.safetensors"] {
        let mut bytes = fs::read(fixture(name)).unwrap();
        bytes.truncate(bytes.len() - 100);
        let error = refusal(bytes);
        assert!(error.contains("is the download complete?"), "{name}: {error}");
    }
}
