//! JPEG files to pixels in a device's memory, by nvJPEG: the hardware's decoders where the GPU has them and they know the
//! kind of file, its cores for the others. What neither takes is said, file by file, and so is what makes nvJPEG fail: a
//! file may do that and leave the device well.
//!
//! Its pixels are near libjpeg-turbo's and not the same: it computes the DCT and interpolates colours in another way.
//! Not yet run on a GPU; the tests run it with a library that stands in for nvJPEG.

mod engine;
mod library;
mod verdict;

use std::sync::Arc;

use anyhow::{Result, bail};

use self::engine::{Backend, Engine};
use self::library::Image;
pub use self::library::Library;
use self::verdict::{Failures, is_taken};
use crate::ops::cuda::{Machine, Region};

/// Bytes of a pixel.
const PIXEL: usize = 3;

/// A file, and where its picture goes.
pub struct Picture<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
    into: Region,
}

impl<'a> Picture<'a> {
    /// The picture of `width` x `height` that `bytes` hold becomes `[height, width, 3]` bytes in `into`.
    ///
    /// # Errors
    /// If `into` has no room for it.
    pub fn new(bytes: &'a [u8], [width, height]: [usize; 2], into: Region) -> Result<Self> {
        let needed = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(PIXEL));
        if needed.is_none_or(|needed| needed > into.bytes()) {
            bail!("a picture of {width} x {height} pixels does not fit {} bytes", into.bytes());
        }
        Ok(Self { bytes, width, height, into })
    }

    fn image(&self) -> Image {
        let mut image = Image { channel: [std::ptr::null_mut(); 4], pitch: [0; 4] };
        image.channel[0] = self.into.address() as *mut u8;
        image.pitch[0] = self.width * PIXEL;
        image
    }
}

/// Decodes batches of files.
pub struct Decoder {
    hardware: Option<Engine>,
    cores: Engine,
    version: String,
    failures: Failures,
}

impl Decoder {
    /// Makes the decoders that a device has; `threads` of the processor may help them.
    ///
    /// # Errors
    /// Where nvJPEG cannot use the device.
    pub fn new(library: &Arc<Library>, machine: &dyn Machine, threads: usize) -> Result<Self> {
        machine.enter()?;
        let hardware = Engine::new(library, Backend::Hardware, threads);
        let cores = match Engine::new(library, Backend::GpuHybrid, threads) {
            Ok(cores) => cores,
            Err(status) => bail!("nvJPEG {} cannot use the GPU: {}", library.version(), status.name()),
        };
        Ok(Self { hardware: hardware.ok(), cores, version: library.version(), failures: Failures::default() })
    }

    /// The files that are decoded, by their places; all others are refused. The pixels are there in the order of the
    /// stream of `machine`, the device that this was made on.
    ///
    /// # Errors
    /// Where it is not the files that are at fault: the device is lost, or nvJPEG fails with many files in a row.
    pub fn decode(&mut self, pictures: &[Picture], machine: &dyn Machine) -> Result<Vec<bool>> {
        let stream = machine.enter()?;
        let mut done = vec![false; pictures.len()];
        let mut open: Vec<usize> = (0..pictures.len()).filter(|&at| self.cores.agrees(&pictures[at])).collect();
        if let Some(hardware) = &mut self.hardware {
            let (taken, others) = open.into_iter().partition(|&at| hardware.supports(&pictures[at]));
            open = others;
            if !batch(hardware, pictures, &taken, machine, &mut done)? {
                open.extend(taken);
            }
        }
        let whole = batch(&mut self.cores, pictures, &open, machine, &mut done)?;
        if done.contains(&true) {
            self.failures.end_row();
        }
        if !whole {
            // One of them spoils the batch: alone each shows whether it is the one.
            for at in open {
                // SAFETY: the header agrees, and the stream is the machine's.
                let decoded = unsafe { self.cores.decode(&pictures[at], stream) };
                done[at] = is_taken(decoded, machine)?;
                self.failures.count(decoded)?;
            }
        }
        Ok(done)
    }
}

/// Decodes those of the pictures whose places are given; false where that failed.
fn batch(
    engine: &mut Engine,
    pictures: &[Picture],
    places: &[usize],
    machine: &dyn Machine,
    done: &mut [bool],
) -> Result<bool> {
    if places.is_empty() {
        return Ok(true);
    }
    let stream = machine.enter()?;
    let chosen: Vec<&Picture> = places.iter().map(|&at| &pictures[at]).collect();
    // SAFETY: the header of each agrees, and the stream is the machine's.
    let decoded = is_taken(unsafe { engine.decode_batch(&chosen, stream) }, machine)?;
    places.iter().for_each(|&at| done[at] = decoded);
    Ok(decoded)
}

/// What decodes, for people: `nvJPEG 13.3.2 with the GPU's hardware decoders`.
impl std::fmt::Display for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = if self.hardware.is_some() { "with the GPU's hardware decoders" } else { "on the GPU's cores" };
        write!(f, "nvJPEG {} {by}", self.version)
    }
}
