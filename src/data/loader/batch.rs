//! A batch as it leaves the loader, and where its pixels are.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::queue;
use crate::data::Skipped;
use crate::ops::squares::{self, Pixels};

/// Buffers that wait to be used again.
pub type Pool = Mutex<Vec<Vec<u8>>>;

/// Images that follow each other in the order of the pass.
#[derive(Debug)]
pub struct Batch {
    /// `[size, copies, side, side, 3]`, meaningless where an image is a square on a device; the buffer goes back to the
    /// loader when the batch is dropped.
    pub pixels: Vec<u8>,
    /// What a device has decoded.
    pub squares: Option<Squares>,
    /// Images in it: the batch size, less at the end of the pass and by those that cannot be read. Zero only when
    /// none of a whole batch can.
    pub size: usize,
    /// The stretch of the order that it stands for, unreadable images included.
    pub covers: Range<usize>,
    /// Position of each image in the order, which is what its randomness follows from.
    pub positions: Vec<usize>,
    /// Number of each image in the data set.
    pub indices: Vec<usize>,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Images of this stretch that cannot be read. No other image takes their place.
    pub skipped: Vec<Skipped>,
    pub(super) home: Arc<Pool>,
}

/// Those images of a batch that are squares on a device.
#[derive(Debug)]
pub struct Squares {
    pub batch: squares::Batch,
    /// Of each image its place there; none where it is among the pixels.
    pub places: Vec<Option<usize>>,
}

impl Batch {
    /// All images, wherever they are.
    ///
    /// # Errors
    /// None that the loader's batches give.
    pub fn images(&self) -> Result<Pixels<'_>> {
        match &self.squares {
            None => Ok(Pixels::from(&self.pixels[..])),
            Some(Squares { batch, places }) => Pixels::on_device(&self.pixels, batch, places),
        }
    }

    /// All images in the host's memory: squares are fetched.
    ///
    /// # Errors
    /// What their device says.
    pub fn host_pixels(&self) -> Result<Cow<'_, [u8]>> {
        let Some(Squares { batch, places }) = &self.squares else { return Ok(Cow::Borrowed(&self.pixels)) };
        let mut pixels = self.pixels.clone();
        for (image, place) in pixels.chunks_exact_mut(batch.square_bytes()).zip(places) {
            if let &Some(place) = place {
                batch.fetch(place, image)?;
            }
        }
        Ok(Cow::Owned(pixels))
    }

    /// Waits until all images are where they are said to be.
    ///
    /// # Errors
    /// What the device says that makes them.
    pub fn wait(&self) -> Result<()> {
        self.squares.as_ref().map_or(Ok(()), |squares| squares.batch.wait())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let pixels = std::mem::take(&mut self.pixels);
        queue::locked(&self.home).push(pixels);
    }
}
