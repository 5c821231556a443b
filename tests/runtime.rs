//! What the program says of CUDA on machines of every kind, with drivers and libraries that stand in for NVIDIA's.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tresnet::runtime::cuda::{Absence, Cuda, ask, probe};
use tresnet::runtime::libraries::{Libraries, Surroundings};

/// Nothing set, no folder of the system.
fn nowhere() -> Surroundings {
    Surroundings::new([], Vec::new())
}

/// A driver that knows CUDA `version`, whose cuInit returns `init`, with `devices` GPUs.
fn driver(folder: &TempDir, version: i32, init: i32, devices: i32) -> PathBuf {
    let source = format!(
        "int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}
         int cuInit(unsigned flags) {{ return flags == 0 ? {init} : 1; }}
         int cuDeviceGetCount(int *count) {{ *count = {devices}; return 0; }}
         int cuDeviceGetName(char *name, int size, int device) {{
             const char *own = device == 0 ? \"First GPU\" : \"Other GPU\";
             int at = 0;
             while (at < size - 1 && own[at]) name[at] = own[at], at++;
             name[at] = 0;
             return 0;
         }}"
    );
    library(folder, "libcuda.so.1", &source)
}

fn library(folder: &TempDir, name: &str, source: &str) -> PathBuf {
    let (code, library) = (folder.path().join("library.c"), folder.path().join(name));
    fs::write(&code, source).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).status().unwrap();
    assert!(status.success());
    library
}

fn why(driver: PathBuf) -> String {
    let line = ask(driver, &nowhere()).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn a_build_without_cuda_says_so_and_one_with_it_asks() {
    let absent = probe(&nowhere()).err();
    assert_eq!(absent == Some(Absence::NotBuilt), !cfg!(feature = "cuda"));
}

#[test]
fn a_machine_without_a_driver_is_told_which_library_is_missing() {
    let line = why(PathBuf::from("no/such/libcuda.so.1"));
    assert!(line.starts_with("no NVIDIA driver (no/such/libcuda.so.1: cannot open"), "{line}");
}

#[test]
fn a_library_that_is_no_driver_is_told_by_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let line = why(library(&folder, "libcuda.so.1", "int something_else;"));
    assert_eq!(line, "no NVIDIA driver (libcuda.so.1 has no cuDriverGetVersion: it is not NVIDIA's driver)");
}

#[test]
fn an_old_driver_is_told_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let line = why(driver(&folder, 12_080, 0, 1));
    assert_eq!(line, "the NVIDIA driver is too old: it knows CUDA 12.8, the kernels need 13.0");
}

#[test]
fn a_driver_without_a_gpu_and_one_that_fails_are_told_apart() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let hidden = "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)";
    assert_eq!(why(driver(&folders[0], 13_000, 100, 0)), hidden);
    assert_eq!(why(driver(&folders[1], 13_000, 0, 0)), hidden);
    // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
    assert_eq!(why(driver(&folders[2], 13_010, 803, 1)), "the NVIDIA driver fails: cuInit returns 803");
}

#[test]
fn a_gpu_without_cudnn_can_be_used_and_says_where_cudnn_was_sought() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let surroundings = Surroundings::new([], vec![empty.clone(), folder.path().join("absent")]);
    let found: Cuda = ask(driver(&folder, 13_010, 0, 2), &surroundings).unwrap();
    assert_eq!(found.devices, ["First GPU", "Other GPU"]);
    let expected = format!(
        "First GPU, Other GPU, CUDA 13.1, without cuDNN, so with slow convolutions: libcudnn.so.9 is missing: sought in \
         {}; `pip install nvidia-cudnn-cu13` brings it",
        empty.display()
    );
    assert_eq!(found.to_string(), expected);
}

/// Makes empty files that are called as libraries are.
fn touch(folder: &Path, names: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    names.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
}

/// Fills the prefix of a Python environment as pip does.
fn python_environment(prefix: &Path) -> [PathBuf; 2] {
    let packages = prefix.join("lib/python3.12/site-packages/nvidia");
    let [toolkit, cudnn] = ["cu13/lib", "cudnn/lib"].map(|sub| packages.join(sub));
    touch(&toolkit, &["libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libcublasLt.so.13"]);
    touch(&cudnn, &["libcudnn.so.9"]);
    [toolkit, cudnn]
}

#[test]
fn a_python_environments_libraries_are_found_however_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("env");
    let [toolkit, cudnn] = python_environment(&prefix);
    touch(&prefix.join("bin"), &["python3"]);
    for (variable, value) in
        [("VIRTUAL_ENV", prefix.clone()), ("CONDA_PREFIX", prefix.clone()), ("PATH", prefix.join("bin"))]
    {
        let surroundings = Surroundings::new([(variable, OsString::from(value))], Vec::new());
        let found = Libraries::find(&surroundings).unwrap_or_else(|missing| panic!("{variable}: {missing}"));
        let order: Vec<&Path> = found.in_order().collect();
        let wanted = [
            toolkit.join("libnvrtc-builtins.so.13.0"),
            toolkit.join("libnvrtc.so.13"),
            toolkit.join("libcublasLt.so.13"),
            cudnn.join("libcudnn.so.9"),
        ];
        assert_eq!(order, wanted, "by {variable}");
    }
}

#[test]
fn what_a_user_names_comes_before_what_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("env");
    let [toolkit, _] = python_environment(&prefix);
    let named = folder.path().join("named");
    touch(&named, &["libcudnn.so.9"]);
    let variables = [("VIRTUAL_ENV", prefix.into_os_string()), ("LD_LIBRARY_PATH", named.clone().into_os_string())];
    let found = Libraries::find(&Surroundings::new(variables, Vec::new())).unwrap();
    assert_eq!(found.cudnn, named.join("libcudnn.so.9"));
    assert_eq!(found.nvrtc, toolkit.join("libnvrtc.so.13"));
}

#[test]
fn half_an_installation_names_the_other_half() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("cuda");
    touch(&home.join("lib64"), &["libcudnn.so.9"]);
    let surroundings = Surroundings::new([("CUDA_HOME", home.clone().into_os_string())], Vec::new());
    let missing = Libraries::find(&surroundings).unwrap_err().to_string();
    let expected = format!("libnvrtc.so.13 is missing: sought in {}; ", home.join("lib64").display());
    assert!(missing.starts_with(&expected) && missing.contains("nvidia-cuda-nvrtc"), "{missing}");
}
