//! Data sets to fine-tune on, in the layouts in which they are distributed: what is read from them, and that `train` and
//! `infer` take them.

#[path = "transfer/commands.rs"]
mod commands;
#[path = "transfer/lists.rs"]
mod lists;
#[path = "transfer/mat.rs"]
mod mat;
#[path = "cli/run.rs"]
#[allow(dead_code)]
mod run;
#[path = "transfer/sets.rs"]
mod sets;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file or folder of the fixtures.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transfer").join(name)
}

/// What a fixture of JSON says.
fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

/// A copy of a data set's folder, to be damaged.
fn copy(name: &str) -> TempDir {
    fn files(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                files(&from, &to);
            } else {
                fs::copy(from, to).unwrap();
            }
        }
    }
    let root = tempfile::tempdir().unwrap();
    files(&fixture(name), root.path());
    root
}
