//! The pixels of a batch wherever they are: in the host's memory, or as squares on a device.

use std::ops::Range;

use anyhow::{Result, ensure};

use super::Batch;
use crate::ops::cuda::{Machine, Region};

/// Images of one size as bytes, one after the other, some of which may be squares on a device.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    /// `[images, image_bytes]`; meaningless where the image is a square.
    bytes: &'a [u8],
    squares: Option<Squares<'a>>,
}

#[derive(Clone, Copy)]
struct Squares<'a> {
    batch: &'a Batch,
    /// Of each image its place in the batch; none where it is in the host's memory.
    places: &'a [Option<usize>],
}

/// Images that lie one after the other where they come from, too.
struct Run {
    /// Their bytes among all images.
    bytes: Range<usize>,
    /// The first one's square.
    square: Option<usize>,
}

impl<'a> From<&'a [u8]> for Pixels<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, squares: None }
    }
}

impl<'a> Pixels<'a> {
    /// Images `[images, image_bytes]` in `bytes`, but for those that have a place in `batch`.
    ///
    /// # Errors
    /// Where there are not as many places as images.
    pub fn on_device(bytes: &'a [u8], batch: &'a Batch, places: &'a [Option<usize>]) -> Result<Self> {
        let expected = places.len() * batch.square_bytes();
        ensure!(bytes.len() == expected, "{} bytes for {} images, not {expected}", bytes.len(), places.len());
        Ok(Self { bytes, squares: Some(Squares { batch, places }) })
    }

    /// Bytes of all images.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// So many images of `image_bytes` at a time; the last are those that are left.
    pub fn chunks(self, images: usize, image_bytes: usize) -> impl Iterator<Item = Self> {
        self.bytes.chunks(images * image_bytes).enumerate().map(move |(at, bytes)| {
            let first = at * images;
            let part =
                |Squares { batch, places }| Squares { batch, places: &places[first..places.len().min(first + images)] };
            Self { bytes, squares: self.squares.map(part) }
        })
    }

    /// Bytes of the images in the host's memory.
    pub fn host_bytes(&self) -> usize {
        self.runs().iter().filter(|run| run.square.is_none()).map(|run| run.bytes.len()).sum()
    }

    /// Writes the images in the host's memory one after the other.
    ///
    /// # Panics
    /// Where there is no room for [`Self::host_bytes`]: the caller's mistake.
    pub fn gather(&self, out: &mut [u8]) {
        let mut at = 0;
        for Run { bytes, .. } in self.runs().into_iter().filter(|run| run.square.is_none()) {
            out[at..at + bytes.len()].copy_from_slice(&self.bytes[bytes.clone()]);
            at += bytes.len();
        }
    }

    /// Puts all images into `images` one after the other, in the order of the machine's stream: `gathered` holds those of
    /// the host's memory, and squares are awaited there. Returns before that has run.
    ///
    /// # Errors
    /// Where memory is too small, and what the device says.
    pub fn place(&self, machine: &dyn Machine, gathered: &Region, images: &Region) -> Result<()> {
        let copies = || {
            let mut at = 0;
            for Run { bytes, square } in self.runs() {
                let from = match (square, self.squares) {
                    (Some(place), Some(Squares { batch, .. })) => batch.squares(place, bytes.len())?,
                    _ => {
                        at += bytes.len();
                        gathered.part(at - bytes.len(), bytes.len())?
                    }
                };
                machine.copy(&from, &images.part(bytes.start, bytes.len())?)?;
            }
            Ok(())
        };
        match self.squares {
            Some(Squares { batch, .. }) => batch.read_on(machine, copies),
            None => copies(),
        }
    }

    fn runs(&self) -> Vec<Run> {
        let Some(Squares { batch, places }) = self.squares else {
            return vec![Run { bytes: 0..self.bytes.len(), square: None }];
        };
        let size = batch.square_bytes();
        let mut runs: Vec<Run> = Vec::new();
        for (image, &square) in places.iter().enumerate() {
            let end = (image + 1) * size;
            match runs.last_mut() {
                Some(last) if square == last.square.map(|first| first + last.bytes.len() / size) => {
                    last.bytes.end = end
                }
                _ => runs.push(Run { bytes: image * size..end, square }),
            }
        }
        runs
    }
}
