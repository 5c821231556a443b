//! cuDNN, opened at run time: the table of the functions that the backend API consists of.
//!
//! An own table of twelve functions rather than cudarc's `cudnn::sys`, for three reasons. cudarc panics where the
//! library or one symbol is missing, and looks for it by name alone. Its codes are Rust enums of one version of the
//! header, and a status, note or knob that a newer library returns would be no value of the enum: undefined behaviour.
//! And its wrappers ask for a CUDA context, which a machine that only checks plans does not have.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

/// `cudnnBackendDescriptor_t` and `cudnnHandle_t`: opaque.
pub(super) type Raw = *mut c_void;
/// `cudnnStatus_t`
type Status = c_int;

/// The first version that reads a device's properties from JSON.
const OLDEST: usize = 91_100;

/// The signatures are those of `cudnn_graph.h`; the ABI has kept them since cuDNN 8.
pub(super) struct Functions {
    pub create: unsafe extern "C" fn(*mut Raw) -> Status,
    pub destroy: unsafe extern "C" fn(Raw) -> Status,
    pub set_stream: unsafe extern "C" fn(Raw, *mut c_void) -> Status,
    pub create_descriptor: unsafe extern "C" fn(c_int, *mut Raw) -> Status,
    pub destroy_descriptor: unsafe extern "C" fn(Raw) -> Status,
    pub set_attribute: unsafe extern "C" fn(Raw, c_int, c_int, i64, *const c_void) -> Status,
    pub get_attribute: unsafe extern "C" fn(Raw, c_int, c_int, i64, *mut i64, *mut c_void) -> Status,
    pub finalize: unsafe extern "C" fn(Raw) -> Status,
    pub execute: unsafe extern "C" fn(Raw, Raw, Raw) -> Status,
    version: unsafe extern "C" fn() -> usize,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
    last_error: unsafe extern "C" fn(*mut c_char, usize),
}

/// What cuDNN refuses with a status of its own, as [`anyhow::Error::is`] tells it from the driver's errors.
#[derive(Debug)]
pub struct StatusError {
    status: Status,
    message: String,
}

impl std::error::Error for StatusError {}

impl StatusError {
    /// Whether the device's memory is what was short (`CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED`).
    pub fn is_out_of_device_memory(&self) -> bool {
        self.status == 4004
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An open cuDNN.
pub struct Library {
    pub(super) functions: Functions,
    version: usize,
    /// Keeps the functions loaded.
    _library: libloading::Library,
    /// Opened before cuDNN wants it.
    _cublas: libloading::Library,
}

impl Library {
    /// Opens `libcudnn.so.9` in `folder`, or wherever the system's loader finds it. What it opens in turn (the CUDA
    /// driver, NVRTC) is found likewise, or not sought if it is loaded already.
    ///
    /// # Errors
    /// If the library or cuBLASLt is not there, it lacks a function or is older than 9.11.
    pub fn open(folder: Option<&Path>) -> Result<Arc<Self>> {
        const NAME: &str = "libcudnn.so.9";
        let cublas = open_cublas()?;
        let path = folder.map_or_else(|| NAME.into(), |folder| folder.join(NAME));
        // SAFETY: cuDNN's initialisers do nothing but set up the library.
        let library = unsafe { libloading::Library::new(&path) };
        let library = library.with_context(|| format!("cannot open cuDNN as {}", path.display()))?;
        // SAFETY: the table's types are those of cuDNN's header.
        let functions =
            unsafe { Functions::load(&library) }.with_context(|| format!("{} is no cuDNN 9", path.display()))?;
        // SAFETY: it takes nothing and only returns a number.
        let version = unsafe { (functions.version)() };
        ensure!(
            version >= OLDEST,
            "{} is cuDNN {}, and {} is needed: update nvidia-cudnn-cu13",
            path.display(),
            shown(version),
            shown(OLDEST)
        );
        Ok(Arc::new(Self { functions, version, _library: library, _cublas: cublas }))
    }

    /// As cuDNN says it: `9.19.0`.
    pub fn version(&self) -> String {
        shown(self.version)
    }

    /// `what` is what was attempted.
    pub(super) fn check(&self, status: Status, what: impl FnOnce() -> String) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let mut detail = [0 as c_char; 1024];
        // SAFETY: the name is a constant of the library; the detail is written with its end within the array.
        let (name, detail) = unsafe {
            (self.functions.last_error)(detail.as_mut_ptr(), detail.len());
            detail[detail.len() - 1] = 0;
            (CStr::from_ptr((self.functions.error_string)(status)), CStr::from_ptr(detail.as_ptr()))
        };
        let (name, detail) = (name.to_string_lossy(), detail.to_string_lossy());
        let message = format!("cuDNN cannot {}: {name} ({status}) {}", what(), reason(&detail));
        Err(StatusError { status, message }.into())
    }
}

impl Functions {
    /// # Safety
    /// `library` is cuDNN.
    unsafe fn load(library: &libloading::Library) -> Result<Self, libloading::Error> {
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field that takes it has the function's type.
                *unsafe { library.get($name) }?
            };
        }
        Ok(Self {
            create: symbol!(c"cudnnCreate"),
            destroy: symbol!(c"cudnnDestroy"),
            set_stream: symbol!(c"cudnnSetStream"),
            create_descriptor: symbol!(c"cudnnBackendCreateDescriptor"),
            destroy_descriptor: symbol!(c"cudnnBackendDestroyDescriptor"),
            set_attribute: symbol!(c"cudnnBackendSetAttribute"),
            get_attribute: symbol!(c"cudnnBackendGetAttribute"),
            finalize: symbol!(c"cudnnBackendFinalize"),
            execute: symbol!(c"cudnnBackendExecute"),
            version: symbol!(c"cudnnGetVersion"),
            error_string: symbol!(c"cudnnGetErrorString"),
            last_error: symbol!(c"cudnnGetLastErrorString"),
        })
    }
}

/// cuDNN's ranking of engines calls cuBLASLt, and ends the process where that cannot be opened.
fn open_cublas() -> Result<libloading::Library> {
    // SAFETY: cuBLASLt's initialisers do nothing but set up the library.
    let open = |name| unsafe { libloading::Library::new(name) };
    open("libcublasLt.so.13").or_else(|_| open("libcublasLt.so.12")).context("cannot open cuBLASLt, which cuDNN needs")
}

/// cuDNN 9 counts 10000 a major version and 100 a minor one.
fn shown(version: usize) -> String {
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// The innermost of cuDNN's chain of reasons, which is what went wrong.
fn reason(detail: &str) -> &str {
    let mut reasons = detail.lines().filter(|line| line.contains("Reason") || line.contains("because"));
    reasons.next_back().or(detail.lines().next()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_cudnn_or_a_machine_without_cublas_is_one_line() {
        let error = Library::open(Some(Path::new("/no/such/folder"))).err().unwrap().to_string();
        let cublas = error == "cannot open cuBLASLt, which cuDNN needs";
        assert!(cublas || error == "cannot open cuDNN as /no/such/folder/libcudnn.so.9", "{error}");
    }

    #[test]
    fn of_several_reasons_the_innermost_is_told() {
        let detail = "Error at finalize\n Reason: plan\n Reason: No GPC available\n";
        assert_eq!(reason(detail), "Reason: No GPC available");
        assert_eq!(reason("just this"), "just this");
        assert_eq!(reason(""), "");
    }

    #[test]
    fn versions_read_as_cudnn_writes_them() {
        assert_eq!(shown(91_900), "9.19.0");
        assert_eq!(shown(OLDEST), "9.11.0");
    }
}
