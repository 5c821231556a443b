//! Runs launches on the host: each kernel file, compiled by the C++ compiler with the shim, is a library here.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_uint, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::Library;
use tresnet::ops::cuda::{ALIGNMENT, Argument, Launch, Region};

use crate::kernel_files::{compile, kernel_files};

/// Memory of the process that stands in for a device's.
struct Storage {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the pointer is to memory of its own, which a test uses from one thread.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start, self.layout) }
    }
}

pub fn allocate(bytes: usize) -> Region {
    let layout = Layout::from_size_align(bytes, ALIGNMENT).unwrap();
    assert!(bytes > 0);
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    // SAFETY: the storage owns as many bytes.
    unsafe { Region::new(start as u64, bytes, Arc::new(Storage { start, layout })) }
}

pub fn write(region: &Region, bytes: &[u8]) {
    assert!(bytes.len() <= region.bytes());
    // SAFETY: the region is alive and has as many bytes, and no kernel runs now.
    unsafe { (region.address() as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}

pub fn read(region: &Region) -> Vec<u8> {
    // SAFETY: as for writing.
    unsafe { std::slice::from_raw_parts(region.address() as *const u8, region.bytes()).to_vec() }
}

/// Runs a kernel, its accesses watched; the second time with blocks and threads in falling order.
pub fn launch(launch: &Launch, second: bool) {
    let name = launch.kernel();
    // The launch has a region for each address that is not null.
    let mut regions = launch.regions().iter();
    let sizes: Vec<usize> = launch
        .arguments()
        .iter()
        .map(|argument| match argument {
            Argument::Address(0) | Argument::Int(_) | Argument::Float(_) => 0,
            Argument::Address(_) => regions.next().unwrap().bytes(),
        })
        .collect();
    let ended = kernels_of(name).run(name, launch.grid(), launch.arguments(), &sizes, second);
    ended.unwrap_or_else(|error| panic!("{launch}: {error}"));
}

type RunKernel =
    unsafe extern "C" fn(*const c_void, *const c_uint, *mut *mut c_void, *const usize, bool) -> *const c_char;

/// A kernel file's library. Its fibres are static, so it runs one kernel at a time.
pub struct Kernels {
    library: Library,
    busy: Mutex<()>,
}

impl Kernels {
    pub fn new(path: &Path) -> Self {
        // SAFETY: a library of our own sources, without initialisers but those of its table.
        let library = unsafe { Library::new(path) };
        Self { library: library.unwrap_or_else(|error| panic!("{error}")), busy: Mutex::new(()) }
    }

    /// Runs a kernel with pointers to so many bytes each.
    pub fn run(
        &self,
        kernel: &str,
        grid: [u32; 3],
        arguments: &[Argument],
        sizes: &[usize],
        falling: bool,
    ) -> Result<(), String> {
        assert_eq!(arguments.len(), sizes.len());
        let _alone = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let name = CString::new(kernel).unwrap();
        let mut raws: Vec<[u8; 8]> = arguments.iter().map(|argument| raw(*argument)).collect();
        let letters = arguments.iter().map(|argument| match argument {
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
            let found = find(name.as_ptr());
            assert!(!found.is_null(), "no kernel is called {kernel}");
            let wanted = CStr::from_ptr(signature(found)).to_str().unwrap();
            assert_eq!(letters.collect::<String>(), wanted, "arguments of {kernel}");
            let mut pointers: Vec<*mut c_void> = raws.iter_mut().map(|bytes| bytes.as_mut_ptr().cast()).collect();
            let wrong = run(found, grid.as_ptr(), pointers.as_mut_ptr(), sizes.as_ptr(), falling);
            if wrong.is_null() { Ok(()) } else { Err(CStr::from_ptr(wrong).to_str().unwrap().to_owned()) }
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

/// The library of the file that declares a kernel.
fn kernels_of(kernel: &str) -> &'static Kernels {
    static LIBRARIES: OnceLock<HashMap<&'static str, OnceLock<Kernels>>> = OnceLock::new();
    let libraries =
        LIBRARIES.get_or_init(|| kernel_files().keys().map(|file| (file.as_str(), OnceLock::new())).collect());
    let base = ["_f32", "_f16", "_bf16"].iter().find_map(|end| kernel.strip_suffix(end)).unwrap_or(kernel);
    let declaration = format!("KERNEL({base},");
    let file = kernel_files().iter().find(|(_, text)| text.contains(&declaration));
    let (file, text) = file.unwrap_or_else(|| panic!("no kernel file declares {base}"));
    libraries[file.as_str()].get_or_init(|| Kernels::new(&compile(file, text, true)))
}
