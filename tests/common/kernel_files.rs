//! Kernel files, compiled for the host by the C++ compiler with the shim of tests/kernels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::random::fnv1a64;

/// What compiles a kernel file for each element type; itself not one: `DRIVER` of build.rs.
const DRIVER: &str = "cuda/each_element.cu";

/// Every kernel file below src/ops by its path there, and its text.
pub fn kernel_files() -> &'static HashMap<String, String> {
    static FILES: OnceLock<HashMap<String, String>> = OnceLock::new();
    FILES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
        let mut found = HashMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for path in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "cu") {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    if name != DRIVER {
                        found.insert(name, std::fs::read_to_string(&path).unwrap());
                    }
                }
            }
        }
        found
    })
}

/// Compiles a file to a library, unless the same sources have been before.
pub fn compile(file: &str, text: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let includes = ["src/ops", "src/ops/cuda", "tests/kernels"].map(|folder| root.join(folder));
    let shared =
        ["kernel.cuh", "columns.cuh", "product.cuh", "state.cuh", "each_element.cu"].map(|name| includes[1].join(name));
    let shim = ["shim.hpp", "run.cpp"].map(|name| includes[2].join(name));
    let texts = shared.iter().chain(&shim).map(|path| std::fs::read_to_string(path).unwrap());
    let hash = fnv1a64(texts.chain([text.to_owned()]).collect::<String>());
    let stem = file.trim_end_matches(".cu").replace('/', "-");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}-{hash:016x}.so"));
    if out.exists() {
        return out;
    }
    let unfinished = out.with_extension(format!("{}.tmp", std::process::id()));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut command = Command::new(&compiler);
    // Else statics of inline functions, which stand for shared memory, are one for all libraries of the process.
    command.arg("-fno-gnu-unique");
    command.args(["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE"]);
    // Else files that run side by side would share the static variables of inline functions: blocks' shared memory.
    command.arg("-fvisibility=hidden");
    command.args(includes.iter().map(|folder| format!("-I{}", folder.display())));
    command.arg(format!("-DKERNEL_SOURCE=\"{file}\"")).arg(&shim[1]).arg("-o").arg(&unfinished);
    let output =
        command.output().unwrap_or_else(|error| panic!("a C++ compiler is needed, `{compiler}` fails: {error}"));
    assert!(output.status.success(), "{file}:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&unfinished, &out).unwrap();
    out
}
