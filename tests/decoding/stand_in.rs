//! The stand-in for nvJPEG with decoders, and the processor as a device.

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use tresnet::augment::Rgb;
use tresnet::data::decode::decode;
use tresnet::ops::cuda::{Launch, Machine, Region};
use tresnet::ops::nvjpeg::{Decoder, Library};
use tresnet::ops::squares::Squares;

use crate::host;

/// `nvjpegStatus_t`
pub const SUCCESS: c_int = 0;
pub const BAD_JPEG: c_int = 3;
pub const EXECUTION_FAILED: c_int = 6;

pub type Size = extern "C" fn(*const u8, usize, *mut c_int, *mut c_int) -> c_int;
pub type Decode = extern "C" fn(*const u8, usize, *mut u8, usize) -> c_int;

/// What the stand-in does: `stand_in` of stand-in.c.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Behaviour {
    pub size: Size,
    pub is_for_hardware: extern "C" fn(*const u8, usize) -> c_int,
    pub decode: Decode,
    pub has_hardware: c_int,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { size, is_for_hardware, decode: decode_exactly, has_hardware: 1 }
    }
}

/// The bytes of a file that the stand-in was given.
pub fn file<'a>(bytes: *const u8, length: usize) -> &'a [u8] {
    // SAFETY: nvJPEG's callers give a slice's start and length, which live while it is called.
    unsafe { std::slice::from_raw_parts(bytes, length) }
}

fn picture(bytes: *const u8, length: usize) -> Option<Rgb> {
    let mut picture = Rgb::default();
    decode(file(bytes, length), &mut picture).ok().map(|()| picture)
}

pub extern "C" fn size(bytes: *const u8, length: usize, width: *mut c_int, height: *mut c_int) -> c_int {
    let Some(picture) = picture(bytes, length) else { return BAD_JPEG };
    // SAFETY: both point to at least one int.
    unsafe { (*width, *height) = (picture.width as c_int, picture.height as c_int) };
    SUCCESS
}

/// The hardware is given about half of the files.
extern "C" fn is_for_hardware(_: *const u8, length: usize) -> c_int {
    (length % 2) as c_int
}

pub extern "C" fn decode_exactly(bytes: *const u8, length: usize, out: *mut u8, pitch: usize) -> c_int {
    let Some(picture) = picture(bytes, length) else { return BAD_JPEG };
    for (line, pixels) in picture.pixels.chunks(picture.width * 3).enumerate() {
        // SAFETY: the stand-in is given `pitch` bytes for each of the picture's lines.
        unsafe { out.add(line * pitch).copy_from_nonoverlapping(pixels.as_ptr(), pixels.len()) };
    }
    SUCCESS
}

/// A built stand-in, with counters of its own.
pub struct StandIn {
    counters: libloading::Library,
    pub path: PathBuf,
    _folder: TempDir,
}

/// Compiles the stand-in as nvJPEG `version` below a folder; `extra` goes to the compiler.
pub fn build(folder: &Path, version: u32, extra: &[&str]) -> PathBuf {
    let library = folder.join("libnvjpeg.so.13");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decoding/stand-in.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1"]).args(extra).arg(format!("-DVERSION={version}"));
    assert!(command.arg("-o").arg(&library).arg(source).status().unwrap().success());
    library
}

impl StandIn {
    pub fn new(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = build(folder.path(), 13, &[]);
        // SAFETY: a library of our own, without initialisers.
        let counters = unsafe { libloading::Library::new(&path) }.unwrap();
        // SAFETY: the symbol is a struct of this layout, which nothing reads meanwhile.
        unsafe { **counters.get::<*mut Behaviour>(b"stand_in").unwrap() = behaviour };
        Self { counters, path, _folder: folder }
    }

    pub fn squares(&self) -> Squares {
        let library = Library::open(&self.path).unwrap();
        Squares::new(Arc::new(Processor), Decoder::new(&library, &Processor, 2).unwrap())
    }

    /// One of stand-in.c's counters.
    pub fn count(&self, name: &str) -> usize {
        // SAFETY: the symbol is an int, which nothing writes meanwhile.
        let count = unsafe { **self.counters.get::<*const c_int>(name.as_bytes()).unwrap() };
        usize::try_from(count).unwrap()
    }
}

/// The processor as a device: its memory, and the kernels that the shim runs.
pub struct Processor;

impl Machine for Processor {
    fn allocate(&self, bytes: usize) -> anyhow::Result<Region> {
        Ok(host::allocate(bytes))
    }

    fn write(&self, region: &Region, bytes: &[u8]) -> anyhow::Result<()> {
        host::write(region, bytes);
        Ok(())
    }

    fn read(&self, region: &Region, bytes: &mut [u8]) -> anyhow::Result<()> {
        bytes.copy_from_slice(&host::read(&region.part(0, bytes.len())?));
        Ok(())
    }

    fn synchronize(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn launch(&self, launch: &Launch) -> anyhow::Result<()> {
        host::launch(launch, false);
        Ok(())
    }

    fn enter(&self) -> anyhow::Result<*mut c_void> {
        Ok(std::ptr::null_mut())
    }
}
