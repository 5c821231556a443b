//! nvJPEG, opened at run time: the table of the functions that decoding takes.

use std::ffi::{c_int, c_uchar, c_uint, c_void};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};

use crate::runtime::libraries::{Surroundings, nvjpeg};

/// `nvjpegHandle_t`, `nvjpegJpegState_t`, `nvjpegJpegStream_t` and `cudaStream_t`: opaque.
pub(super) type Raw = *mut c_void;

/// `NVJPEG_MAX_COMPONENT`
pub(super) const COMPONENTS: usize = 4;

/// The oldest major version whose `nvjpegImage_t` is the one below.
const OLDEST: i32 = 13;

/// `nvjpegImage_t`: where a decoded picture goes. Interleaved, it has one plane.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Image {
    pub channel: [*mut c_uchar; COMPONENTS],
    pub pitch: [usize; COMPONENTS],
}

/// `nvjpegStatus_t`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Status(c_int);

/// What is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file alone: another decoder will tell.
    File,
    /// The library or the device, whatever they are given.
    Device,
    /// The status does not tell.
    Either,
}

impl Status {
    pub const SUCCESS: Self = Self(0);

    /// What a failure says something about.
    pub fn fault(self) -> Fault {
        match self.0 {
            // A bad JPEG, one that is not supported, a kind that is not implemented, one that ends too early.
            3 | 4 | 9 | 10 => Fault::File,
            // Not initialised, another architecture: no file changes that.
            1 | 7 => Fault::Device,
            // A damaged file may make the execution fail or confuse nvJPEG, a large one find no memory; so may a device.
            _ => Fault::Either,
        }
    }

    /// The names of nvjpeg.h.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 11] = [
            "success",
            "not initialised",
            "an invalid parameter",
            "a bad JPEG",
            "a JPEG that is not supported",
            "no memory",
            "the execution failed",
            "another architecture",
            "an internal error",
            "not implemented",
            "an incomplete bitstream",
        ];
        usize::try_from(self.0).ok().and_then(|code| NAMES.get(code).copied()).unwrap_or("an unknown status")
    }
}

/// The signatures are those of `nvjpeg.h`. Enums are passed as the int that C makes of them.
pub(super) struct Functions {
    get_property: unsafe extern "C" fn(c_int, *mut c_int) -> Status,
    pub create: unsafe extern "C" fn(c_int, Raw, Raw, c_uint, *mut Raw) -> Status,
    pub destroy: unsafe extern "C" fn(Raw) -> Status,
    pub create_state: unsafe extern "C" fn(Raw, *mut Raw) -> Status,
    pub destroy_state: unsafe extern "C" fn(Raw) -> Status,
    pub create_parser: unsafe extern "C" fn(Raw, *mut Raw) -> Status,
    pub destroy_parser: unsafe extern "C" fn(Raw) -> Status,
    pub parse_header: unsafe extern "C" fn(Raw, *const c_uchar, usize, Raw) -> Status,
    pub is_supported: unsafe extern "C" fn(Raw, Raw, *mut c_int) -> Status,
    pub image_info:
        unsafe extern "C" fn(Raw, *const c_uchar, usize, *mut c_int, *mut c_int, *mut c_int, *mut c_int) -> Status,
    pub begin_batch: unsafe extern "C" fn(Raw, Raw, c_int, c_int, c_int) -> Status,
    pub decode_batch: unsafe extern "C" fn(Raw, Raw, *const *const c_uchar, *const usize, *mut Image, Raw) -> Status,
    pub decode: unsafe extern "C" fn(Raw, Raw, *const c_uchar, usize, c_int, *mut Image, Raw) -> Status,
}

/// An open nvJPEG.
pub struct Library {
    pub(super) functions: Functions,
    version: [c_int; 3],
    /// Keeps the functions loaded.
    _library: libloading::Library,
}

impl Library {
    /// Opens the first that is found.
    ///
    /// # Errors
    /// Where it was sought, or those of [`Library::open`].
    pub fn find(surroundings: &Surroundings) -> Result<Arc<Self>> {
        Self::open(&nvjpeg(surroundings).map_err(|missing| anyhow!("{missing}"))?)
    }

    /// Opens the library at `path`.
    ///
    /// # Errors
    /// If it cannot be opened, lacks a function or is older than 13.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        let shown = path.display();
        // SAFETY: nvJPEG's initialisers do nothing but set up the library.
        let library = unsafe { libloading::Library::new(path) };
        let library = library.with_context(|| format!("cannot open nvJPEG as {shown}"))?;
        // SAFETY: the table's types are those of nvJPEG's header.
        let functions = unsafe { Functions::load(&library) };
        let functions = functions.with_context(|| format!("{shown} is no nvJPEG {OLDEST}"))?;
        let mut version = [0; 3];
        for (which, number) in version.iter_mut().enumerate() {
            // SAFETY: it writes one int; 0, 1 and 2 are the major, minor and patch numbers of `libraryPropertyType`.
            let status = unsafe { (functions.get_property)(which as c_int, number) };
            ensure!(status == Status::SUCCESS, "{shown} does not say its version: {}", status.name());
        }
        ensure!(
            version[0] >= OLDEST,
            "{shown} is nvJPEG {}, and {OLDEST}.0 is needed: update nvidia-nvjpeg",
            dotted(version)
        );
        Ok(Arc::new(Self { functions, version, _library: library }))
    }

    /// As `13.3.2`.
    pub fn version(&self) -> String {
        dotted(self.version)
    }
}

impl Functions {
    /// # Safety
    /// `library` is nvJPEG.
    unsafe fn load(library: &libloading::Library) -> Result<Self, libloading::Error> {
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field that takes it has the function's type.
                *unsafe { library.get($name) }?
            };
        }
        Ok(Self {
            get_property: symbol!(c"nvjpegGetProperty"),
            create: symbol!(c"nvjpegCreateEx"),
            destroy: symbol!(c"nvjpegDestroy"),
            create_state: symbol!(c"nvjpegJpegStateCreate"),
            destroy_state: symbol!(c"nvjpegJpegStateDestroy"),
            create_parser: symbol!(c"nvjpegJpegStreamCreate"),
            destroy_parser: symbol!(c"nvjpegJpegStreamDestroy"),
            parse_header: symbol!(c"nvjpegJpegStreamParseHeader"),
            is_supported: symbol!(c"nvjpegDecodeBatchedSupported"),
            image_info: symbol!(c"nvjpegGetImageInfo"),
            begin_batch: symbol!(c"nvjpegDecodeBatchedInitialize"),
            decode_batch: symbol!(c"nvjpegDecodeBatched"),
            decode: symbol!(c"nvjpegDecode"),
        })
    }
}

fn dotted([major, minor, patch]: [c_int; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_initialisation_and_another_architecture_are_the_devices_fault_for_certain() {
        let of = |wanted| (1..=11).filter(|&code| Status(code).fault() == wanted).collect::<Vec<_>>();
        let faults = [Fault::Device, Fault::File, Fault::Either].map(of);
        assert_eq!(faults, [vec![1, 7], vec![3, 4, 9, 10], vec![2, 5, 6, 8, 11]]);
        assert_eq!((Status(6).name(), Status(7).name()), ("the execution failed", "another architecture"));
    }
}
