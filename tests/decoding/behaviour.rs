//! The stand-in for nvJPEG as a library, and what it does with files: by itself it decodes nothing.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::Library;
use tresnet::augment::Rgb;
use tresnet::data::decode::decode;

/// `nvjpegStatus_t`
pub const SUCCESS: c_int = 0;
pub const BAD_JPEG: c_int = 3;

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

/// Has the stand-in at a path, which this process may have open already, behave so.
pub fn teach(path: &Path, behaviour: Behaviour) -> Library {
    // SAFETY: a library of our own, whose only initialiser sets that very struct.
    let library = unsafe { Library::new(path) }.unwrap();
    // SAFETY: the symbol is a struct of this layout, which nothing reads meanwhile.
    unsafe { **library.get::<*mut Behaviour>(b"stand_in").unwrap() = behaviour };
    library
}
