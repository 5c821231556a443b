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

/// Compiles a file to a library, unless the same sources have been before. The accesses of one that is `watched` can be
/// looked at: see tests/kernels/sanitizer.
pub fn compile(file: &str, text: &str, watched: bool) -> PathBuf {
    let includes = includes();
    let shared =
        ["kernel.cuh", "columns.cuh", "product.cuh", "state.cuh", "each_element.cu"].map(|name| includes[1].join(name));
    let runner = runner();
    let texts = shared.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let hash = fnv1a64(texts.chain([text.to_owned(), runner.display().to_string()]).collect::<String>());
    let stem = file.trim_end_matches(".cu").replace('/', "-");
    let kind = if watched { "-watched" } else { "" };
    build(&format!("{stem}{kind}-{hash:016x}.so"), |out| {
        let object = out.with_extension("o");
        let mut command = compiler();
        command.args(["-O1", "-Wno-unknown-pragmas", "-c"]).arg(format!("-DKERNEL_SOURCE=\"{file}\""));
        // What it calls is the sanitizer's.
        command.args(watched.then_some("-fsanitize=thread"));
        run(command.args(["-x", "c++"]).arg(&shared[4]).arg("-o").arg(&object), file);
        run(compiler().args(["-shared", "-Wl,--no-undefined"]).args([&object, runner]).arg("-o").arg(out), file);
        std::fs::remove_file(&object).unwrap();
    })
}

/// What runs kernels and watches them, as an object that is linked to those of each file.
fn runner() -> &'static Path {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let [_, cuda, tests] = includes();
        let mut sources: Vec<PathBuf> =
            tests.join("sanitizer").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        sources.retain(|path| path.extension().is_some_and(|ending| ending == "cpp" || ending == "hpp"));
        sources.extend([tests.join("run.cpp"), tests.join("shim.hpp"), cuda.join("kernel.cuh")]);
        sources.sort();
        let hash = fnv1a64(sources.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>());
        sources.retain(|path| path.extension().is_some_and(|ending| ending == "cpp"));
        build(&format!("runner-{hash:016x}.o"), |out| {
            run(compiler().args(["-O2", "-r", "-nostdlib"]).args(&sources).arg("-o").arg(out), "run.cpp");
        })
    })
}

fn includes() -> [PathBuf; 3] {
    ["src/ops", "src/ops/cuda", "tests/kernels"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// The file of that name, made where it is missing; whole or not at all.
fn build(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !out.exists() {
        let unfinished = out.with_extension(format!("{}.tmp", std::process::id()));
        make(&unfinished);
        std::fs::rename(&unfinished, &out).unwrap();
    }
    out
}

fn compiler() -> Command {
    let mut command = Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()));
    command.args(["-std=c++17", "-fPIC", "-Wall", "-U_FORTIFY_SOURCE"]);
    // Else files that run side by side would share the static variables of inline functions: blocks' shared memory.
    command.args(["-fvisibility=hidden", "-fno-gnu-unique"]);
    command.args(includes().iter().map(|folder| format!("-I{}", folder.display())));
    command
}

fn run(command: &mut Command, what: &str) {
    let output =
        command.output().unwrap_or_else(|error| panic!("a C++ compiler is needed, {command:?} fails: {error}"));
    assert!(output.status.success(), "{what}:\n{}", String::from_utf8_lossy(&output.stderr));
}
