//! A stand-in for the GPU, for machines that have none: `stand-in/` holds a CUDA driver, a cuDNN and an nvJPEG that compute
//! on the processor. So all of the program's code for a GPU runs, down to what NVIDIA's libraries are called with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::behaviour;
use crate::kernel_files::{compile, kernel_files};
use crate::random::fnv1a64;

/// Libraries that are looked for, and of which nothing is called.
const EMPTY: [&str; 3] = ["libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libcublasLt.so.13"];

/// The setting with which every access of a kernel is looked at.
const CHECK: &str = "STAND_IN_CHECK";

/// What the libraries are compiled with: sums may be split among lanes, NaNs stay NaNs.
const FLAGS: [&str; 10] = [
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fassociative-math",
    "-fno-signed-zeros",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
];

/// The folder of the stand-in's libraries, which is built where it has changed; of those whose kernels can be watched or
/// of those that are faster.
fn folder(watched: bool) -> &'static Path {
    static FOLDERS: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
    FOLDERS[usize::from(watched)].get_or_init(|| {
        let [driver, cudnn, own] = ["stand-in", "stand-in/cudnn", "stand-in/nvjpeg"].map(sources);
        let nvjpeg: Vec<PathBuf> = sources("../decoding").into_iter().filter(|path| !is(path, "rs")).collect();
        let kernels: Vec<PathBuf> = kernel_files().iter().map(|(file, text)| compile(file, text, watched)).collect();
        let texts =
            [&driver, &cudnn, &own, &nvjpeg].into_iter().flatten().map(|path| fs::read_to_string(path).unwrap());
        let names = kernels.iter().map(|path| path.display().to_string());
        let hash = fnv1a64(texts.chain(names).collect::<String>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stand-in-{hash:016x}"));
        if folder.exists() {
            return folder;
        }
        // Whole or not at all, also where another process builds it too.
        let unfinished = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        fs::create_dir(unfinished.join("kernels")).unwrap();
        for kernel in kernels {
            symlink(&kernel, unfinished.join("kernels").join(kernel.file_name().unwrap())).unwrap();
        }
        link(&unfinished.join("libcuda.so.1"), &driver);
        link(&unfinished.join("libcudnn.so.9"), &cudnn);
        let header = format!("-I{}", nvjpeg[0].parent().unwrap().display());
        let own: Vec<&str> = own.iter().map(|path| path.to_str().unwrap()).collect();
        behaviour::build(&unfinished, 13, &[&[&*header], &*own].concat());
        EMPTY.iter().for_each(|name| link(&unfinished.join(name), &[]));
        if let Err(error) = fs::rename(&unfinished, &folder) {
            assert!(folder.exists(), "{error}");
        }
        folder
    })
}

/// Headers and sources.
fn sources(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/device").join(folder);
    let mut found: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn is(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|own| own == ending)
}

fn link(library: &Path, files: &[PathBuf]) {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let sources = files.iter().filter(|path| is(path, "cpp"));
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg(format!("-Wl,-soname,{}", library.file_name().unwrap().display()));
    // Without a source the linker wants to be told that there is nothing.
    command.args(["-x", "c++"]).args(sources).arg("/dev/null").arg("-o").arg(library);
    assert!(command.status().unwrap().success(), "{} does not compile", library.display());
}

/// A program on the stand-in, whose folder it finds in `STAND_IN`, and in which `settings` hold (see
/// `stand-in/driver.hpp`, `stand-in/cudnn/library.cpp` and `stand-in/nvjpeg/deliver.c`).
pub fn on_stand_in(program: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    let watched = std::env::var_os(CHECK).is_some() || settings.iter().any(|(name, _)| *name == CHECK);
    let folder = std::env::var_os("STAND_IN").unwrap_or_else(|| folder(watched).into());
    command.env("LD_LIBRARY_PATH", &folder).env("STAND_IN", folder);
    command.env("TRESNET_CUDNN_CACHE", "").envs(settings.iter().copied());
    command
}

/// Runs the tests of this very binary on the stand-in: those whose names contain one of the words, or all.
pub fn run_tests(words: &[&str], settings: &[(&str, &str)]) {
    let output = on_stand_in(&std::env::current_exe().unwrap(), settings).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    let run = said.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    assert!(run > 0, "no test ran: {said}");
    println!("{run} tests on the stand-in with {settings:?}");
}
