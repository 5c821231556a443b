//! Whether CUDA can be used here, and if not, why. Everything is looked for before it is asked: a driver or a library
//! that is missing is an answer, never a failure.

use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fmt;
use std::path::PathBuf;

use libloading::{Library, Symbol};

use super::libraries::{Libraries, Missing, Surroundings};

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";

/// The oldest driver that takes what nvcc 13 makes, as `cuDriverGetVersion` says it: 1000 * major + 10 * minor.
const OLDEST_DRIVER: i32 = 13_000;

/// CUDA, ready for use.
#[derive(Clone, Debug)]
pub struct Cuda {
    /// The newest CUDA that the driver knows.
    pub driver: Version,
    /// Names of the devices, by number; at least one.
    pub devices: Vec<String>,
    /// Without them convolutions run, but slowly.
    pub libraries: Result<Libraries, Missing>,
}

/// A version of CUDA as the driver counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Version(i32);

/// Why there is no CUDA. Each is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    NotBuilt,
    NoDriver { reason: String },
    DriverTooOld { found: i32 },
    NoDevice,
    DriverFails { call: &'static str, code: i32 },
}

/// Asks the driver and looks for the libraries.
///
/// # Errors
/// Why CUDA cannot be used.
pub fn probe(surroundings: &Surroundings) -> Result<Cuda, Absence> {
    if cfg!(feature = "cuda") { ask(PathBuf::from(DRIVER), surroundings) } else { Err(Absence::NotBuilt) }
}

/// What [`probe`] does in a build with CUDA, with the driver's library at `driver`: a path, or a name that the system
/// resolves.
pub fn ask(driver: PathBuf, surroundings: &Surroundings) -> Result<Cuda, Absence> {
    // SAFETY: opening the driver runs its initialisers, which are made to be run in any process.
    let opened = unsafe { Library::new(&driver) };
    let library = opened.map_err(|error| {
        let error = cause(&error);
        Absence::NoDriver { reason: error.lines().next().unwrap_or_default().to_owned() }
    })?;
    let driver = Driver { library };
    let version = driver.version()?;
    if version < OLDEST_DRIVER {
        return Err(Absence::DriverTooOld { found: version });
    }
    let devices = driver.devices()?;
    // The driver stays: threads of its own may run by now.
    std::mem::forget(driver);
    Ok(Cuda { driver: Version(version), devices, libraries: Libraries::find(surroundings) })
}

/// Opens the libraries for the rest of the process, so that whoever asks for them by name finds them.
///
/// # Errors
/// Names the library that cannot be opened and the linker's reason.
pub fn open(libraries: &Libraries) -> anyhow::Result<()> {
    for path in libraries.in_order() {
        // SAFETY: these are NVIDIA's libraries by name; their initialisers are made to be run in any process.
        let library = unsafe { Library::new(path) };
        let library = library.map_err(|error| anyhow::anyhow!("cannot open {}: {}", path.display(), cause(&error)))?;
        std::mem::forget(library);
    }
    Ok(())
}

/// The linker's own words, which the error does not show.
fn cause(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The driver's functions that need no context.
struct Driver {
    library: Library,
}

/// `CUDA_ERROR_NO_DEVICE`
const NO_DEVICE: i32 = 100;

impl Driver {
    fn version(&self) -> Result<i32, Absence> {
        let mut version = 0;
        // SAFETY: `CUresult cuDriverGetVersion(int*)`, and the pointer is to an int.
        let code = unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> = self.function("cuDriverGetVersion")?;
            get(&mut version)
        };
        check("cuDriverGetVersion", code).map(|()| version)
    }

    fn devices(&self) -> Result<Vec<String>, Absence> {
        // SAFETY: `CUresult cuInit(unsigned)`, of which 0 is the only value allowed.
        let code = unsafe {
            let init: Symbol<unsafe extern "C" fn(c_uint) -> c_int> = self.function("cuInit")?;
            init(0)
        };
        check("cuInit", code)?;
        let mut count = 0;
        // SAFETY: `CUresult cuDeviceGetCount(int*)`, and the pointer is to an int.
        let code = unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> = self.function("cuDeviceGetCount")?;
            get(&mut count)
        };
        check("cuDeviceGetCount", code)?;
        if count < 1 {
            return Err(Absence::NoDevice);
        }
        (0..count).map(|device| self.name(device)).collect()
    }

    fn name(&self, device: c_int) -> Result<String, Absence> {
        let mut name: [c_char; 256] = [0; 256];
        // SAFETY: `CUresult cuDeviceGetName(char*, int, CUdevice)` writes at most as many characters as it is told, and
        // a device below the count is its own handle once cuInit has run.
        let code = unsafe {
            let get: Symbol<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
                self.function("cuDeviceGetName")?;
            get(name.as_mut_ptr(), name.len() as c_int - 1, device)
        };
        check("cuDeviceGetName", code)?;
        // SAFETY: the last of the characters is still the 0 that it was made with.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// # Safety
    /// `F` is the function's type.
    unsafe fn function<F>(&self, name: &'static str) -> Result<Symbol<'_, F>, Absence> {
        // SAFETY: the caller's.
        let found = unsafe { self.library.get(name.as_bytes()) };
        found.map_err(|_| Absence::NoDriver { reason: format!("{DRIVER} has no {name}: it is not NVIDIA's driver") })
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), Absence> {
    match code {
        0 => Ok(()),
        NO_DEVICE => Err(Absence::NoDevice),
        code => Err(Absence::DriverFails { call, code }),
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("this build has no CUDA"),
            Self::NoDriver { reason } => write!(f, "no NVIDIA driver ({reason})"),
            Self::DriverTooOld { found } => write!(
                f,
                "the NVIDIA driver is too old: it knows CUDA {}, the kernels need {}",
                Version(*found),
                Version(OLDEST_DRIVER)
            ),
            Self::NoDevice => f.write_str("the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)"),
            Self::DriverFails { call, code } => write!(f, "the NVIDIA driver fails: {call} returns {code}"),
        }
    }
}

/// What is used, on one line.
impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.devices.join(", ");
        write!(f, "{names}, CUDA {}, ", self.driver)?;
        match &self.libraries {
            Ok(libraries) => write!(f, "cuDNN at {}", libraries.cudnn.display()),
            Err(missing) => write!(f, "without cuDNN, so with slow convolutions: {missing}"),
        }
    }
}
