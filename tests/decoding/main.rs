//! `--decode gpu` without a GPU: the loader's device part whole, with kernels compiled for the host and a library that
//! stands in for nvJPEG. That decodes exactly, so that what comes out must be what the processor loads.

mod behaviour;
mod deviation;
#[path = "../kernels/host.rs"]
mod host;
#[path = "../common/kernel_files.rs"]
mod kernel_files;
mod library;
mod loading;
mod measuring;
mod placing;
mod plain;
#[path = "../common/random.rs"]
mod random;
mod stand_in;

use std::path::PathBuf;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocessing")
}
