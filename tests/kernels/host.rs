//! Runs launches on the host: each kernel file, compiled by the C++ compiler with the shim, is a library here.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_uint, c_void};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use half::{bf16, f16};
use libloading::Library;
use tresnet::ops::cuda::{ALIGNMENT, Argument, Element, Launch, Region};

use crate::random::fnv1a64;

/// Bytes on each side of a buffer that nothing may touch.
const GUARD: usize = 256;
/// What fills guards and fresh memory: a NaN in every type.
const POISON: u8 = 0xff;

/// Memory that stands in for a device's.
pub struct Memory {
    region: Region,
    storage: Arc<Storage>,
}

struct Storage {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the pointer is to memory of its own, which tests use from one thread at a time.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start, self.layout) }
    }
}

impl Deref for Memory {
    type Target = Region;

    fn deref(&self) -> &Region {
        &self.region
    }
}

impl Memory {
    /// Full of NaN.
    pub fn fresh(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes + 2 * GUARD, ALIGNMENT.max(GUARD)).unwrap();
        // SAFETY: the layout is not empty; all of the new memory is then written.
        let start = unsafe {
            let start = alloc(layout);
            start.write_bytes(POISON, layout.size());
            start
        };
        let storage = Arc::new(Storage { start, layout });
        // SAFETY: the storage owns as many bytes after the guard.
        let region = unsafe { Region::new(start as u64 + GUARD as u64, bytes, storage.clone()) };
        Self { region, storage }
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let memory = Self::fresh(bytes.len());
        // SAFETY: the region has as many bytes, and nothing else refers to them now.
        unsafe { (memory.address() as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        memory
    }

    pub fn floats(values: &[f32]) -> Self {
        Self::values(Element::F32, values)
    }

    pub fn values(element: Element, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|&value| match element {
            Element::F32 => value.to_le_bytes().to_vec(),
            Element::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
            Element::Bf16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        });
        Self::of_bytes(&bytes.collect::<Vec<u8>>())
    }

    pub fn ints(values: &[i32]) -> Self {
        Self::of_bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    pub fn doubles(values: &[f64]) -> Self {
        Self::of_bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    pub fn bytes_of(values: &[u8]) -> Self {
        Self::of_bytes(values)
    }

    /// What it holds; fails where something was written beside it.
    fn read<const SIZE: usize>(&self) -> Vec<[u8; SIZE]> {
        // SAFETY: the storage has as many bytes, and no kernel runs now.
        let all = unsafe { std::slice::from_raw_parts(self.storage.start, self.storage.layout.size()) };
        let (before, rest) = all.split_at(GUARD);
        let (own, after) = rest.split_at(self.region.bytes());
        assert!(before.iter().chain(after).all(|&byte| byte == POISON), "a kernel wrote beside its memory");
        own.chunks_exact(SIZE).map(|chunk| chunk.try_into().unwrap()).collect()
    }

    pub fn read_floats(&self) -> Vec<f32> {
        self.read().into_iter().map(f32::from_le_bytes).collect()
    }

    pub fn read_values(&self, element: Element) -> Vec<f32> {
        match element {
            Element::F32 => self.read_floats(),
            Element::F16 => self.read().into_iter().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
            Element::Bf16 => self.read().into_iter().map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        }
    }

    pub fn read_ints(&self) -> Vec<i32> {
        self.read().into_iter().map(i32::from_le_bytes).collect()
    }

    pub fn read_doubles(&self) -> Vec<f64> {
        self.read().into_iter().map(f64::from_le_bytes).collect()
    }
}

type RunKernel = unsafe extern "C" fn(*const c_void, *const c_uint, *mut *mut c_void, bool) -> bool;

/// A kernel file's library. Its fibres are static, so it runs one kernel at a time.
struct Kernels {
    library: Library,
    busy: Mutex<()>,
}

/// Runs a launch twice, with blocks and threads in rising and in falling order. What comes out must be the same: so a
/// barrier that is missing shows.
pub fn run(launch: anyhow::Result<Launch>) {
    let launch = launch.unwrap_or_else(|error| panic!("{error:#}"));
    let kernels = kernels_of(launch.kernel());
    let _alone = kernels.busy.lock().unwrap();
    let snapshot = |launch: &Launch| -> Vec<Vec<u8>> {
        // SAFETY: a launch's regions are alive, and no kernel runs now.
        let bytes = |region: &Region| unsafe {
            std::slice::from_raw_parts(region.address() as *const u8, region.bytes()).to_vec()
        };
        launch.regions().iter().map(bytes).collect()
    };
    let before = snapshot(&launch);
    kernels.run(&launch, false);
    let rising = snapshot(&launch);
    for (region, bytes) in launch.regions().iter().zip(&before) {
        // SAFETY: as above; the region has as many bytes.
        unsafe { (region.address() as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    kernels.run(&launch, true);
    assert!(rising == snapshot(&launch), "{launch}: the result depends on the order of threads");
}

impl Kernels {
    fn run(&self, launch: &Launch, falling: bool) {
        let name = CString::new(launch.kernel()).unwrap();
        let mut arguments: Vec<[u8; 8]> = launch.arguments().iter().map(|argument| raw(*argument)).collect();
        let letters = launch.arguments().iter().map(|argument| match argument {
            Argument::Address(_) => 'p',
            Argument::Int(_) => 'i',
            Argument::Float(_) => 'f',
        });
        // SAFETY: the types are those of run.cpp; the kernel is called with as many arguments of the same kinds as it
        // has parameters, and each pointer is to 8 bytes.
        unsafe {
            let find: unsafe extern "C" fn(*const c_char) -> *const c_void = *self.library.get(b"find_kernel").unwrap();
            let signature: unsafe extern "C" fn(*const c_void) -> *const c_char =
                *self.library.get(b"kernel_signature").unwrap();
            let run: RunKernel = *self.library.get(b"run_kernel").unwrap();
            let kernel = find(name.as_ptr());
            assert!(!kernel.is_null(), "no kernel is called {}", launch.kernel());
            let wanted = CStr::from_ptr(signature(kernel)).to_str().unwrap();
            assert_eq!(letters.collect::<String>(), wanted, "arguments of {launch}");
            let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(|bytes| bytes.as_mut_ptr().cast()).collect();
            let ended = run(kernel, launch.grid().as_ptr(), pointers.as_mut_ptr(), falling);
            assert!(ended, "{launch}: threads wait at different barriers");
        }
    }
}

/// The first bytes are the argument's.
fn raw(argument: Argument) -> [u8; 8] {
    let mut bytes = [0; 8];
    match argument {
        Argument::Address(address) => bytes = address.to_ne_bytes(),
        Argument::Int(int) => bytes[..4].copy_from_slice(&int.to_ne_bytes()),
        Argument::Float(float) => bytes[..4].copy_from_slice(&float.to_ne_bytes()),
    }
    bytes
}

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
                    found.insert(name, std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    })
}

/// The library of the file that declares a kernel.
fn kernels_of(kernel: &str) -> &'static Kernels {
    static LIBRARIES: OnceLock<HashMap<&'static str, OnceLock<Kernels>>> = OnceLock::new();
    let libraries =
        LIBRARIES.get_or_init(|| kernel_files().keys().map(|file| (file.as_str(), OnceLock::new())).collect());
    let base = ["_f32", "_f16", "_bf16"].iter().find_map(|end| kernel.strip_suffix(end)).unwrap_or(kernel);
    let declaration = format!("KERNEL({base},");
    let file = kernel_files().iter().find(|(_, text)| text.contains(&declaration));
    let (file, text) = file.unwrap_or_else(|| panic!("no kernel file declares {base}"));
    libraries[file.as_str()].get_or_init(|| {
        let path = compile(file, text);
        // SAFETY: a library of our own sources, without initialisers but those of its table.
        let library = unsafe { Library::new(&path) };
        Kernels { library: library.unwrap_or_else(|error| panic!("{error}")), busy: Mutex::new(()) }
    })
}

/// Compiles a file unless the same sources have been before.
fn compile(file: &str, text: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let includes = ["src/ops", "src/ops/cuda", "tests/kernels"].map(|folder| root.join(folder));
    let shared = ["kernel.cuh", "columns.cuh", "product.cuh", "each_element.cu"].map(|name| includes[1].join(name));
    let shim = ["shim.hpp", "run.cpp"].map(|name| includes[2].join(name));
    let texts = shared.iter().chain(&shim).map(|path| std::fs::read_to_string(path).unwrap());
    let hash = fnv1a64(&texts.chain([text.to_owned()]).collect::<String>());
    let stem = file.trim_end_matches(".cu").replace('/', "-");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}-{hash:016x}.so"));
    if out.exists() {
        return out;
    }
    let unfinished = out.with_extension(format!("{}.tmp", std::process::id()));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE"]);
    command.args(includes.iter().map(|folder| format!("-I{}", folder.display())));
    command.arg(format!("-DKERNEL_SOURCE=\"{file}\"")).arg(&shim[1]).arg("-o").arg(&unfinished);
    let output =
        command.output().unwrap_or_else(|error| panic!("a C++ compiler is needed, `{compiler}` fails: {error}"));
    assert!(output.status.success(), "{file}:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&unfinished, &out).unwrap();
    out
}
