//! With the feature `cuda`: compiles every kernel file below src/ops to one fatbin, machine code for the GPUs named here
//! and PTX for all others, and writes the list of them that src/ops/cuda/modules.rs includes. Without: nothing.

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

/// Compute capabilities with machine code of their own: A100, RTX 30, RTX 40, H100 and H200, B200, RTX 50.
const MACHINES: &[u32] = &[80, 86, 89, 90, 100, 120];
/// What the PTX asks for: any GPU from A100 on can translate it.
const PTX: u32 = 80;
/// Below this nvcc knows no compute capability 10.0 and 12.0.
const OLDEST_NVCC: (u32, u32) = (12, 8);

const KERNELS: &str = "src/ops";
/// What compiles a kernel file for each element type; itself not one.
const DRIVER: &str = "src/ops/cuda/each_element.cu";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return ExitCode::SUCCESS;
    }
    println!("cargo:rerun-if-changed={KERNELS}");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    match compile_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}\n");
            ExitCode::FAILURE
        }
    }
}

fn compile_all() -> Result<(), String> {
    let nvcc = find_nvcc()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this by cargo")?);
    let mut sources = Vec::new();
    kernel_files(Path::new(KERNELS), &mut sources)?;
    sources.sort();
    let queue = Mutex::new(sources.iter());
    let failures = Mutex::new(Vec::new());
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(source) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    if let Err(failure) = compile(&nvcc, source, &fatbin(&out, source)) {
                        failures.lock().map(|mut failures| failures.push(failure)).ok();
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().map_err(|_| "a compiling thread panicked")?;
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    let mut list = String::from("&[\n");
    for source in &sources {
        let kernels = kernels(source)?;
        writeln!(list, "    ({:?}, &{kernels:?}, include_bytes!({:?})),", stem(source), fatbin(&out, source))
            .map_err(|error| error.to_string())?;
    }
    list.push_str("]\n");
    std::fs::write(out.join("modules.in"), list).map_err(|error| format!("{}: {error}", out.display()))
}

fn kernel_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error| format!("{}: {error}", folder.display());
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            kernel_files(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "cu") && path != Path::new(DRIVER) {
            found.push(path);
        }
    }
    Ok(())
}

/// Names of the kernels that a file declares, with their elements'.
fn kernels(source: &Path) -> Result<Vec<String>, String> {
    let text = text(source)?;
    let mut names = Vec::new();
    for line in text.lines() {
        let Some((declaration, rest)) = line.split_once('(') else { continue };
        let Some((name, _)) = rest.split_once(',') else { continue };
        match declaration {
            "KERNEL" => names.extend(["f32", "f16", "bf16"].map(|element| format!("{name}_{element}"))),
            "PLAIN_KERNEL" => names.push(name.to_owned()),
            _ => {}
        }
    }
    Ok(names)
}

/// Path below src/ops without the ending: `conv2d/direct`.
fn stem(source: &Path) -> String {
    let below = source.strip_prefix(KERNELS).unwrap_or(source).with_extension("");
    below.to_string_lossy().replace('\\', "/")
}

fn fatbin(out: &Path, source: &Path) -> PathBuf {
    out.join(format!("{}.fatbin", stem(source).replace('/', "-")))
}

/// Compiles a file, unless what it is compiled from and by has not changed since: cargo calls for a change anywhere among
/// the ops.
fn compile(nvcc: &Path, source: &Path, out: &Path) -> Result<(), String> {
    let mut command = Command::new(nvcc);
    command.args(["-fatbin", "-O3", "-std=c++17", "--compress-mode=size", "-Isrc/ops", "-Isrc/ops/cuda"]);
    for machine in MACHINES {
        command.arg("-gencode").arg(format!("arch=compute_{machine},code=sm_{machine}"));
    }
    command.arg("-gencode").arg(format!("arch=compute_{PTX},code=compute_{PTX}"));
    command.arg(format!("-DKERNEL_SOURCE=\"{}.cu\"", stem(source))).arg(DRIVER).arg("-o").arg(out);
    let origin = [format!("{command:?}\n"), text(source)?, shared_text()?].concat();
    let note = out.with_extension("origin");
    if out.is_file() && std::fs::read_to_string(&note).is_ok_and(|before| before == origin) {
        return Ok(());
    }
    let output = command.output().map_err(|error| format!("{}: {error}", nvcc.display()))?;
    if output.status.success() {
        return std::fs::write(&note, origin).map_err(|error| format!("{}: {error}", note.display()));
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(format!("{} does not compile:\n{said}", source.display()))
}

/// What every kernel file is compiled with.
fn shared_text() -> Result<String, String> {
    let folder = Path::new(DRIVER).parent().unwrap_or(Path::new(KERNELS));
    let unreadable = |error| format!("{}: {error}", folder.display());
    let paths = folder.read_dir().map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(unreadable)?;
    paths.retain(|path| path == Path::new(DRIVER) || path.extension().is_some_and(|ending| ending == "cuh"));
    paths.sort();
    paths.iter().map(|path| text(path)).collect()
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The first nvcc of: NVCC; CUDA_HOME and CUDA_PATH; PATH; what scripts/build-cuda.sh installed; the usual place.
fn find_nvcc() -> Result<PathBuf, String> {
    let mut places: Vec<PathBuf> = env::var_os("NVCC").map(PathBuf::from).into_iter().collect();
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    places.extend(homes.map(|home| Path::new(&home).join("bin/nvcc")));
    let path = env::var_os("PATH").unwrap_or_default();
    places.extend(env::split_paths(&path).map(|folder| folder.join("nvcc")));
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
    if let Ok(versions) = Path::new(&target).join("cuda-toolkit/lib").read_dir() {
        places.extend(versions.flatten().map(|entry| entry.path().join("site-packages/nvidia/cu13/bin/nvcc")));
    }
    places.push(PathBuf::from("/usr/local/cuda/bin/nvcc"));
    let nvcc = places.into_iter().find(|nvcc| nvcc.is_file()).ok_or(
        "The feature `cuda` needs NVIDIA's compiler nvcc, which is neither where NVCC, CUDA_HOME or CUDA_PATH point nor on \
         PATH. scripts/build-cuda.sh installs it below target/ and builds with it.",
    )?;
    match nvcc_version(&nvcc) {
        Some(version) if version < OLDEST_NVCC => Err(format!(
            "{} is CUDA {}.{}; the kernels need {}.{} or newer. scripts/build-cuda.sh installs one below target/.",
            nvcc.display(),
            version.0,
            version.1,
            OLDEST_NVCC.0,
            OLDEST_NVCC.1
        )),
        Some(_) => Ok(nvcc),
        None => Err(format!("{} does not say its version: it is no working nvcc", nvcc.display())),
    }
}

/// 13 and 0 of `..., release 13.0, V13.0.88`.
fn nvcc_version(nvcc: &Path) -> Option<(u32, u32)> {
    let output = Command::new(nvcc).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (major, minor) = said.split("release ").nth(1)?.split(',').next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
