//! Runs the binary on the shipped sample.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a run ended.
pub struct Finished {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The standard output as one JSON value.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Asserts how it ended, and shows what it said where it ended otherwise.
    #[track_caller]
    pub fn ended_with(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// The binary with these arguments. Backtraces are asked for, so that tests see whether any reaches the user.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tresnet"));
    command.args(arguments).env("RUST_BACKTRACE", "1").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn tresnet<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Finished {
    let output = command(arguments).output().expect("the binary starts");
    Finished {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("results are text"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `tresnet infer` of the shipped checkpoint on `images`, with more flags.
pub fn infer(images: &Path, flags: &[&str]) -> Finished {
    tresnet(infer_line(images).iter().map(String::as_str).chain(flags.iter().copied()))
}

/// The command line that evaluates the shipped checkpoint on `images`.
pub fn infer_line(images: &Path) -> [String; 4] {
    [
        "infer".into(),
        format!("--val-dir={}", images.display()),
        format!("--model-path={}", sample("resnet20-digits.safetensors").display()),
        "--model-name=resnet20".into(),
    ]
}

/// A file of `samples/`.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// The shipped validation images as a tar.
pub fn digits_tar() -> PathBuf {
    sample("digits-val.tar")
}

/// The shipped validation images unpacked into a folder of class folders.
pub fn digits_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = std::fs::File::open(digits_tar()).expect("the sample is shipped");
    tar::Archive::new(file).unpack(folder.path()).expect("the sample unpacks");
    folder
}
